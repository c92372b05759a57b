//! A node from its sockets to its end: register, serve, follow the ring; drain, leave, close, stop.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cluster::log::Log;
use cluster::membership::{Keeper, KeeperConfig, KeeperError, MemberSpec, MembershipStore, Role};
use cluster::ring::{Policy, Ring, RingError, RingKey};
use cluster::secret::{SecretError, Secrets};
use cluster::tokens::{PeerName, PeerTokens, Tickets, random_id};
use cluster::wire::codes::CloseCode;
use edge::admin::Reason;
use edge::counts::Counts;
use edge::failure::Failure;
use edge::listen::Listener;
use edge::metrics::{Membership, MembershipFigures, Page, labels};
use edge::peer::{LinkCounts, PeerConfig, PeerLinks, PeerListener};
use edge::serve::{Options, serve};
use edge::tls::TlsError;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certificates::{Certificates, keep_fresh};
use crate::config::NodeConfig;
use crate::core::Core;
use crate::drain::{Stop, asked, drain};
use crate::follow::follow;
use crate::log::{self, LogCounts, QueueBounds};
use crate::metrics::NodeFigures;
use crate::net::ClientService;
use crate::node::Node;
use crate::setup::{connection_settings, core_config};

/// How long leaving the ring may take at the end, beyond the lease for which a node may wait for its turn.
const LEAVE_MARGIN: Duration = Duration::from_secs(1);

/// The bound sockets of a node. The caller binds.
pub struct Sockets {
    /// Where clients connect.
    pub clients: Listener,
    /// Where other nodes connect.
    pub peers: Listener,
}

/// A node that is no member yet. It can be watched already; nothing happens before [`WsNode::join`].
pub struct WsNode {
    config: NodeConfig,
    secrets: Secrets,
    certificates: Certificates,
    state: Arc<State>,
}

/// A node that serves.
pub struct Running {
    /// Its public address.
    pub url: String,
    /// Where other nodes reach it.
    pub peer: String,
    node: Arc<Node>,
    keeper: Arc<Keeper>,
    state: Arc<State>,
    /// Ends the clients' accept loop.
    refusing: CancellationToken,
    leave_wait: Duration,
    drain_deadline: Duration,
    /// How long sessions may take to close at the end.
    grace: Duration,
    links: (PeerLinks, PeerListener),
    servers: TaskTracker,
}

/// What is watched from before the node joins until its end.
#[derive(Default)]
struct State {
    /// Set once it is a member.
    joined: OnceLock<(Arc<Node>, Arc<Keeper>)>,
    clients: Counts,
    peers: Counts,
    links: LinkCounts,
    log: LogCounts,
    /// It is to go away: it still leaves the ring and closes its sessions.
    leaving: CancellationToken,
    /// Everything ends.
    ending: CancellationToken,
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

// === impl WsNode ===

impl WsNode {
    /// Reads certificates and derives keys.
    ///
    /// # Errors
    /// [`RunError::Secret`] and [`RunError::Tls`].
    pub fn new(config: NodeConfig) -> Result<Self, RunError> {
        let certificates = Certificates::load(&config)?;
        let secrets = secrets(&config)?;
        Ok(Self { config, secrets, certificates, state: Arc::default() })
    }

    /// Adds the node's figures to the metrics page, labelled with its id.
    pub fn register(&self, page: &mut Page) {
        let (id, service) = (&*self.config.id, &*self.config.service);
        let State { clients, peers, links, log, .. } = &*self.state;
        page.add(labels([("node", id), ("listener", "clients")]), clients.clone());
        page.add(labels([("node", id), ("listener", "peers")]), peers.clone());
        page.add(labels([("node", id)]), links.clone());
        log.register(page, &labels([("node", id)]));
        let state = Arc::clone(&self.state);
        page.add(labels([("node", id)]), NodeFigures::new(move || Some(Arc::clone(&state.joined.get()?.0))));
        let state = Arc::clone(&self.state);
        let keeper = move || state.joined.get().map(|(_, keeper)| Membership::of(keeper)).unwrap_or_default();
        page.add(labels([("service", service), ("node", id)]), MembershipFigures::new(keeper));
    }

