//! What a node decides: who is connected, who hears what, where a message goes. Pure: values, `now` and queues in,
//! values and queues out; no await, clock, randomness or socket.
//!
//! The node's shell calls it under one short lock. Whatever must go out is put into the queue of a session
//! ([`SessionSink`]) or of a link ([`LinkSink`]) before the lock is given back, so the order of decisions is the order
//! on every wire.

mod again;
mod allowance;
mod arrive;
mod askers;
mod broadcast;
mod by_slot;
mod control;
mod deliver;
mod feed;
mod followers;
mod gone;
mod greet;
mod groups;
mod history;
mod home;
mod homes;
mod interest;
mod later;
pub mod log_port;
mod look;
mod members;
mod moves;
mod online;
mod presence;
mod questions;
pub(crate) mod rate;
mod reads;
mod refresh;
mod replay;
mod requests;
mod ring;
mod rosters;
mod send;
mod session;
mod stale;
mod stream;
mod take;
mod topics;
mod used;

use std::sync::Arc;

use bytes::Bytes;
use cluster::grant::Holder;
use cluster::log::Retentions;
use cluster::planted::{self, Bug};
use cluster::ring::{Ring, Slot};
use cluster::tokens::{PeerName, Tickets};
use cluster::wire::codes::CloseCode;
use cluster::wire::node::Limits;
use cluster::wire::topic::EVERYONE;

use self::again::Again;
use self::askers::Askers;
use self::gone::Gone;
use self::homes::Homes;
use self::later::Later;
use self::log_port::LogSink;
use self::look::Looks;
use self::moves::Moves;
use self::presence::Presence;
use self::questions::Questions;
use self::reads::Reads;
use self::refresh::PIECE;
use self::requests::Requests;
use self::session::Sessions;
use self::stale::Stale;
use self::topics::{Topic, Topics};
use self::used::UsedTickets;

pub use self::moves::Rebalance;
pub use self::session::SessionKey;
pub use cluster::homes::LinkSink;

/// How often [`Core::tick`] is to be called, milliseconds.
pub const TICK_MS: u64 = 100;

/// Where a session's frames go: a bounded queue that never waits.
pub trait SessionSink: Send {
    /// Queues a frame. A sink that is over its bound closes itself.
    fn push(&self, frame: Bytes);
    /// Bytes that wait for the client.
    fn waiting_bytes(&self) -> usize;
    /// Lets what is queued go out, then closes.
    fn close(&self, code: CloseCode);
}

/// The time of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the node began on a clock that never goes back, for intervals.
    pub tick_ms: u64,
    /// Milliseconds since 1970, for tickets and for people.
    pub unix_ms: u64,
}

/// What a core is set up with.
#[derive(Clone)]
pub struct CoreConfig {
    /// The service.
    pub service: String,
    /// What a session may do.
    pub limits: Limits,
    /// Sessions a user may have here.
    pub sessions_per_user_max: usize,
    /// Bytes that may wait for a session before its queue closes itself.
    pub outbound_bytes: usize,
    /// Told in `welcome`.
    pub heartbeat_ms: u64,
    /// Whom to move when the ring changes.
    pub rebalance: Rebalance,
    /// Sessions asked to move a second.
    pub move_rate: u32,
    /// How long a client has to move.
    pub move_deadline_ms: u64,
    /// Signs the tickets that `moved` offers.
    pub tickets: Tickets,
    /// How much of which topics the log keeps.
    pub retentions: Retentions,
    /// How long a user whose socket was lost counts as there, milliseconds.
    pub presence_grace_ms: u64,
}

/// What happened so far, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages taken from sessions of this node.
    pub sent: u64,
    /// Messages taken as their home.
    pub homed: u64,
    /// Of them, those that the log stored.
    pub stored: u64,
    /// Calls to the log that failed.
    pub log_failures: u64,
    /// Topics followed here that went on in another epoch: the log had lost them.
    pub logs_lost: u64,
    /// Entries read from the log for sessions that missed them.
    pub replayed: u64,
    /// Frames put into sessions' queues.
    pub delivered: u64,
    /// Messages seen before and dropped.
    pub repeated: u64,
    /// Frames dropped because a link's queue was full.
    pub dropped_link_full: u64,
    /// Sends refused or failed.
    pub refused: u64,
    /// Sends answered `not_home` by another node.
    pub not_home: u64,
    /// Sessions told to move.
    pub moved: u64,
    /// Times that a session could not be told to move, as what its ticket is to carry does not fit one.
    pub unmovable: u64,
}

