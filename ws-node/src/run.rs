//! A node from its sockets to its end: register, serve, follow the ring; leave, close, stop.

use std::sync::Arc;
use std::time::Duration;

use cluster::membership::{Keeper, KeeperConfig, KeeperError, MemberSpec, MembershipStore, Role};
use cluster::ring::{Policy, Ring, RingError, RingKey};
use cluster::secret::{SecretError, Secrets};
use cluster::tokens::{PeerName, PeerTokens, Tickets, random_id};
use cluster::wire::codes::CloseCode;
use cluster::wire::node::Limits;
use edge::admin::Reason;
use edge::counts::Counts;
use edge::failure::Failure;
use edge::listen::Listener;
use edge::metrics::{Membership, MembershipFigures, Page, labels};
use edge::peer::{LinkCounts, PeerConfig, PeerLinks, PeerListener, PeerTarget};
use edge::serve::{Http, Options, serve};
use edge::tls::{ClientTls, Tls, TlsError};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{NodeConfig, SessionLimits};
use crate::core::{Core, CoreConfig};
use crate::metrics::NodeFigures;
use crate::net::ClientService;
use crate::node::{ConnectionSettings, Node};

/// How often the core does what fell due.
const TICK: Duration = Duration::from_millis(100);

/// How long leaving the ring may take at the end.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// How long connections may take to close at the end.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long a client has to act on `moved`, milliseconds.
const MOVE_DEADLINE_MS: u64 = 30_000;

/// The bound sockets of a node. The caller binds.
pub struct Sockets {
    /// Where clients connect.
    pub clients: Listener,
    /// Where other nodes connect.
    pub peers: Listener,
}

/// A node that serves.
pub struct Running {
    /// Its public address.
    pub url: String,
    /// Where other nodes reach it.
    pub peer: String,
    node: Arc<Node>,
    keeper: Arc<Keeper>,
    counts: (Counts, Counts, LinkCounts),
    ending: CancellationToken,
    links: (PeerLinks, PeerListener),
    servers: TaskTracker,
}

/// Why a node could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It could not become a member, or remain one.
    #[error(transparent)]
    Membership(#[from] KeeperError),
    /// A ring could not be made.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Registers the node and serves. Ready when it returns: a member of the ring, its ports open.
///
/// # Errors
/// See [`RunError`]; nothing is left running.
pub async fn run(
    sockets: Sockets,
    config: &NodeConfig,
    store: Arc<dyn MembershipStore>,
) -> Result<Running, RunError> {
    let ending = CancellationToken::new();
    let guard = ending.clone().drop_guard();
    let Certificates { clients: clients_tls, peers: peers_tls, dial: dial_tls } = Certificates::load(config)?;
    let secrets = secrets(config)?;
    let url = config.public_url.clone().unwrap_or_else(|| {
        format!("{}://{}/ws", if clients_tls.is_some() { "wss" } else { "ws" }, sockets.clients.address())
    });
    let peer = config.peering.address.clone().unwrap_or_else(|| sockets.peers.address().to_string());
    let spec =
        MemberSpec { id: config.id.clone(), url: url.clone(), peer: peer.clone(), weight: config.weight };
    let mut keeping = KeeperConfig::new(Role::Member(spec), secrets.record_keys());
    keeping.initial_wait = config.store_wait;
    let keeper = Arc::new(Keeper::start(store, keeping, ending.clone()).await?);

    let tickets = Tickets::new(secrets.ticket_keys());
    let me = PeerName { id: config.id.clone(), generation: keeper.generation().borrow().unwrap_or(0) };
    let core =
        Core::new(core_config(config, tickets.clone()), me.clone(), first_ring(&keeper, config)?, random_id);
    let settings = connection_settings(&config.limits);
    let node = Arc::new(Node::new(core, Arc::clone(&keeper), settings, tickets));

    let (name, names) = watch::channel(me);
    let tokens = Arc::new(PeerTokens::new(secrets.peer_keys(), &config.service));
    let peering = PeerConfig::new(names, tokens, node.clone(), node.clone(), ending.clone());
    let listener = PeerListener::new(peering.clone());
    let servers = TaskTracker::new();
    let clients = Options { limits: config.public.limits.clone(), ..Options::http1() };
    let peers = Options::http1();
    let counts = (clients.counts.clone(), peers.counts.clone(), peering.counts.clone());
    keep_fresh(&servers, [&clients_tls, &peers_tls], &ending);
    servers.spawn(serve(sockets.peers, peers_tls, listener.clone(), peers, ending.clone()));
    servers.spawn(serve(
        sockets.clients,
        clients_tls,
        ClientService(Arc::clone(&node)),
        clients,
        ending.clone(),
    ));
    let targets = follow(&servers, &node, &keeper, name, &ending);
    let links = (PeerLinks::start(peering, targets, dial_tls), listener);
    let ending = guard.disarm();
    Ok(Running { url, peer, node, keeper, counts, ending, links, servers })
}

// === impl RunError ===

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Secret(error) => error.into(),
            RunError::Tls(error) => error.into(),
            RunError::Membership(error) => error.into(),
            RunError::Ring(error) => Self::new(error.code(), error),
        }
    }
}

