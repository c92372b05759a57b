//! The node's shell: the core behind its one lock, and what the links and the ring's keeper tell it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cluster::grant::Holder;
use cluster::membership::{Keeper, Suspects};
use cluster::tokens::{CLOCK_LEEWAY_S, PeerName, TicketTarget, Tickets};
use cluster::wire::codes::ErrorCode;
use edge::peer::{CloseReason, Direction, LinkId, LinkSender, PeerEvents, RingSource};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::bypass::read_past;
use crate::core::log_port::LogAnswer;
use crate::core::{Admission, Core, LinkSink, Now, SessionKey};
use crate::log::LogEvents;
use crate::net::Outbox;

/// The core with the queues of this process.
pub(crate) type NodeCore = Core<Outbox, PeerSink>;

/// What a connection goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionSettings {
    pub(crate) message_bytes_max: usize,
    pub(crate) outbound_bytes_max: usize,
    pub(crate) frames_per_second: u32,
    pub(crate) frames_burst: u32,
    pub(crate) heartbeat: Duration,
    pub(crate) hello_timeout: Duration,
}

/// A node.
pub(crate) struct Node {
    core: Mutex<NodeCore>,
    keeper: Arc<Keeper>,
    /// Members that the ring is read past. Locked before the core.
    bypassed: Mutex<Arc<Suspects>>,
    links: Mutex<HashMap<LinkId, Side>>,
    settings: ConnectionSettings,
    tickets: Tickets,
    service: String,
    started: Instant,
    draining: AtomicBool,
    tasks: TaskTracker,
}

/// What a link is to this node.
#[derive(Debug, Clone)]
enum Side {
    /// The peer asks here.
    Asker,
    /// The peer of this id is asked.
    Home(String),
}

/// A link's queue as the core sees it.
pub(crate) struct PeerSink(LinkSender);

// === impl Node ===

impl Node {
    pub(crate) fn new(
        core: NodeCore,
        keeper: Arc<Keeper>,
        settings: ConnectionSettings,
        tickets: Tickets,
    ) -> Self {
        Self {
            service: core.ring().service().to_owned(),
            core: Mutex::new(core),
            keeper,
            bypassed: Mutex::default(),
            links: Mutex::default(),
            settings,
            tickets,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            tasks: TaskTracker::new(),
        }
    }

    /// The core, locked. Never held across an await.
    pub(crate) fn core(&self) -> MutexGuard<'_, NodeCore> {
        self.core.lock()
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(crate) fn settings(&self) -> &ConnectionSettings {
        &self.settings
    }

    /// The clients' connections.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) fn now(&self) -> Now {
        let tick_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { tick_ms, unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
    }

    /// From now on its sessions are asked to go elsewhere, since it goes away.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.core().begin_drain(self.now());
    }

    /// Whether it passes its sessions on.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Makes the core go by the ring that the keeper holds.
    pub(crate) fn catch_up(&self) {
        self.go_by(&self.bypassed.lock());
    }

    /// Makes the core read the ring past these members.
    pub(crate) fn bypass(&self, dead: Arc<Suspects>) {
        let mut bypassed = self.bypassed.lock();
        *bypassed = dead;
        self.go_by(&bypassed);
    }

    fn go_by(&self, bypassed: &Suspects) {
        let Some(ring) = self.keeper.ring() else { return };
        let mut core = self.core();
        let ring = read_past(ring, bypassed, &core.me().id);
        if ring.version() == core.ring().version() {
            core.ring_read(ring, self.now());
        } else {
            core.ring_changed(ring, self.now());
        }
    }

    /// Checks a ticket and begins its session; answers when the application's token ends.
    pub(crate) fn admit(
        &self,
        ticket: &str,
        outbox: Outbox,
    ) -> Result<(SessionKey, Option<Instant>), ErrorCode> {
        let now = self.now();
        let now_s = now.unix_ms / 1_000;
        let node = self.core().me().id.clone();
        let generations = self.keeper.incarnations();
        let target = TicketTarget { node: &node, generations: &generations, service: &self.service };
        let ticket = self.tickets.verify(ticket, target, now_s)?;
        let token_end = match ticket.tok_exp {
            None => None,
            // None, too, for an end so far away that no clock reaches it.
            Some(end_s) => Instant::now().checked_add(token_life(end_s, now_s)?),
        };
        let holder = Holder {
            user: ticket.sub,
            avoid: ticket.avoid,
            token_expires_s: ticket.tok_exp,
            grants: ticket.grants,
        };
        let admission = Admission { holder, jti: ticket.jti, expires_s: ticket.exp, ring: ticket.ring };
        let key = self.core().admit(admission, outbox, now).map_err(|(code, _)| code)?;
        Ok((key, token_end))
    }
}