/// One node's state.
pub struct Core<S, L> {
    config: CoreConfig,
    me: PeerName,
    ring: Arc<Ring>,
    sessions: Sessions<S>,
    topics: Topics,
    homes: Homes<L>,
    askers: Askers<L>,
    gone: Gone,
    requests: Requests,
    questions: Questions,
    presence: Presence,
    /// Knows repeated messages to every session. Never one of `topics`.
    everyone: Topic,
    used: UsedTickets,
    moves: Moves,
    stale: Stale,
    piece: usize,
    /// The time of the last call that told it.
    now: Now,
    log: Box<dyn LogSink>,
    reads: Reads,
    again: Again,
    later: Later,
    looks: Looks,
    /// What the messages that wait for the log take, in bytes.
    store_bytes: usize,
    /// Sessions that follow topics, each once for each topic.
    followed: usize,
    ending: bool,
    counts: Counts,
    fresh_id: fn() -> String,
}

/// Where a key's home is, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here.
    Here,
    /// At the node of this id.
    There(String),
    /// Nowhere: the ring is empty.
    Nowhere,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A node named `me` that goes by `ring` and stores in `log`. `fresh_id` makes names nobody can guess.
    pub fn new(
        config: CoreConfig,
        me: PeerName,
        ring: Arc<Ring>,
        log: Box<dyn LogSink>,
        fresh_id: fn() -> String,
    ) -> Self {
        let everyone = Topic::new(ring.key().slot(EVERYONE), Place::Nowhere);
        let presence = Presence::new(config.presence_grace_ms);
        let mut core = Self {
            config,
            me,
            ring,
            sessions: Sessions::default(),
            topics: Topics::default(),
            homes: Homes::default(),
            askers: Askers::default(),
            gone: Gone::default(),
            requests: Requests::default(),
            questions: Questions::default(),
            presence,
            everyone,
            used: UsedTickets::default(),
            moves: Moves::default(),
            stale: Stale::default(),
            piece: PIECE,
            now: Now::default(),
            log,
            reads: Reads::default(),
            again: Again::default(),
            later: Later::default(),
            looks: Looks::default(),
            store_bytes: 0,
            followed: 0,
            ending: false,
            counts: Counts::default(),
            fresh_id,
        };
        core.begin_as_home();
        core
    }

    /// This node's name in its present generation.
    pub fn me(&self) -> &PeerName {
        &self.me
    }

    /// The node registered again: its name has a new generation.
    pub fn renamed(&mut self, me: PeerName) {
        self.me = me;
        self.look_at_own_state();
    }

    /// The ring it goes by.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many topics somebody here follows or asked for.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many places in topics its sessions have: their inboxes, and the groups that they are in.
    pub fn followed_count(&self) -> usize {
        self.followed
    }

    /// How many topics at home here are remembered because they were written to lately.
    pub fn lingering_count(&self) -> usize {
        self.later.lingering_count()
    }

    /// Bytes of messages that wait until the log has them, with what they take beside.
    pub fn store_bytes(&self) -> usize {
        self.store_bytes
    }

    /// Does what has fallen due. Call it every [`TICK_MS`].
    pub fn tick(&mut self, now: Now) {
        self.at(now);
        self.expire_calls(now);
        self.refresh_some();
        self.let_leave(self.piece);
        self.pump_homes();
        self.pump_later(now);
        self.read_again(now);
        self.tell_overdue(now);
        self.send_heads();
        self.tell_presence();
        self.look_at_unheard(now);
        self.end_lingering(now);
        self.touch_streams(now);
        self.offer_moves(now);
        self.used.forget(now.unix_ms / 1_000);
    }

    /// The node is about to go away: nobody new comes in, and nobody is asked to move on its leaving.
    pub fn set_ending(&mut self) {
        self.ending = true;
    }

    /// Notes the time, for what is done on the occasion of something else.
    fn at(&mut self, now: Now) {
        self.now = now;
        self.presence.at(now.tick_ms);
    }

    fn place(&self, slot: Slot) -> Place {
        Place::of(slot, &self.ring, &self.me.id)
    }

    fn is_home(&self, topic: &str) -> bool {
        planted::is(Bug::SkipVersion)
            || self.ring.home(self.slot(topic)).is_some_and(|member| member.id == self.me.id)
    }

    fn slot(&self, topic: &str) -> Slot {
        self.ring.key().slot(topic)
    }

    fn next_number(&mut self) -> u64 {
        self.homes.calls.next_number()
    }
}

// === impl Place ===

impl Place {
    fn of(slot: Slot, ring: &Ring, me: &str) -> Self {
        match ring.home(slot) {
            None => Self::Nowhere,
            Some(member) if member.id == me => Self::Here,
            Some(member) => Self::There(member.id.clone()),
        }
    }
}

/// A session's beginning: whom it is for, and what a ticket said.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The user and what goes along with a move.
    pub holder: Holder,
    /// The ticket's name.
    pub jti: String,
    /// The ticket's end, seconds since 1970.
    pub expires_s: u64,
    /// The ring version the lookup went by.
    pub ring: cluster::ring::Version,
}

#[cfg(test)]
mod tests;