    /// Why it wants no new clients, for `/readyz`.
    pub fn readiness(&self) -> impl Fn() -> Vec<Reason> + Send + Sync + use<> {
        let state = Arc::clone(&self.state);
        move || state.reasons()
    }

    /// Registers the node and serves. When it returns, the node is a member of the ring and its ports are open.
    ///
    /// # Errors
    /// See [`RunError`]; [`KeeperError::Stopped`] if `stop` came first. Nothing is left running then, nor when the future is
    /// dropped; but only after `stop` it is out of the ring again, whatever its registration had come to.
    pub async fn join(
        self,
        sockets: Sockets,
        store: Arc<dyn MembershipStore>,
        log: Arc<dyn Log>,
        stop: &CancellationToken,
    ) -> Result<Running, RunError> {
        let Self { config, secrets, certificates, state } = self;
        let ending = state.ending.clone();
        let guard = ending.clone().drop_guard();
        let spec = member_spec(&config, &certificates, &sockets);
        let (url, peer) = (spec.url.clone(), spec.peer.clone());
        let leave_wait = store.lease() + LEAVE_MARGIN;
        let mut keeping = KeeperConfig::new(Role::Member(spec), secrets.record_keys());
        keeping.initial_wait = config.store_wait;
        let mut starting = pin!(Keeper::start(store, keeping, ending.clone()));
        let keeper = tokio::select! {
            started = &mut starting => Arc::new(started?),
            () = stop.cancelled() => {
                state.leaving.cancel();
                ending.cancel();
                // It takes back what it registered.
                let _ = timeout(leave_wait, starting).await;
                return Err(KeeperError::Stopped.into());
            }
        };

        let tickets = Tickets::new(secrets.ticket_keys());
        let me = PeerName { id: config.id.clone(), generation: keeper.generation().borrow().unwrap_or(0) };
        let ring = first_ring(&keeper, &config)?;
        let (queue, worker) = log::queue(QueueBounds::default(), state.log.clone());
        let core =
            Core::new(core_config(&config, tickets.clone()), me.clone(), ring, Box::new(queue), random_id);
        let settings = connection_settings(&config.limits);
        let node = Arc::new(Node::new(core, Arc::clone(&keeper), settings, tickets));

        let (name, names) = watch::channel(me);
        let tokens = Arc::new(PeerTokens::new(secrets.peer_keys(), &config.service));
        let mut peering = PeerConfig::new(names, tokens, node.clone(), node.clone(), ending.clone());
        peering.counts = state.links.clone();
        let listener = PeerListener::new(peering.clone());
        let (dial, grace) = (certificates.dial.clone(), config.public.limits.grace);
        let drain_deadline = config.drain_deadline;
        let refusing = ending.child_token();
        let servers = open_ports(sockets, certificates, &config, &state, (&node, &listener, &refusing));
        servers.spawn(worker.run(log, node.clone(), ending.clone()));
        let targets = follow(&servers, &node, &keeper, name, &ending);
        let links = (PeerLinks::start(peering, targets, dial), listener);
        // Nobody else sets it.
        let _ = state.joined.set((Arc::clone(&node), Arc::clone(&keeper)));
        guard.disarm();
        Ok(Running {
            url,
            peer,
            node,
            keeper,
            state,
            refusing,
            leave_wait,
            drain_deadline,
            grace,
            links,
            servers,
        })
    }
}

// === impl State ===

impl State {
    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let not_registered = |detail| Reason::new("not_registered", detail);
        match self.joined.get() {
            None => reasons.push(not_registered("the node waits for the store, or to join the ring there")),
            Some((_, keeper)) if keeper.generation().borrow().is_none() => {
                reasons.push(not_registered("the node is no longer a member of the ring"));
            }
            Some((node, _)) if node.is_draining() && !self.leaving.is_cancelled() => {
                let sessions = node.core().session_count();
                let detail =
                    format!("the node passes its clients on before it goes away; sessions left: {sessions}");
                reasons.push(Reason::new("draining", detail));
            }
            Some(_) => {}
        }
        if self.leaving.is_cancelled() {
            reasons.push(Reason::new("ending", "the node is going away"));
        }
        reasons
    }
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
    /// Serves until it is told to end, by `stop` or through its membership; drains, if it is to end gently, which takes
    /// the drain's deadline at most; then leaves the ring, closes every session that is left with 4002 and stops.
    ///
    /// # Errors
    /// The node cannot remain a member, such as when another process took its id.
    pub async fn serve(self, stop: Stop) -> Result<(), RunError> {
        let mut failures = self.keeper.failure();
        let outcome = tokio::select! {
            Ok(failure) = failures.wait_for(Option::is_some) => match failure.clone() {
                Some(error) => Err(error.into()),
                None => Ok(()),
            },
            () = stop.at_once.cancelled() => Ok(()),
            () = self.drained(&stop.gently) => Ok(()),
        };
        self.stop().await;
        outcome
    }

