//! The parts from their bound sockets to their end, on one store in memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use cluster::log::LogConfig;
use cluster::secret::{SecretError, Secrets};
use cluster::store::{MemoryStore, StoreError};
use edge::admin::{self, Reason};
use edge::config::Hidden;
use edge::config::shared::{Peering, Public};
use edge::failure::Failure;
use edge::listen::Listener;
use edge::metrics::Page;
use edge::serve::Http;
use edge::tls::{Tls, TlsError};
use lookup_service::{LookupService, Origins, ServiceStore};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use ws_node::{NodeConfig, Stop, WsNode};

use crate::config::Config;
use crate::page::pages;

/// Where parts listen that nobody else connects to.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The one service that there is.
const SERVICE: &str = lookup_service::DEFAULT_SERVICE;

/// The bound sockets. The caller binds.
pub struct Sockets {
    /// Where lookups and the page are.
    pub public: Listener,
    /// Where `/livez`, `/readyz` and `/metrics` of all parts are.
    pub admin: Listener,
    /// Of each node.
    pub nodes: Vec<ws_node::Sockets>,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its id.
    pub id: String,
    /// Where clients connect.
    pub url: String,
    /// Where the other nodes connect.
    pub peer: String,
}

/// All parts, serving.
pub struct Running {
    /// Where lookups and the page are, without a path.
    pub origin: String,
    /// Where the admin listener is.
    pub admin: SocketAddr,
    /// Where the nodes are, in the order of their numbers.
    pub nodes: Vec<NodeAddress>,
    parts: Parts,
    admin_stop: CancellationToken,
    administration: JoinHandle<()>,
}

/// Why a part could not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node.
    #[error("node {id}: {cause}")]
    Node {
        /// Which.
        id: String,
        /// Why.
        cause: ws_node::RunError,
    },
    /// The lookups.
    #[error("the lookup service: {0}")]
    Lookups(#[from] lookup_service::RunError),
    /// A part's task panicked.
    #[error("a part ended unexpectedly: {0}; this is a bug, please report it")]
    Lost(#[from] tokio::task::JoinError),
}

/// The tasks of the parts, and how to end them all.
struct Parts {
    tasks: JoinSet<Result<(), RunError>>,
    stop: CancellationToken,
}

/// What is asked for `/readyz`.
type Readiness = Box<dyn Fn() -> Vec<Reason> + Send + Sync>;

/// Starts the nodes, one after the other, and then the lookups. When it returns, a lookup finds every node.
///
/// # Errors
/// See [`RunError`]; nothing is left running.
pub async fn start(sockets: Sockets, config: &Config) -> Result<Running, RunError> {
    cluster::tokens::install_crypto();
    let mut parts = Parts { tasks: JoinSet::new(), stop: CancellationToken::new() };
    match begin(sockets, config, &mut parts).await {
        Ok(begun) => {
            let Begun { origin, admin, nodes, admin_stop, administration } = begun;
            Ok(Running { origin, admin, nodes, parts, admin_stop, administration })
        }
        Err(error) => {
            // What the others say while they end is of no more interest than this.
            let _ = parts.end().await;
            Err(error)
        }
    }
}

/// What [`Running`] has besides the parts.
struct Begun {
    origin: String,
    admin: SocketAddr,
    nodes: Vec<NodeAddress>,
    admin_stop: CancellationToken,
    administration: JoinHandle<()>,
}

async fn begin(sockets: Sockets, config: &Config, parts: &mut Parts) -> Result<Begun, RunError> {
    let store = MemoryStore::new();
    let log = store.log(SERVICE, LogConfig::default())?;
    let store = store.membership(SERVICE, config.lease)?;
    let mut page = Page::new("ringdial");
    let mut readiness: Vec<Readiness> = Vec::new();
    let mut nodes = Vec::new();
    // One after the other: racing for the first version of the ring would take longer.
    for (number, sockets) in (1..).zip(sockets.nodes) {
        let id = format!("n{number}");
        let failed = |cause| RunError::Node { id: id.clone(), cause };
        let node = WsNode::new(node_config(&id, config)).map_err(failed)?;
        node.register(&mut page);
        let gone = CancellationToken::new();
        readiness.push(while_there(node.readiness(), gone.clone()));
        let running = node.join(sockets, store.clone(), log.clone(), &parts.stop).await.map_err(failed)?;
        nodes.push(NodeAddress { id: id.clone(), url: running.url.clone(), peer: running.peer.clone() });
        parts.serve_node(id, running, gone);
    }
    let origin = origin(sockets.public.address(), config.public.tls.is_some());
    let own = own_origins(&origin, sockets.public.address());
    let store = ServiceStore { membership: store, log };
    let lookups = lookups(config, store, (&origin, own), &nodes)?;
    lookups.register(&mut page);
    readiness.push(Box::new(lookups.readiness()));
    parts.serve_lookups(lookups, sockets.public).await?;

    let admin = sockets.admin.address();
    let admin_stop = CancellationToken::new();
    let reasons = move || readiness.iter().flat_map(|part| part()).collect::<Vec<Reason>>();
    let administration = tokio::spawn(admin::serve(sockets.admin, page, reasons, admin_stop.clone()));
    Ok(Begun { origin, admin, nodes, admin_stop, administration })
}

// === impl Running ===

impl Running {
    /// Serves until `shutdown`, then ends all at once, in order: the nodes leave the ring and close every session with
    /// 4002. A node that is drained through the API before ends alone.
    ///
    /// # Errors
    /// A part failed; all others have been ended then.
    pub async fn serve(mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let early = loop {
            tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                Some(ended) = self.parts.tasks.join_next() => match ended.map_err(RunError::from).flatten() {
                    // A node was drained.
                    Ok(()) => {}
                    failure => break failure,
                },
            }
        };
        let rest = self.parts.end().await;
        self.admin_stop.cancel();
        self.administration.await?;
        early.and(rest)
    }
}

