//! How far a topic's entries were given to the sessions of this node, and how what was missed is found.
//!
//! Its home tells where it stands and passes entries on. Whoever sees a jump reads the log: once, for all sessions here.

use std::sync::Arc;

use bytes::Bytes;
use cluster::log::{Entry, LogError, Page, Position, Read};
use cluster::wire::node::{Gap, GapReason, Message, Name, NodeFrame};
use serde_json::value::RawValue;

use super::again::Retry;
use super::reads::Reader;
use super::stream::is_ahead;
use super::{Core, LinkSink, Now, Place, SessionSink};
use crate::frames;

/// What a node knows of a topic's entries.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The newest entry that the sessions here got. `None` before the topic's home told where it stands.
    pub(super) position: Option<Position>,
    /// The newest entry that is known of in that epoch.
    wanted: u64,
    /// The read that is out for what is missing.
    reader: Option<u64>,
    /// The log and the home do not agree: the home is to look again.
    pub(super) verify: bool,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Whether what `node` says of a topic counts. An old home's late word may still tell of entries; but of epochs only the
    /// present home's counts, or an old epoch would seem to come after the new one.
    pub(super) fn may_take(&self, name: &str, at: Position, node: &str) -> bool {
        let Some(topic) = self.topics.get(name) else { return false };
        let is_home = match &topic.place {
            Place::Here => node == self.me.id,
            Place::There(home) => home == node,
            Place::Nowhere => false,
        };
        is_home || topic.feed.position.is_some_and(|position| position.epoch == at.epoch)
    }

    /// The topic's home says where it stands.
    pub(super) fn take_head(&mut self, name: &str, head: Position, now: Now) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        topic.standing = true;
        match topic.feed.position {
            None => topic.feed.position = Some(head),
            Some(position) if position.epoch == head.epoch => {
                topic.feed.wanted = topic.feed.wanted.max(head.offset);
            }
            Some(position) => self.begin_anew(name, position, head),
        }
        self.heal(name);
        self.advance_all(name, now);
    }

    /// An entry that the topic's home passed on.
    pub(super) fn take_entry(&mut self, name: &str, at: Position, frame: &Bytes, now: Now) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        if topic.feed.position.is_none_or(|position| position.epoch != at.epoch) {
            let before = Position { offset: at.offset.saturating_sub(1), ..at };
            self.take_head(name, before, now);
        }
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(position) = topic.feed.position else { return };
        if topic.feed.reader.is_none() && at.offset == position.offset + 1 {
            topic.feed.position = Some(at);
            self.give(name, at.offset, frame);
        } else if at.offset > position.offset {
            topic.feed.wanted = topic.feed.wanted.max(at.offset);
            self.heal(name);
        }
    }

    /// The log itself has shown an entry of this epoch that perhaps was not passed on here yet.
    pub(super) fn log_holds(&mut self, name: &str, offset: u64) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.feed.wanted = topic.feed.wanted.max(offset);
        }
        self.heal(name);
    }

    /// What the log says about entries that were missed.
    pub(super) fn healed(&mut self, name: &Arc<str>, reader: u64, result: Result<Read, LogError>) {
        let Some(topic) = self.topics.get_mut(name).filter(|topic| topic.feed.reader == Some(reader)) else {
            return;
        };
        topic.feed.reader = None;
        match result {
            Ok(Read::Page(page)) => self.give_page(name, &page),
            Ok(Read::Absent | Read::RolledBack(_) | Read::OtherEpoch(_)) => self.ask_home_again(name),
            Err(_) => self.again.push(name, Retry::Heal),
        }
    }

    /// Reads what is missing, if something is and nothing is out.
    pub(super) fn heal(&mut self, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(position) = topic.feed.position else { return };
        if topic.local.is_empty() {
            // Nobody has missed anything.
            topic.feed.position = topic.feed.head();
        }
        if topic.local.is_empty() || topic.feed.reader.is_some() || topic.feed.wanted <= position.offset {
            return;
        }
        let reader = self.read_after(name, Some(position.epoch), position.offset, Reader::Heal);
        if let Some(topic) = self.topics.get_mut(name) {
            topic.feed.reader = reader;
        }
    }

    /// Whether what the log says is of the epoch that the home told, and of all that was passed on here. If not the log went
    /// back or goes on in another epoch, which its home will say; or its reader is one that is behind.
    pub(super) fn fits(&self, name: &str, read: &Read) -> bool {
        let Some(seen) = self.topics.get(name).and_then(|topic| topic.feed.head()) else { return false };
        match read {
            Read::Page(page) => page.position.epoch == seen.epoch,
            Read::OtherEpoch(head) => head.epoch == seen.epoch,
            Read::RolledBack(head) => head.epoch == seen.epoch && !is_ahead(seen, *head),
            Read::Absent => false,
        }
    }

    /// What the log holds does not fit what the home said: the home shall look, and say. It is asked once a tick at most, as
    /// a reader that is behind stays so for a while.
    pub(super) fn ask_home_again(&mut self, name: &str) {
        let Some(shared) = self.topics.name(name) else { return };
        if self.again.has(&shared, Retry::Heal) {
            return;
        }
        self.again.push(&shared, Retry::Heal);
        let Some(topic) = self.topics.get_mut(name) else { return };
        let known = topic.feed.head();
        if let Some(stream) = &mut topic.stream {
            stream.learn(known);
            self.doubt(name);
        } else {
            topic.feed.verify = true;
            let place = topic.place.clone();
            self.tell_home_of(&place, name);
        }
    }

    fn give_page(&mut self, name: &str, page: &Page) {
        if let Some(gap) = page.gap {
            self.give_gap(name, (gap.after, Some(gap.before)), page.position, GapReason::Trimmed);
            self.advance_feed(name, Position { offset: gap.before - 1, ..page.position });
        }
        for entry in &page.entries {
            let at = Position { offset: entry.offset, ..page.position };
            self.advance_feed(name, at);
            self.give(name, at.offset, &frame_of(name, Name::Entry(at), entry));
        }
        let Some(topic) = self.topics.get(name) else { return };
        let missing = topic.feed.position.is_some_and(|position| position.offset < topic.feed.wanted);
        if missing && page.entries.is_empty() && page.gap.is_none() {
            // The home knows of more than the log does.
            self.ask_home_again(name);
        } else {
            self.heal(name);
        }
    }

    /// The topic goes on in another epoch, whose entries nobody here has seen.
    fn begin_anew(&mut self, name: &str, lost: Position, head: Position) {
        self.counts.logs_lost += 1;
        self.give_gap(name, (lost.offset, None), head, GapReason::LogLost);
        let Some(topic) = self.topics.get_mut(name) else { return };
        topic.feed =
            Feed { position: Some(Position { offset: 0, ..head }), wanted: head.offset, ..Feed::default() };
        topic.local.iter_mut().for_each(super::followers::Follower::forget);
    }

    fn advance_feed(&mut self, name: &str, at: Position) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.feed.position = Some(at);
        }
    }

    /// Tells everybody live what they will never get: what lies before `before`, or all that they had not had of an epoch.
    fn give_gap(
        &mut self,
        name: &str,
        (after, before): (u64, Option<u64>),
        head: Position,
        reason: GapReason,
    ) {
        let Some(topic) = self.topics.get(name) else { return };
        for follower in &topic.local {
            let Some(after) = follower.has_had(after) else { continue };
            if before.is_some_and(|before| after + 1 >= before) {
                continue;
            }
            let before = before.unwrap_or(1);
            let gap = NodeFrame::Gap(Gap { topic: name, epoch: head.epoch, after, before, reason });
            if let Some(session) = self.sessions.at(follower.index).filter(|session| session.listens()) {
                session.push(&gap);
                self.counts.delivered += 1;
            }
        }
    }

    /// Puts a frame into the queues of those who get what is passed on, and have not had this offset otherwise.
    fn give(&mut self, name: &str, offset: u64, frame: &Bytes) {
        let Some(topic) = self.topics.get(name) else { return };
        for follower in topic.local.iter().filter(|follower| follower.takes(offset)) {
            if let Some(session) = self.sessions.at(follower.index).filter(|session| session.listens()) {
                session.sink.push(frame.clone());
                self.counts.delivered += 1;
            }
        }
    }
}

// === impl Feed ===

impl Feed {
    /// Where the topic stands as far as this node knows.
    pub(super) fn head(&self) -> Option<Position> {
        self.position.map(|position| Position { offset: position.offset.max(self.wanted), ..position })
    }
}

/// An entry of the log as its frame.
pub(super) fn frame_of(topic: &str, name: Name<'_>, entry: &Entry) -> Bytes {
    let data = json_of(entry);
    frames::text(&Message { topic, name, from: &entry.from, data, time: entry.time_ms }.to_json())
}

/// What this cluster appended is JSON. A stranger's bytes must not break the frame that they would be part of.
pub(super) fn json_of(entry: &Entry) -> &str {
    serde_json::from_slice::<&RawValue>(&entry.data).map_or("null", RawValue::get)
}
