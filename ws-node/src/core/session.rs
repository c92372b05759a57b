//! Sessions: from a ticket to `hello` to `detach` or the end of the connection.

use std::collections::VecDeque;

use cluster::grant::Holder;
use cluster::ring::{Slot, Version};
use cluster::wire::client::{Hello, Reference};
use cluster::wire::codes::{CloseCode, ErrorCode};
use cluster::wire::node::{Error, NodeFrame, RingPosition, Topics, Welcome};
use cluster::wire::topic::inbox;
use slab::Slab;

use super::moves::Patience;
use super::rate::Bucket;
use super::{Admission, Core, LinkSink, Now, Place, SessionSink};
use crate::frames;

/// How long `welcome` waits for the interest to stand at another home, milliseconds.
const WELCOME_WAIT_MS: u64 = 2_000;

/// Names a session of this node; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey {
    index: usize,
    serial: u64,
}

/// Every session, by key.
#[derive(Debug)]
pub(super) struct Sessions<S> {
    slab: Slab<Session<S>>,
    serial: u64,
    /// When the `welcome` of sessions that wait goes out regardless, ascending; also of some that wait no longer.
    waiting: VecDeque<(SessionKey, u64)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Session<S> {
    pub(super) key: SessionKey,
    name: String,
    pub(super) topic: Box<str>,
    pub(super) slot: Slot,
    pub(super) holder: Box<Holder>,
    pub(super) ticket_ring: Version,
    pub(super) sink: S,
    pub(super) stage: Stage,
    pub(super) bucket: Bucket,
    /// Sends whose answer is still out.
    pub(super) outstanding: u32,
    pub(super) admitted_ms: u64,
    pub(super) patience: Patience,
    /// It stands in the queue of those who may have to move.
    pub(super) queued: bool,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its ticket was taken; `hello` is due.
    Admitted,
    /// It said `hello`; `welcome` waits for interest to stand.
    Waiting,
    /// It was welcomed.
    Live,
    /// It goes on elsewhere; only answers to earlier sends still come.
    Detached,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Takes a verified ticket and begins its session.
    ///
    /// # Errors
    /// [`ErrorCode::TicketUsed`], or [`ErrorCode::Draining`] once the node is going away.
    pub fn admit(&mut self, admission: Admission, sink: S, now: Now) -> Result<SessionKey, (ErrorCode, S)> {
        if self.ending {
            return Err((ErrorCode::Draining, sink));
        }
        if !self.used.take(&admission.jti, admission.expires_s) {
            return Err((ErrorCode::TicketUsed, sink));
        }
        let topic = inbox(&admission.holder.user).into_boxed_str();
        let slot = self.slot(&topic);
        let name = (self.fresh_id)();
        let burst = self.config.limits.sends_burst;
        Ok(self.sessions.insert(|key| Session {
            key,
            name,
            topic,
            slot,
            holder: Box::new(admission.holder),
            ticket_ring: admission.ring,
            sink,
            stage: Stage::Admitted,
            bucket: Bucket::full(burst, now.tick_ms),
            outstanding: 0,
            admitted_ms: now.tick_ms,
            patience: Patience::default(),
            queued: false,
        }))
    }

    /// Whether the session has said `hello`.
    pub fn is_open(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| session.stage != Stage::Admitted)
    }