// === impl Parts ===

impl Parts {
    /// Cancels `gone` if the node ends before all do.
    fn serve_node(&mut self, id: String, node: ws_node::Running, gone: CancellationToken) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            node.serve(Stop::at_once(stop.clone()))
                .await
                .map_err(|cause| RunError::Node { id: id.clone(), cause })?;
            if !stop.is_cancelled() {
                gone.cancel();
                tracing::info!(node = id, "the node was drained and is gone; the others go on");
            }
            Ok(())
        });
    }

    /// Returns when the lookups know the ring.
    async fn serve_lookups(&mut self, lookups: LookupService, listener: Listener) -> Result<(), RunError> {
        let (ready, is_ready) = oneshot::channel();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let announce = || {
                // Whoever waited may have given up.
                let _ = ready.send(());
            };
            Ok(lookups.serve(listener, stop, announce).await?)
        });
        tokio::select! {
            _ = is_ready => Ok(()),
            Some(ended) = self.tasks.join_next() => ended?,
        }
    }

    /// Ends all and waits; the first failure on the way.
    async fn end(&mut self) -> Result<(), RunError> {
        self.stop.cancel();
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(ended.map_err(RunError::from).flatten());
        }
        outcome
    }
}

// === impl RunError ===

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Secret(error) => error.into(),
            RunError::Tls(error) => error.into(),
            RunError::Store(error) => error.into(),
            RunError::Node { id, cause } => Self::from(cause).within(format!("node {id}")),
            RunError::Lookups(error) => Self::from(error).within("the lookup service"),
            RunError::Lost(_) => Self::new("internal", error),
        }
    }
}

/// What a part says until it is `gone`.
fn while_there(
    reasons: impl Fn() -> Vec<Reason> + Send + Sync + 'static,
    gone: CancellationToken,
) -> Readiness {
    Box::new(move || if gone.is_cancelled() { Vec::new() } else { reasons() })
}

fn node_config(id: &str, config: &Config) -> NodeConfig {
    NodeConfig {
        id: id.to_owned(),
        service: SERVICE.to_owned(),
        weight: 100,
        public_url: None,
        rebalance: ws_node::core::Rebalance::Arcs,
        move_rate: 2_000,
        drain_deadline: config.drain_deadline,
        public: Public { listen: SocketAddr::new(config.node_ip, 0), ..config.public.clone() },
        // Links do not leave the process' host.
        peering: Peering { listen: LOOPBACK, address: None, tls: None, ca: None },
        store_wait: config.lease,
        secrets: config.secrets.clone(),
        retentions: config.retentions.clone(),
        limits: config.limits,
    }
}

fn lookups(
    config: &Config,
    store: ServiceStore,
    (origin, own): (&str, Origins),
    nodes: &[NodeAddress],
) -> Result<LookupService, RunError> {
    let previous: Vec<&str> = config.secrets.previous.iter().map(Hidden::expose).collect();
    let config = lookup_service::Config {
        secrets: Secrets::new(config.secrets.current.as_ref().map_or("", Hidden::expose), &previous)?,
        callers: config.callers.clone(),
        ticket_life_s: config.answers.ticket_life_s,
        lookups_per_node: lookup_service::LOOKUPS_PER_NODE,
        origins: if config.own_origins { own } else { config.answers.origins.clone() },
        api_keys: config.api_keys.clone(),
        message_bytes_max: config.limits.message_bytes,
        peer_tls: None,
        store_wait: config.lease,
        limits: config.public.limits.clone(),
        tls: config.public.tls.clone().map(|files| Tls::load(files, Http::OneAndTwo)).transpose()?,
        pages: pages(origin, nodes.iter().map(|node| node.url.as_str())),
    };
    Ok(LookupService::new(config, vec![store]))
}

/// The origin and the other names that a browser on this host may have for it.
fn own_origins(origin: &str, listening: SocketAddr) -> Origins {
    let scheme = origin.split("://").next().unwrap_or_default();
    let named = ["127.0.0.1", "localhost"].map(|host| format!("{scheme}://{host}:{}", listening.port()));
    Origins::Only(named.into_iter().chain([origin.to_owned()]).collect())
}

/// What a browser on this host writes: nobody connects to `0.0.0.0`.
pub(crate) fn origin(listening: SocketAddr, tls: bool) -> String {
    let mut shown = listening;
    if listening.ip().is_unspecified() {
        shown.set_ip(LOOPBACK.ip());
    }
    format!("{}://{shown}", if tls { "https" } else { "http" })
}