// === impl Running ===

impl Running {
    /// Adds the node's figures to the metrics page, labelled with its id.
    pub fn register(&self, page: &mut Page) {
        let (clients, peers, links) = &self.counts;
        let id = &*self.node.core().me().id.clone();
        page.add(labels([("node", id), ("listener", "clients")]), clients.clone());
        page.add(labels([("node", id), ("listener", "peers")]), peers.clone());
        page.add(labels([("node", id)]), links.clone());
        page.add(labels([("node", id)]), NodeFigures(Arc::clone(&self.node)));
        let keeper = Arc::clone(&self.keeper);
        let membership = MembershipFigures::new(move || Membership::of(&keeper));
        page.add(labels([("service", self.node.service()), ("node", id)]), membership);
    }

    /// Why it wants no new clients, for `/readyz`.
    pub fn readiness(&self) -> impl Fn() -> Vec<Reason> + Send + Sync + use<> {
        let (keeper, ending) = (Arc::clone(&self.keeper), self.ending.clone());
        move || {
            let mut reasons = Vec::new();
            if keeper.generation().borrow().is_none() {
                reasons.push(Reason::new("not_registered", "the node is not a member of the ring"));
            }
            if ending.is_cancelled() {
                reasons.push(Reason::new("ending", "the node is going away"));
            }
            reasons
        }
    }

    /// Serves until `shutdown`, then leaves the ring, closes every session with 4002 and stops.
    ///
    /// # Errors
    /// The node cannot remain a member, such as when another process took its id.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let mut failures = self.keeper.failure();
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            Ok(failure) = failures.wait_for(Option::is_some) => match failure.clone() {
                Some(error) => Err(error.into()),
                None => Ok(()),
            },
        };
        self.stop().await;
        outcome
    }

    async fn stop(self) {
        match timeout(LEAVE_WAIT, self.keeper.leave()).await {
            Ok(Ok(())) => tracing::info!("left the ring"),
            Ok(Err(error)) => {
                tracing::warn!(code = error.code(), "could not leave the ring, its lease will lapse: {error}")
            }
            Err(_) => tracing::warn!("leaving the ring took too long, the lease will lapse"),
        }
        let sessions = self.node.core().session_count();
        self.node.core().close_all(CloseCode::Draining);
        self.node.tasks().close();
        if timeout(CLOSE_WAIT, self.node.tasks().wait()).await.is_err() {
            tracing::warn!("some clients did not close in time and are cut off");
        }
        self.ending.cancel();
        self.servers.close();
        self.servers.wait().await;
        self.links.0.closed().await;
        self.links.1.closed().await;
        tracing::info!(sessions, "stopped");
    }
}