    async fn drained(&self, told: &CancellationToken) {
        let by = asked(&self.keeper, told).await;
        let over = drain(&self.node, &self.keeper, by, self.drain_deadline).await;
        let sessions = self.node.core().session_count();
        tracing::info!(sessions, why = over.as_str(), "drained");
    }

    async fn stop(self) {
        self.state.leaving.cancel();
        self.node.core().set_ending();
        self.leave().await;
        // Who comes from now on finds the port closed.
        self.refusing.cancel();
        let sessions = self.node.core().session_count();
        self.node.core().close_all(CloseCode::Draining);
        self.node.tasks().close();
        if timeout(self.grace, self.node.tasks().wait()).await.is_err() {
            tracing::warn!("some clients did not close in time and are cut off");
        }
        self.state.ending.cancel();
        self.servers.close();
        self.servers.wait().await;
        self.links.0.closed().await;
        self.links.1.closed().await;
        tracing::info!(sessions, "stopped");
    }

    async fn leave(&self) {
        if self.keeper.failure().borrow().is_some() {
            // Another process has its id, and the place in the ring.
            return;
        }
        match timeout(self.leave_wait, self.keeper.leave()).await {
            Ok(Ok(())) => tracing::info!("left the ring"),
            Ok(Err(error)) => {
                tracing::warn!(code = error.code(), "could not leave the ring, its lease will lapse: {error}")
            }
            Err(_) => tracing::warn!("leaving the ring took too long, the lease will lapse"),
        }
    }
}

/// What the ring is told of this node.
fn member_spec(config: &NodeConfig, certificates: &Certificates, sockets: &Sockets) -> MemberSpec {
    let scheme = if certificates.clients.is_some() { "wss" } else { "ws" };
    let url = || format!("{scheme}://{}/ws", sockets.clients.address());
    MemberSpec {
        id: config.id.clone(),
        url: config.public_url.clone().unwrap_or_else(url),
        peer: config.peering.address.clone().unwrap_or_else(|| sockets.peers.address().to_string()),
        weight: config.weight,
    }
}

/// Serves both ports until the node ends.
fn open_ports(
    sockets: Sockets,
    certificates: Certificates,
    config: &NodeConfig,
    state: &State,
    (node, listener, refusing): (&Arc<Node>, &PeerListener, &CancellationToken),
) -> TaskTracker {
    let servers = TaskTracker::new();
    let Certificates { clients: clients_tls, peers: peers_tls, .. } = certificates;
    let clients =
        Options { limits: config.public.limits.clone(), counts: state.clients.clone(), ..Options::http1() };
    let peers = Options { counts: state.peers.clone(), ..Options::http1() };
    let ending = &state.ending;
    keep_fresh(&servers, [&clients_tls, &peers_tls], ending);
    servers.spawn(serve(sockets.peers, peers_tls, listener.clone(), peers, ending.clone()));
    let service = ClientService(Arc::clone(node));
    servers.spawn(serve(sockets.clients, clients_tls, service, clients, refusing.clone()));
    servers
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
