//! Sessions: from a ticket to `hello` to `detach` or the end of the connection.

mod waits;

use std::sync::Arc;

use cluster::grant::Holder;
use cluster::ring::{Slot, Version};
use cluster::wire::client::Reference;
use cluster::wire::codes::{CloseCode, ErrorCode};
use cluster::wire::node::{Error, NodeFrame};
use cluster::wire::topic::inbox;
use slab::Slab;

use self::waits::Waits;
use super::by_slot::SlotIndex;
use super::history::Pages;
use super::moves::Patience;
use super::rate::Bucket;
use super::replay::Turn;
use super::{Admission, Core, LinkSink, Now, SessionSink};
use crate::frames;

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
    /// Where those of a slot are.
    index: SlotIndex<u32>,
    serial: u64,
    waits: Waits,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Session<S> {
    pub(super) key: SessionKey,
    pub(super) name: String,
    /// Its user's name for the groups that it is in, which share it.
    member_name: Option<Arc<str>>,
    /// What it follows: its inbox, and then groups.
    pub(super) topics: Vec<Arc<str>>,
    /// Groups of its `hello` that it may not be in.
    pub(super) refused: Vec<(String, ErrorCode)>,
    /// Topics of its `hello` of which it is not known yet where they stand.
    pub(super) unresolved: usize,
    /// What it reads of what it missed.
    pub(super) turn: Turn,
    /// The pages of the past that it asked for.
    pub(super) pages: Option<Box<Pages>>,
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
    /// It is to look up again, since a ring changed after it did so.
    pub(super) recalled: bool,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its ticket was taken; `hello` is due.
    Admitted,
    /// It said `hello`; `welcome` waits until it is known where its topics stand.
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
        let slot = self.slot(&inbox(&admission.holder.user));
        let name = (self.fresh_id)();
        let burst = self.config.limits.sends_burst;
        Ok(self.sessions.insert(|key| Session {
            key,
            name,
            member_name: None,
            topics: Vec::new(),
            refused: Vec::new(),
            unresolved: 0,
            turn: Turn::default(),
            pages: None,
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
            recalled: false,
        }))
    }

    /// Whether the session has said `hello`.
    pub fn is_open(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| session.stage != Stage::Admitted)
    }

    /// The connection is gone.
    pub fn closed(&mut self, key: SessionKey) {
        self.depart_all(key);
        self.sessions.remove(key);
    }

    /// The session goes on elsewhere.
    pub fn detach(&mut self, key: SessionKey) {
        if self.sessions.get(key).is_some() {
            self.depart_all(key);
            self.set_stage(key, Stage::Detached);
            self.end_detached(key);
        }
    }

    /// Says what is wrong, and closes where the code says so: from then on the session neither sends nor hears.
    pub fn fail(&mut self, key: SessionKey, reference: Reference<'_>, code: ErrorCode) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.stage != Stage::Detached)
        else {
            return;
        };
        session.push(&NodeFrame::Error(Error::new(reference, code)));
        if let Some(close) = code.close() {
            self.end(key, close);
        }
    }

    /// The node goes away: nobody new comes in, nobody is asked to move, and every session is closed.
    pub fn close_all(&mut self, code: CloseCode) {
        self.ending = true;
        for session in self.sessions.iter_mut() {
            session.sink.close(code);
            session.stage = Stage::Detached;
        }
    }

    /// Closes a session: from then on it neither sends nor hears.
    pub(super) fn end(&mut self, key: SessionKey, code: CloseCode) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.sink.close(code);
        session.stage = Stage::Detached;
        self.depart_all(key);
    }

    /// An answer to one of the session's sends went out.
    pub(super) fn answered(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.outstanding = session.outstanding.saturating_sub(1);
        self.end_detached(key);
    }

    /// The session follows nothing any more.
    fn depart_all(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        for name in std::mem::take(&mut session.topics) {
            // Also of a session that goes on elsewhere: nobody is to be told of moves.
            self.unfollow(key, &name, true);
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

    pub(super) fn set_stage(&mut self, key: SessionKey, stage: Stage) {
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

    /// Its user's name, to be shared.
    pub(super) fn member_name(&mut self) -> Arc<str> {
        let name = self.member_name.get_or_insert_with(|| Arc::from(&*self.holder.user));
        Arc::clone(name)
    }

    /// Whether its requests are answered, other than sends.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Live)
    }

    pub(super) fn push(&self, frame: &NodeFrame<'_>) {
        self.sink.push(frames::text(&frame.to_json()));
    }
}

// === impl Sessions ===

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self { slab: Slab::new(), index: SlotIndex::default(), serial: 0, waits: Waits::default() }
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

    /// In which of the 64 slots of a block users of sessions are at home, as bits from the lowest.
    pub(super) fn used(&self, block: usize) -> u64 {
        self.index.used(block)
    }

    /// Those whose users are at home in a slot.
    pub(super) fn in_slot(&self, slot: Slot) -> impl Iterator<Item = SessionKey> {
        let indices = self.index.get(slot).iter();
        indices.filter_map(|index| Some(self.slab.get(usize::try_from(*index).ok()?)?.key))
    }

    /// Has a session told `pending` at some time, if it still waits for a topic then.
    pub(super) fn wait(&mut self, key: SessionKey, name: Arc<str>, due_ms: u64) {
        self.waits.until(due_ms, key, name);
    }

    /// The next session that has waited long enough for a topic.
    pub(super) fn overdue(&mut self, now_ms: u64) -> Option<(SessionKey, Arc<str>)> {
        self.waits.next_late(now_ms)
    }

    /// The same for a topic to whose home no link stands, at an earlier time, if none stands then.
    pub(super) fn wait_for_link(&mut self, key: SessionKey, name: Arc<str>, due_ms: u64) {
        self.waits.for_link_until(due_ms, key, name);
    }

    /// Links were lost, or homes are elsewhere or seem dead: whoever waits is looked at again at an earlier time.
    pub(super) fn all_wait_for_links(&mut self, due_ms: u64) {
        self.waits.all_for_link_until(due_ms);
    }

    /// The next session that has waited long enough for a link to a topic's home.
    pub(super) fn unlinked(&mut self, now_ms: u64) -> Option<(SessionKey, Arc<str>)> {
        self.waits.next_unlinked(now_ms)
    }

    fn insert(&mut self, make: impl FnOnce(SessionKey) -> Session<S>) -> SessionKey {
        self.serial += 1;
        let entry = self.slab.vacant_entry();
        let key = SessionKey { index: entry.key(), serial: self.serial };
        let session = entry.insert(make(key));
        self.index.insert(session.slot, narrow(key.index));
        key
    }

    fn remove(&mut self, key: SessionKey) {
        if let Some(session) = self.get(key) {
            let index = narrow(key.index);
            self.index.remove(session.slot, |other| *other == index);
            self.slab.remove(key.index);
        }
    }
}

/// An index as it is kept: no process has so many sessions that one would not fit.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

// === impl SessionKey ===

impl SessionKey {
    pub(super) fn index(self) -> usize {
        self.index
    }
}