/// Keeps core, name and links in step with the ring; answers whom to link to.
fn follow(
    tasks: &TaskTracker,
    node: &Arc<Node>,
    keeper: &Arc<Keeper>,
    name: watch::Sender<PeerName>,
    ending: &CancellationToken,
) -> watch::Receiver<Vec<PeerTarget>> {
    let (mut view, mut generation) = (keeper.view(), keeper.generation());
    let (targets, receiver) = watch::channel(peers_of(node.core().ring()));
    let (node, ending) = (Arc::clone(node), ending.clone());
    tasks.spawn(async move {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = ending.cancelled() => return,
                Ok(()) = view.changed() => {
                    node.catch_up();
                    targets.send_replace(peers_of(node.core().ring()));
                }
                Ok(()) = generation.changed() => {
                    if let Some(generation) = *generation.borrow_and_update() {
                        let me = PeerName { id: node.core().me().id.clone(), generation };
                        node.core().renamed(me.clone());
                        name.send_replace(me);
                    }
                }
                _ = ticks.tick() => node.core().tick(node.now()),
            }
        }
    });
    receiver
}

fn peers_of(ring: &Ring) -> Vec<PeerTarget> {
    let target = |member: &cluster::ring::Member| PeerTarget {
        name: PeerName { id: member.id.clone(), generation: member.generation },
        address: member.peer.clone(),
    };
    ring.members().map(target).collect()
}

fn first_ring(keeper: &Keeper, config: &NodeConfig) -> Result<Arc<Ring>, RingError> {
    match keeper.ring() {
        Some(ring) => Ok(ring),
        // A registered member holds a ring; an empty one stands in until it comes.
        None => Ok(Arc::new(Ring::genesis(&config.service, RingKey::random()?, Policy::Balanced))),
    }
}

fn secrets(config: &NodeConfig) -> Result<Secrets, SecretError> {
    let previous: Vec<&str> = config.secrets.previous.iter().map(|text| text.expose()).collect();
    Secrets::new(config.secrets.current.as_ref().map_or("", |text| text.expose()), &previous)
}

/// What TLS needs, where it is configured.
struct Certificates {
    clients: Option<Tls>,
    peers: Option<Tls>,
    dial: Option<ClientTls>,
}

impl Certificates {
    fn load(config: &NodeConfig) -> Result<Self, TlsError> {
        let load = |files: &Option<_>| files.clone().map(|files| Tls::load(files, Http::One)).transpose();
        Ok(Self {
            clients: load(&config.public.tls)?,
            peers: load(&config.peering.tls)?,
            dial: config.peering.ca.as_deref().map(ClientTls::load).transpose()?,
        })
    }
}

fn keep_fresh(tasks: &TaskTracker, all: [&Option<Tls>; 2], ending: &CancellationToken) {
    for tls in all.into_iter().flatten() {
        tasks.spawn(tls.clone().keep_fresh(ending.clone()));
    }
}

fn core_config(config: &NodeConfig, tickets: Tickets) -> CoreConfig {
    let limits = &config.limits;
    CoreConfig {
        service: config.service.clone(),
        limits: Limits {
            message_bytes: limits.message_bytes,
            sends_per_second: limits.sends_per_second,
            sends_burst: limits.sends_burst,
            users_per_send: cluster::limits::USERS_PER_SEND_MAX,
        },
        sessions_per_user_max: limits.sessions_per_user,
        heartbeat_ms: u64::try_from(limits.heartbeat.as_millis()).unwrap_or(u64::MAX),
        rebalance: config.rebalance,
        move_rate: config.move_rate,
        move_deadline_ms: MOVE_DEADLINE_MS,
        tickets,
    }
}

fn connection_settings(limits: &SessionLimits) -> ConnectionSettings {
    ConnectionSettings {
        message_bytes_max: limits.message_bytes,
        outbound_bytes_max: limits.outbound_bytes,
        heartbeat: limits.heartbeat,
        hello_timeout: limits.hello_timeout,
    }
}
