//! A session reads what it missed from the log, as its socket takes it, until it has reached what is passed on.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::log::{LogError, Page, Position, Read};
use cluster::planted::{self, Bug};
use cluster::wire::node::{Gap, GapReason, Name, NodeFrame};

use super::again::Retry;
use super::feed::frame_of;
use super::followers::{Missed, Reading, Replay};
use super::reads::Reader;
use super::{Core, LinkSink, SessionKey, SessionSink};

/// The topics that a session has still to read on in. One read at a time is out for it, so that no more is read ahead of
/// its socket however many topics it has missed something of.
#[derive(Debug, Default)]
pub(super) struct Turn {
    topics: VecDeque<Arc<str>>,
    /// A read is out.
    reads: bool,
    /// It waits for the next tick.
    later: bool,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Reads on, as soon as it is this topic's turn and the session's queue has room.
    pub(super) fn replay_on(&mut self, key: SessionKey, name: &str) {
        let Some(shared) = self.topics.name(name) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.turn.topics.contains(&shared) {
            session.turn.topics.push_back(shared);
        }
        self.read_next(key);
    }

    /// The time has come to try again.
    pub(super) fn replay_again(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.turn.later = false;
            self.read_next(key);
        }
    }

    /// A session's read was answered, whatever it was for.
    pub(super) fn replay_read(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.turn.reads = false;
        }
    }

    /// Reads on in the next of the session's topics.
    pub(super) fn read_next(&mut self, key: SessionKey) {
        let most = self.bytes_ahead();
        while let Some(session) = self.sessions.get_mut(key).filter(|session| session.listens()) {
            let Some(name) = session.turn.next() else { return };
            if session.sink.waiting_bytes() >= most {
                return self.replay_later(key, name);
            }
            let Some(replay) = self.replay(key, &name).filter(|replay| replay.reader.is_none()) else {
                continue;
            };
            let (epoch, offset) = (replay.epoch, replay.offset);
            let reader = self.read_after(&name, epoch, offset, Reader::Replay(key));
            if let Some(replay) = self.replay(key, &name) {
                replay.reader = reader;
            }
            match (reader, self.sessions.get_mut(key)) {
                (Some(_), Some(session)) => session.turn.reads = true,
                _ => return self.replay_later(key, name),
            }
        }
    }

    /// Tries again with the next tick.
    fn replay_later(&mut self, key: SessionKey, name: Arc<str>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.turn.topics.contains(&name) {
            session.turn.topics.push_front(Arc::clone(&name));
        }
        if !std::mem::replace(&mut session.turn.later, true) {
            self.again.push(&name, Retry::Replay(key));
        }
    }

    /// The log gives what a session missed.
    pub(super) fn replayed(
        &mut self,
        key: SessionKey,
        name: &str,
        reader: u64,
        result: Result<Read, LogError>,
    ) {
        let Some(replay) = self.replay(key, name).filter(|replay| replay.reader == Some(reader)) else {
            return;
        };
        replay.reader = None;
        match result {
            Ok(Read::Page(page)) => self.replay_page(key, name, &page),
            Ok(read) if !self.fits(name, &read) => self.doubt_replay(key, name),
            Ok(read) => {
                if let Some(missed) = Missed::of(&read) {
                    self.skip(key, name, missed);
                }
                self.replay_on(key, name);
            }
            Err(_) => self.replay_later(key, Arc::from(name)),
        }
    }

    /// The home and the log do not agree.
    fn doubt_replay(&mut self, key: SessionKey, name: &str) {
        self.ask_home_again(name);
        let name: Arc<str> = Arc::from(name);
        // Behind the session's other topics, which need not wait for this one's home.
        if let Some(session) = self.sessions.get_mut(key)
            && !session.turn.topics.contains(&name)
        {
            session.turn.topics.push_back(Arc::clone(&name));
        }
        self.replay_later(key, name);
    }

    fn replay_page(&mut self, key: SessionKey, name: &str, page: &Page) {
        let false_gap = planted::is(Bug::FalseGap) && self.ring.log_generation() > 1;
        let Some(replay) = self.replay(key, name) else { return };
        if false_gap && replay.epoch.is_some() {
            let begin = Position { offset: 0, ..page.position };
            return self.skip(key, name, Missed { before: 1, next: begin, reason: GapReason::LogLost });
        }
        let all = replay.epoch.is_none();
        replay.epoch = Some(page.position.epoch);
        match Missed::on(page) {
            Some(missed) if all => replay.offset = missed.next.offset,
            Some(missed) => self.skip(key, name, missed),
            None => {}
        }
        let Some(session) = self.sessions.get(key) else { return };
        let lost = usize::from(!page.more && planted::is(Bug::LoseReplayed));
        for entry in &page.entries[..page.entries.len().saturating_sub(lost)] {
            let at = Position { offset: entry.offset, ..page.position };
            session.sink.push(frame_of(name, Name::Replayed(at), entry));
            self.counts.replayed += 1;
        }
        // Looked up once, not for each entry: it is a search among all followers.
        if let (Some(replay), Some(last)) = (self.replay(key, name), page.entries.last()) {
            replay.offset = last.offset;
        }
        if page.more || !self.end_replay(key, name) {
            self.replay_beyond(key, name, page);
        }
    }

    /// More was passed on than the page holds.
    fn replay_beyond(&mut self, key: SessionKey, name: &str, page: &Page) {
        if page.entries.is_empty() && page.gap.is_none() {
            self.doubt_replay(key, name);
        } else {
            self.replay_on(key, name);
        }
    }

    /// Lets the session have what is passed on, if it has read everything before.
    fn end_replay(&mut self, key: SessionKey, name: &str) -> bool {
        let Some(topic) = self.topics.get_mut(name) else { return true };
        let Some(position) = topic.feed.position else { return false };
        let Some(follower) = topic.follower(key.index()) else { return true };
        let Some(after) = follower.replay().filter(|replay| replay.has_reached(position)).map(|r| r.offset)
        else {
            return false;
        };
        follower.reading = Reading::Live { after };
        true
    }

    /// Tells a session what it will never get, and goes on behind it.
    pub(super) fn skip(&mut self, key: SessionKey, name: &str, missed: Missed) {
        let Missed { before, next, reason } = missed;
        let Some(replay) = self.replay(key, name) else { return };
        let after = replay.offset;
        (replay.epoch, replay.offset) = (Some(next.epoch), next.offset);
        if let Some(session) = self.sessions.get(key) {
            let gap = Gap { topic: name, epoch: next.epoch, after, before, reason };
            session.push(&NodeFrame::Gap(gap));
        }
    }

    fn replay(&mut self, key: SessionKey, name: &str) -> Option<&mut Replay> {
        self.sessions.get(key)?;
        self.topics.get_mut(name)?.follower(key.index())?.replay()
    }
}

// === impl Turn ===

impl Turn {
    fn next(&mut self) -> Option<Arc<str>> {
        if self.reads || self.later {
            return None;
        }
        let next = self.topics.pop_front();
        if next.is_none() {
            // Most sessions never need it again.
            self.topics = VecDeque::new();
        }
        next
    }
}
