//! The stage on which scenes are played: the world behind a lock, the connections' queues, the clock.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cluster::secret::Secrets;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::record::{ConnId, Event, Ms, What};
use super::scene::Scene;
use super::world::{Item, NODES, Script, World};

/// Frames that may wait for a connection; one whose client takes less is cut.
const QUEUE: usize = 256;

/// How long a client may take to begin anew, or to come back.
const COMES_BACK_MS: Ms = 15_000;

/// How long the client before may take to close.
const CLOSES_MS: Ms = 3_000;

/// Where things are, as clients on this host reach them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Of the lookups.
    pub(super) lookups: SocketAddr,
    /// Of the nodes, in the order of their names.
    pub(super) nodes: [SocketAddr; 2],
    /// Where nobody listens.
    pub(super) unreachable: SocketAddr,
}

/// Shared by scenes and ports.
#[derive(Clone)]
pub(super) struct Stage(Arc<Inner>);

struct Inner {
    places: Places,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    begun: Instant,
}

struct State {
    world: World,
    queues: HashMap<ConnId, mpsc::Sender<Item>>,
    /// The name under which the client reaches this host.
    host: Option<String>,
}

// === impl Stage ===

impl Stage {
    /// An empty stage.
    pub(super) fn new(places: Places, secrets: &Secrets) -> Self {
        let state = State { world: World::new(secrets), queues: HashMap::new(), host: None };
        let (changed, _) = watch::channel(());
        Self(Arc::new(Inner { places, state: Mutex::new(state), changed, begun: Instant::now() }))
    }

    /// Does something in the world, and sends what comes out of it.
    pub(super) fn act<T>(&self, what: impl FnOnce(&mut World, Ms) -> T) -> T {
        self.change(|state, now| what(&mut state.world, now))
    }

    fn change<T>(&self, what: impl FnOnce(&mut State, Ms) -> T) -> T {
        let mut state = self.0.state.lock();
        let outcome = what(&mut state, self.now());
        for (conn, item) in state.world.take_output() {
            let cut = item == Item::Cut;
            let full = state.queues.get(&conn).is_some_and(|queue| queue.try_send(item).is_err());
            // Its task ends with its queue.
            if cut || full {
                state.queues.remove(&conn);
            }
        }
        drop(state);
        self.0.changed.send_replace(());
        outcome
    }

    /// A connection is there: what is to be sent on it.
    pub(super) fn opened(
        &self,
        node: usize,
        ticket: Option<&str>,
        strange: bool,
    ) -> (ConnId, mpsc::Receiver<Item>) {
        let (queue, items) = mpsc::channel(QUEUE);
        let conn = self.change(|state, now| {
            // Before anything is sent on it.
            state.queues.insert(state.world.next_conn(), queue);
            state.world.opened(NODES[node.min(1)], ticket, strange, now, clock_s())
        });
        (conn, items)
    }

    /// A connection is over.
    pub(super) fn ended(&self, conn: ConnId, code: Option<u16>) {
        self.0.state.lock().queues.remove(&conn);
        self.act(|world, now| world.ended(conn, code, now));
    }

    /// Waits until `what` gives something; `None` when it takes too long.
    pub(super) async fn until<T>(
        &self,
        within_ms: Ms,
        mut what: impl FnMut(&mut World) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.0.changed.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.look(&mut what) {
                    return found;
                }
                // Ends with the stage only.
                let _ = changes.changed().await;
            }
        };
        timeout(Duration::from_millis(within_ms), found).await.ok()
    }

    /// Waits until something `happened` after the `mark`.
    pub(super) async fn until_event(
        &self,
        mark: usize,
        within_ms: Ms,
        happened: impl Fn(&What) -> bool,
    ) -> Option<Event> {
        let find =
            |world: &mut World| world.record.since(mark).iter().find(|event| happened(&event.what)).cloned();
        self.until(within_ms, find).await
    }

    /// Looks without doing anything.
    pub(super) fn look<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        what(&mut self.0.state.lock().world)
    }

    /// Where the record is now.
    pub(super) fn mark(&self) -> usize {
        self.look(|world| world.record.len())
    }

    /// Waits for a time in which something must not happen.
    pub(super) async fn pause(&self, ms: Ms) {
        sleep(Duration::from_millis(ms)).await;
    }

    /// Waits until a point in time of the record.
    pub(super) async fn pause_until(&self, at: Ms) {
        self.pause(at.saturating_sub(self.now())).await;
    }

    /// Begins a scene with a new client, and gives its connection once it is welcome. `None`: no client comes.
    pub(super) async fn begin(&self, scene: Scene, script: Script) -> Option<ConnId> {
        let first = self.act(|world, now| {
            let old = world.live(0);
            world.begin(scene, script, now);
            if let Some(old) = old {
                world.restart(old, 0, now);
            }
            world.next_conn()
        });
        let gone = |world: &mut World| (!world.open(0, first)).then_some(());
        if self.until(CLOSES_MS, gone).await.is_none() {
            tracing::debug!("the client before still has a connection");
        }
        if first == 1 {
            // The first of a run: whoever started the checker may still be writing the client.
            while self.until(COMES_BACK_MS, |world| world.has_looked_up().then_some(())).await.is_none() {}
        }
        self.session(first).await
    }

    /// The client's newest connection with a `welcome`, of those from `first` on; waits for one.
    pub(super) async fn session(&self, first: ConnId) -> Option<ConnId> {
        self.until(COMES_BACK_MS, |world| world.live(first)).await
    }

    /// The number that the next connection gets.
    pub(super) fn next_conn(&self) -> ConnId {
        self.look(|world| world.next_conn())
    }

    /// Milliseconds since the beginning.
    pub(super) fn now(&self) -> Ms {
        Ms::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(Ms::MAX)
    }

    /// The client reaches this host under this name.
    pub(super) fn reached_at(&self, host: &str) {
        self.0.state.lock().host = Some(host.to_owned());
    }

    /// The WebSocket address of a node, by its name; that of the unreachable one for others.
    pub(super) fn url(&self, node: &str) -> String {
        let Places { nodes, unreachable, .. } = &self.0.places;
        let at = NODES.iter().zip(nodes).find(|(name, _)| **name == node).map_or(unreachable, |(_, at)| at);
        let host = self.0.state.lock().host.clone().unwrap_or_else(|| at.ip().to_string());
        format!("ws://{host}:{}/ws", at.port())
    }
}

/// Seconds since 1970, for tickets.
pub(super) fn clock_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
