//! A lookup service on a real socket with the memory store, its nodes, and a client that speaks plain HTTP/1.1.
// Each test file is a crate of its own and uses a part of this; a failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod client;
pub mod described;
pub mod published;

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use cluster::log::LogConfig;
use cluster::membership::{Keeper, KeeperConfig, MemberSpec, Role};
use cluster::secret::Secrets;
use cluster::store::MemoryStore;
use cluster::tokens::AppTokens;
use edge::limits::Limits;
use edge::listen::bind;
use lookup_service::{ApiKeys, Callers, Config, Origins, RunError, ServiceStore, Sockets, run};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::client::Ask;
use self::published::Published;

pub const API_KEY: &str = "an API key that is long enough: 32";
pub const JWT_SECRET: &str = "an application secret of thirty-two bytes";
const LEASE: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(10);

/// One lookup service; it ends when this is dropped.
pub struct Lookup {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub store: MemoryStore,
    nodes: Vec<Keeper>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

pub fn secrets() -> Secrets {
    Secrets::new("a cluster secret of thirty-two bytes", &[]).unwrap()
}

/// What every test starts from: callers with tokens, of which the claim `tier` travels, and as many lookups as anybody measures.
pub fn config() -> Config {
    let tokens = AppTokens::hs256(JWT_SECRET.as_bytes(), None, None, vec!["tier".to_owned()]).unwrap();
    Config {
        secrets: secrets(),
        callers: Callers::Tokens(Box::new(tokens)),
        ticket_life_s: 30,
        lookups_per_node: 1_000_000,
        origins: Origins::Any,
        api_keys: ApiKeys::new([API_KEY]),
        message_bytes_max: 64 * 1024,
        peer_tls: None,
        store_wait: Duration::from_millis(300),
        limits: Limits { grace: Duration::from_secs(1), ..Limits::default() },
        tls: None,
        pages: Vec::new(),
    }
}

impl Lookup {
    pub async fn start(config: Config, services: &[&str]) -> Self {
        Self::on(MemoryStore::new(), config, services)
    }

    /// Returns at once: the store may be unreachable.
    pub fn on(store: MemoryStore, config: Config, services: &[&str]) -> Self {
        cluster::tokens::install_crypto();
        let free = "127.0.0.1:0".parse().unwrap();
        let (public, admin) = (bind("listen", free).unwrap(), bind("admin-listen", free).unwrap());
        let (public_address, admin_address) = (public.address(), admin.address());
        let of_service = |service: &&str| ServiceStore {
            membership: store.membership(service, LEASE).unwrap(),
            log: store.log(service, LogConfig::default()).unwrap(),
        };
        let stores = services.iter().map(of_service).collect();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(config, Sockets { public, admin: Some(admin) }, stores, stop.clone()));
        Self { public: public_address, admin: admin_address, store, nodes: Vec::new(), stop, running }
    }

    /// A service `default` with nodes n1, n2, ...
    pub async fn with_nodes(count: usize) -> Self {
        let mut lookup = Self::start(config(), &["default"]).await;
        for number in 1..=count {
            lookup.join("default", &format!("n{number}")).await;
        }
        lookup.sees("default", count).await;
        lookup
    }

    /// Registers a node that does nothing else.
    pub async fn join(&mut self, service: &str, id: &str) {
        let spec = MemberSpec {
            id: id.to_owned(),
            url: format!("ws://{id}.{service}.example.com/ws"),
            peer: "127.0.0.1:9".to_owned(),
            weight: 100,
        };
        let store = self.store.membership(service, LEASE).unwrap();
        let config = KeeperConfig::new(Role::Member(spec), secrets().record_keys());
        self.nodes.push(Keeper::start(store, config, CancellationToken::new()).await.unwrap());
    }

    /// Waits until `GET /ring` names so many nodes.
    pub async fn sees(&self, service: &str, count: usize) -> Published {
        let path = format!("/ring?service={service}");
        self.until(&format!("{count} nodes of {service}"), async || {
            let answer = self.get(&path).send().await;
            let found = answer.status == 200 && answer.json()["nodes"].as_array().unwrap().len() == count;
            found.then(|| Published::read(&answer.json()))
        })
        .await
    }

    /// Tries every few milliseconds until there is an answer.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn get(&self, path: &str) -> Ask {
        Ask::new(self.public, "GET", path)
    }

    pub fn post(&self, path: &str, body: &str) -> Ask {
        Ask::new(self.public, "POST", path).header("content-type", "application/json").body(body)
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(self.public, method, path)
    }

    pub fn admin(&self, path: &str) -> Ask {
        Ask::new(self.admin, "GET", path)
    }

    /// A good lookup.
    pub async fn look_up(&self, user: &str, query: &str) -> Value {
        let answer = self.get(&format!("/lookup?{query}")).token(&jwt(user)).send().await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()
    }

    /// Ends it and gives what `run` returned.
    pub async fn stop(mut self) -> Result<(), RunError> {
        self.stop.cancel();
        self.ended().await
    }

    pub async fn ended(&mut self) -> Result<(), RunError> {
        tokio::time::timeout(DEADLINE, &mut self.running).await.expect("it ends in time").unwrap()
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The application's token for a user, good for an hour.
pub fn jwt(user: &str) -> String {
    jwt_with(json!({ "sub": user, "exp": now_s() + 3600 }))
}

pub fn jwt_with(claims: Value) -> String {
    jwt_of(json!({ "alg": "HS256", "typ": "JWT" }), claims, JWT_SECRET)
}

/// A token made by hand: what an application's own library would make, or a forger.
pub fn jwt_of(header: Value, claims: Value, secret: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(tag))
}

pub fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