    /// The first frame: the session follows its user's inbox from now on.
    pub fn hello(&mut self, key: SessionKey, hello: &Hello<'_>, now: Now) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.stage != Stage::Admitted {
            self.fail(key, None, ErrorCode::HelloExpected);
            return;
        }
        let (topic, replaces) = (session.topic.clone(), hello.replaces.as_deref());
        let place = self.follow(key, &topic);
        // After that, so that the topic never lacks a follower and forgets what it has seen.
        self.make_room(key, &topic, replaces);
        match place {
            Place::There(_) if !self.is_standing(&topic) => {
                self.set_stage(key, Stage::Waiting);
                self.sessions.waiting.push_back((key, now.tick_ms + WELCOME_WAIT_MS));
            }
            _ => self.welcome(key, now),
        }
    }

    /// The connection is gone.
    pub fn closed(&mut self, key: SessionKey) {
        let Some(topic) = self.sessions.get(key).map(|session| session.topic.clone()) else { return };
        self.unfollow(key, &topic);
        self.sessions.remove(key);
    }

    /// The session goes on elsewhere.
    pub fn detach(&mut self, key: SessionKey) {
        let Some(topic) = self.sessions.get(key).map(|session| session.topic.clone()) else { return };
        self.unfollow(key, &topic);
        self.set_stage(key, Stage::Detached);
        self.end_detached(key);
    }

    /// Says what is wrong, and closes where the code says so: from then on the session neither sends nor hears.
    pub fn fail(&mut self, key: SessionKey, reference: Reference<'_>, code: ErrorCode) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.stage != Stage::Detached)
        else {
            return;
        };
        session.push(&NodeFrame::Error(Error::new(reference, code)));
        let Some(close) = code.close() else { return };
        session.sink.close(close);
        session.stage = Stage::Detached;
        let topic = session.topic.clone();
        self.unfollow(key, &topic);
    }

    /// The node goes away: nobody new comes in, nobody is asked to move, and every session is closed.
    pub fn close_all(&mut self, code: CloseCode) {
        self.ending = true;
        for session in self.sessions.iter_mut() {
            session.sink.close(code);
            session.stage = Stage::Detached;
        }
    }

    /// An answer to one of the session's sends went out.
    pub(super) fn answered(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.outstanding = session.outstanding.saturating_sub(1);
        self.end_detached(key);
    }

    /// Welcomes those who waited for a topic's interest to stand.
    pub(super) fn welcome_waiting(&mut self, topic: &str, now: Now) {
        let Some(entry) = self.topics.get_mut(topic) else { return };
        let waiting = entry.local.iter().filter_map(|index| self.sessions.at(*index));
        let keys: Vec<_> =
            waiting.filter(|session| session.stage == Stage::Waiting).map(|session| session.key).collect();
        keys.into_iter().for_each(|key| self.welcome(key, now));
    }

    /// Welcomes those who have waited long enough: they may miss ephemeral messages for a moment, no more.
    pub(super) fn welcome_overdue(&mut self, now: Now) {
        while let Some((key, _)) = self.sessions.waiting.pop_front_if(|(_, due_ms)| *due_ms <= now.tick_ms) {
            if self.sessions.get(key).is_some_and(|session| session.stage == Stage::Waiting) {
                self.welcome(key, now);
            }
        }
    }

    fn welcome(&mut self, key: SessionKey, now: Now) {
        let count = self.sessions.len() as u64;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.stage = Stage::Live;
        let ring = RingPosition { version: self.ring.version(), signature: self.ring.signature() };
        session.push(&NodeFrame::Welcome(Welcome {
            session: &session.name,
            user: &session.holder.user,
            node: &self.me.id,
            ring,
            heartbeat_ms: self.config.heartbeat_ms,
            retry_spread_ms: (count / 5).max(500),
            limits: self.config.limits,
            topics: Topics(&[]),
        }));
        self.queue_move(key);
        self.offer_moves(now);
    }

    /// The session that `hello` replaces says `bye` if it is here; the oldest one of a user who has too many ends.
    fn make_room(&mut self, key: SessionKey, topic: &str, replaces: Option<&str>) {
        let Some(entry) = self.topics.get_mut(topic) else { return };
        let all = entry.local.iter().filter_map(|index| self.sessions.at(*index));
        let others: Vec<_> = all.filter(|other| other.key != key).collect();
        if let Some(replaced) = others.iter().find(|other| Some(other.name.as_str()) == replaces) {
            let replaced = replaced.key;
            self.detach(replaced);
        } else if others.len() >= self.config.sessions_per_user_max
            && let Some(oldest) = others.iter().min_by_key(|other| other.admitted_ms)
        {
            let oldest = oldest.key;
            self.fail(oldest, None, ErrorCode::SessionReplaced);
        }
    }

    /// A detached session says `bye` once nothing of it is out any more.
    fn end_detached(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.stage == Stage::Detached && session.outstanding == 0 {
            session.push(&NodeFrame::Bye);
            session.sink.close(CloseCode::Normal);
        }
    }

    fn set_stage(&mut self, key: SessionKey, stage: Stage) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.stage = stage;
        }
    }
}

// === impl Session ===

impl<S: SessionSink> Session<S> {
    /// Whether messages go to it: `welcome` comes first, and nothing after `detach`.
    pub(super) fn listens(&self) -> bool {
        self.stage == Stage::Live
    }

    pub(super) fn push(&self, frame: &NodeFrame<'_>) {
        self.sink.push(frames::text(&frame.to_json()));
    }
}

// === impl Sessions ===

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self { slab: Slab::new(), serial: 0, waiting: VecDeque::new() }
    }
}

impl<S> Sessions<S> {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn get(&self, key: SessionKey) -> Option<&Session<S>> {
        self.slab.get(key.index).filter(|session| session.key == key)
    }

    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session<S>> {
        self.slab.get_mut(key.index).filter(|session| session.key == key)
    }

    /// The session at an index that a topic holds.
    pub(super) fn at(&self, index: usize) -> Option<&Session<S>> {
        self.slab.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session<S>> {
        self.slab.iter().map(|(_, session)| session)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session<S>> {
        self.slab.iter_mut().map(|(_, session)| session)
    }

    fn insert(&mut self, make: impl FnOnce(SessionKey) -> Session<S>) -> SessionKey {
        self.serial += 1;
        let entry = self.slab.vacant_entry();
        let key = SessionKey { index: entry.key(), serial: self.serial };
        entry.insert(make(key));
        key
    }

    fn remove(&mut self, key: SessionKey) {
        if self.get(key).is_some() {
            self.slab.remove(key.index);
        }
    }
}

// === impl SessionKey ===

impl SessionKey {
    pub(super) fn index(self) -> usize {
        self.index
    }
}
