//! A service on the memory store with nodes that only tests reach, behind the real routes. Every answer is held against
//! docs/openapi.json.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::log::{Epoch, LogConfig, Position};
use cluster::membership::{Keeper, KeeperConfig, MemberSpec, Role};
use cluster::secret::Secrets;
use cluster::store::MemoryStore;
use cluster::tokens::Tickets;
use cluster::wire::codes::ErrorCode;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::described::Described;
use crate::api::ApiKeys;
use crate::api::backend::{Backend, OutMessage, PresenceState, Sent, Target, UserState};
use crate::app::App;
use crate::caller::Callers;
use crate::http::{Origins, guarded, routes};
use crate::metrics::Metrics;
use crate::service::{Service, ServiceStore};

pub(super) const KEY: &str = "an API key that is long enough: 32";
pub(super) const SERVICE: &str = "default";
pub(super) const DATA_BYTES_MAX: usize = 64 * 1024;
const LEASE: Duration = Duration::from_secs(3);

pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) store: MemoryStore,
    _keepers: Vec<Keeper>,
    described: Described,
}

/// What nodes are asked, and answer: a user `away` cannot be reached, a user `full` can be in no more groups.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) sent: Mutex<Vec<OutMessage>>,
    pub(super) members: Mutex<Vec<(String, String, bool)>>,
}

pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl World {
    pub(super) async fn new(callers: Callers, keys: &[&str]) -> Self {
        Self::with_lease(LEASE, callers, keys).await
    }

    pub(super) async fn with_lease(lease: Duration, callers: Callers, keys: &[&str]) -> Self {
        let (store, secrets) = (MemoryStore::new(), secrets());
        let log = store.log(SERVICE, LogConfig::default()).unwrap();
        let membership = store.membership(SERVICE, lease).unwrap();
        let mut keepers = Vec::new();
        for id in ["n1", "n2"] {
            let (url, peer) = (format!("ws://{id}.example.com/ws"), "127.0.0.1:9".to_owned());
            let role = Role::Member(MemberSpec { id: id.to_owned(), url, peer, weight: 100 });
            let config = KeeperConfig::new(role, secrets.record_keys());
            keepers.push(Keeper::start(membership.clone(), config, CancellationToken::new()).await.unwrap());
        }
        let service = Service::new(ServiceStore { membership, log });
        let nodes = Arc::new(Nodes::default());
        let link = |_| -> Arc<dyn Backend> { nodes.clone() };
        service.start(secrets.record_keys(), lease, link, CancellationToken::new()).await.unwrap();
        let app = App {
            services: vec![service],
            callers,
            tickets: Tickets::new(secrets.ticket_keys()),
            ticket_life_s: 30,
            lookups_per_node: crate::LOOKUPS_PER_NODE,
            started: std::time::Instant::now(),
            api_keys: ApiKeys::new(keys.iter().copied()),
            message_bytes_max: DATA_BYTES_MAX,
            metrics: Metrics::new(),
        };
        Self { app: Arc::new(app), nodes, store, _keepers: keepers, described: Described::load() }
    }

    /// With one key and no tokens.
    pub(super) async fn usual() -> Self {
        Self::new(Callers::Anyone, &[KEY]).await
    }

    /// A request with the key.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Told {
        self.ask_as(Some(KEY), method, path, body).await
    }

    pub(super) async fn ask_as(&self, token: Option<&str>, method: &str, path: &str, body: &str) -> Told {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        self.send(request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Told {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let service = guarded(routes(self.app.clone(), Vec::new()), &Origins::Any);
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let told = Told { status: parts.status.as_u16(), headers: parts.headers, body };
        let kind = told.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        let promised = self.described.promises(&method, &path, (told.status, kind, &told.body));
        promised.unwrap_or_else(|fault| panic!("{method} {path}: {fault} in {:?}", told.body));
        told
    }
}

impl Told {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of a problem; its code is empty if it is none.
    pub(super) fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }
}

pub(super) fn position(offset: u64) -> Position {
    Position { epoch: Epoch::new(255), offset }
}

fn secrets() -> Secrets {
    Secrets::new("a cluster secret of thirty-two bytes", &[]).unwrap()
}

fn reached(user: &str) -> Result<(), ErrorCode> {
    if user == "away" { Err(ErrorCode::Unavailable) } else { Ok(()) }
}

// === impl Nodes ===

#[async_trait]
impl Backend for Nodes {
    async fn send(&self, messages: Vec<OutMessage>) -> Vec<Result<Sent, ErrorCode>> {
        let mut sent = self.sent.lock().await;
        let mut results = Vec::new();
        for message in messages {
            let durable = (!message.ephemeral).then(|| position(sent.len() as u64 + 1));
            results.push(match &message.to {
                Target::User(user) => {
                    reached(user).map(|()| Sent { online: Some(1), position: durable, failed: vec![] })
                }
                Target::Group(_) => Ok(Sent { online: Some(3), position: durable, failed: vec![] }),
                Target::Users(users) => {
                    let failed = users.iter().filter_map(|user| Some((user.clone(), reached(user).err()?)));
                    Ok(Sent { failed: failed.collect(), ..Sent::default() })
                }
                Target::All | Target::Match(_) => Ok(Sent::default()),
            });
            if message.key.as_deref() == Some("used") {
                results.pop();
                results.push(Err(ErrorCode::KeyReused));
            }
            sent.push(message);
        }
        results
    }

    async fn user(&self, user: &str) -> Result<UserState, ErrorCode> {
        reached(user)?;
        Ok(UserState { online: user == "bob", sessions: 2 * u32::from(user == "bob"), settling: false })
    }

    async fn end_sessions(&self, user: &str) -> Result<u32, ErrorCode> {
        reached(user).map(|()| 2)
    }

    async fn presence(&self, group: &str) -> Result<PresenceState, ErrorCode> {
        reached(group)?;
        let users = (group != "large").then(|| vec!["alice".to_owned(), "bob".to_owned()]);
        Ok(PresenceState { count: users.as_ref().map_or(20_000, |_| 2), users, settling: group == "new" })
    }

    async fn set_member(&self, group: &str, user: &str, member: bool) -> Result<u32, ErrorCode> {
        reached(user)?;
        if user == "full" {
            return Err(ErrorCode::TooManyGroups);
        }
        self.members.lock().await.push((group.to_owned(), user.to_owned(), member));
        Ok(2)
    }

    async fn sessions(&self, nodes: &[&str]) -> Vec<Option<u32>> {
        nodes.iter().map(|node| (*node == "n2").then_some(7)).collect()
    }
}
