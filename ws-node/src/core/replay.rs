//! A session reads what it missed from the log, as its socket takes it, until it has reached what is passed on.

use cluster::log::{LogError, Page, Position, Read};
use cluster::wire::node::{Gap, GapReason, Name, NodeFrame};

use super::feed::frame_of;
use super::followers::{Reading, Replay};
use super::reads::{BYTES_PER_READ, Reader};
use super::stream::is_ahead;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Reads on, as soon as the session's queue has room.
    pub(super) fn replay_on(&mut self, key: SessionKey, name: &str) {
        let Some(replay) = self.replay(key, name).filter(|replay| replay.reader.is_none()) else { return };
        let (epoch, offset) = (replay.epoch, replay.offset);
        let Some(session) = self.sessions.get(key).filter(|session| session.listens()) else { return };
        if session.sink.waiting_bytes() >= BYTES_PER_READ {
            return self.reads.again(name, Reader::Replay(key));
        }
        let reader = self.read_after(name, epoch, offset, Reader::Replay(key));
        if let Some(replay) = self.replay(key, name) {
            replay.reader = reader;
        }
    }

    /// The log gives what a session missed.
    pub(super) fn replayed(
        &mut self,
        key: SessionKey,
        name: &str,
        reader: u64,
        result: Result<Read, LogError>,
        now: Now,
    ) {
        let Some(replay) = self.replay(key, name).filter(|replay| replay.reader == Some(reader)) else {
            return;
        };
        replay.reader = None;
        match result {
            Ok(Read::Page(page)) => self.replay_page(key, name, &page, now),
            Ok(Read::OtherEpoch(head)) => {
                self.skip(key, name, (1, Position { offset: 0, ..head }), GapReason::LogLost);
                self.replay_on(key, name);
            }
            Ok(Read::RolledBack(head)) => {
                self.skip(key, name, (head.offset.saturating_add(1), head), GapReason::LogLost);
                let seen = self.topics.get(name).and_then(|topic| topic.feed.position);
                if seen.is_some_and(|seen| is_ahead(seen, head)) {
                    // Not only the client says so: the log went back.
                    self.ask_home_again(name, now);
                }
                self.replay_on(key, name);
            }
            Ok(Read::Absent) => {
                self.ask_home_again(name, now);
                self.reads.again(name, Reader::Replay(key));
            }
            Err(_) => self.reads.again(name, Reader::Replay(key)),
        }
    }

    fn replay_page(&mut self, key: SessionKey, name: &str, page: &Page, now: Now) {
        let Some(replay) = self.replay(key, name) else { return };
        let all = replay.epoch.is_none();
        replay.epoch = Some(page.position.epoch);
        if let Some(gap) = page.gap {
            let next = Position { offset: gap.before - 1, ..page.position };
            if all {
                replay.offset = next.offset;
            } else {
                self.skip(key, name, (gap.before, next), GapReason::Trimmed);
            }
        }
        for entry in &page.entries {
            let at = Position { offset: entry.offset, ..page.position };
            let frame = frame_of(name, Name::Replayed(at), entry);
            if let Some(session) = self.sessions.get(key) {
                session.sink.push(frame);
                self.counts.replayed += 1;
            }
            if let Some(replay) = self.replay(key, name) {
                replay.offset = entry.offset;
            }
        }
        if page.more || !self.end_replay(key, name) {
            self.replay_beyond(key, name, page, now);
        }
    }

    /// More was passed on than the page holds.
    fn replay_beyond(&mut self, key: SessionKey, name: &str, page: &Page, now: Now) {
        if page.entries.is_empty() && page.gap.is_none() {
            // The home and the log do not agree.
            self.ask_home_again(name, now);
            self.reads.again(name, Reader::Replay(key));
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
    fn skip(&mut self, key: SessionKey, name: &str, (before, next): (u64, Position), reason: GapReason) {
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