/// How long the application's token is still taken, by the leeway that it was given when it was looked up with.
fn token_life(end_s: u64, now_s: u64) -> Result<Duration, ErrorCode> {
    let left_s = end_s.saturating_add(CLOCK_LEEWAY_S).checked_sub(now_s);
    left_s.map(Duration::from_secs).ok_or(ErrorCode::TokenExpired)
}

impl PeerEvents for Node {
    fn opened(&self, link: LinkId, direction: Direction, peer: &PeerName, sender: LinkSender) {
        match direction {
            Direction::Inbound => {
                self.links.lock().insert(link, Side::Asker);
                let mut core = self.core();
                core.asker_opened(link.number(), PeerSink(sender));
                core.asker_is(link.number(), &peer.id);
            }
            Direction::Outbound => {
                self.links.lock().insert(link, Side::Home(peer.id.clone()));
                self.core().home_opened(&peer.id, link.number(), PeerSink(sender));
                self.keeper.trust(&peer.id, peer.generation);
            }
        }
    }

    fn frames(&self, link: LinkId, _ring: u64, frames: &mut dyn Iterator<Item = Bytes>) {
        let Some(side) = self.links.lock().get(&link).cloned() else { return };
        let now = self.now();
        let mut core = self.core();
        match side {
            Side::Asker => frames.for_each(|frame| core.asked(link.number(), &frame, now)),
            Side::Home(node) => frames.for_each(|frame| core.answered_by(&node, &frame, now)),
        }
    }

    fn closed(&self, link: LinkId, why: CloseReason) {
        let Some(side) = self.links.lock().remove(&link) else { return };
        match side {
            Side::Asker => self.core().asker_closed(link.number()),
            Side::Home(node) => {
                tracing::debug!(peer = node, %why, "the link to a peer is closed");
                self.core().home_closed(&node, link.number());
            }
        }
    }

    fn seems_dead(&self, peer: &PeerName) {
        self.keeper.suspect(&peer.id, peer.generation);
    }
}

impl LogEvents for Node {
    fn answered(&self, answers: Vec<LogAnswer>) {
        let now = self.now();
        self.core().log_answered(answers, now);
    }

    fn interrupted(&self) {
        self.core().log_interrupted();
    }
}

impl LinkSink for PeerSink {
    fn send(&self, frame: Bytes) -> bool {
        self.0.try_send(frame).is_ok()
    }

    fn has_ended(&self) -> bool {
        self.0.is_closed()
    }
}

/// What the core goes by, not what the keeper holds: a frame is handed on only when the core knows the ring that it was
/// sent under.
impl RingSource for Node {
    fn version(&self) -> u64 {
        self.core().ring().version().as_u64()
    }

    fn sealed(&self) -> Option<Bytes> {
        self.keeper.sealed()
    }

    fn offer(&self, record: &[u8]) {
        match self.keeper.offer(record) {
            Ok(_) => self.catch_up(),
            Err(error) => {
                tracing::warn!(
                    code = error.code(),
                    "a peer passed on a ring that cannot be believed: {error}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_as_long_as_a_lookup_takes_it() {
        let life = |end_s| token_life(end_s, 1_000).map(|life| life.as_secs());
        assert_eq!(life(1_060), Ok(60 + CLOCK_LEEWAY_S));
        assert_eq!(life(1_000 - CLOCK_LEEWAY_S), Ok(0));
        assert_eq!(life(1_000 - CLOCK_LEEWAY_S - 1), Err(ErrorCode::TokenExpired));
    }
}
