//! Sessions come to topics: with `hello`, with `join`, and they are told where they stand before anything is replayed.

use std::sync::Arc;

use cluster::log::{LogError, Position, Read};
use cluster::wire::client::Since;
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{GroupAck, NodeFrame, Recovered, Recovery, Standing};

use super::again::Retry;
use super::followers::{Arrival, Beginning, Follower, JoinRequest, Missed};
use super::reads::Reader;
use super::session::Stage;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// How long a session waits to be told where it stands, milliseconds. Then it is told `pending`.
pub(super) const ARRIVAL_WAIT_MS: u64 = 2_000;

/// The same where no link to the topic's home stands, or that seems dead, milliseconds. One to a node that has just joined stands sooner; to one
/// that seems dead none will, and it takes its lease's end until the topic has another home.
pub(super) const LINK_WAIT_MS: u64 = 100;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session comes to a topic that it does not follow yet.
    pub(super) fn arrive(
        &mut self,
        key: SessionKey,
        name: &str,
        since: Option<Since>,
        join: Option<JoinRequest>,
        now: Now,
    ) {
        self.begin(key, name, Arrival { since, join, ..Arrival::default() }, now);
    }

    /// A back end has a session come to a topic that it does not follow yet: it is told once it stands there.
    pub(super) fn bring(&mut self, key: SessionKey, name: &str, now: Now) {
        // Like one that was told that this is pending.
        self.begin(key, name, Arrival { told: true, counted: true, ..Arrival::default() }, now);
    }

    fn begin(&mut self, key: SessionKey, name: &str, arrival: Arrival, now: Now) {
        let Some(shared) = self.follow(key, name, arrival) else { return };
        if let Some(session) = self.sessions.get_mut(key) {
            session.topics.push(Arc::clone(&shared));
        }
        self.at(now);
        self.has_follower(name);
        self.sessions.wait(key, Arc::clone(&shared), now.tick_ms + ARRIVAL_WAIT_MS);
        if self.is_unlinked(name) {
            self.sessions.wait_for_link(key, Arc::clone(&shared), now.tick_ms + LINK_WAIT_MS);
        }
        // Before it can be answered: who watches must be there.
        self.came_to(key, &shared);
        self.tell_of(name, now);
        self.advance(key, name, now);
    }

    /// Finds out what a session that arrives is to be told, as far as that is possible by now.
    pub(super) fn advance(&mut self, key: SessionKey, name: &str, now: Now) {
        let durable = self.config.retentions.of(name).is_some();
        let Some(topic) = self.topics.get_mut(name) else { return };
        let head = topic.feed.head();
        if !topic.standing || (durable && head.is_none()) {
            return;
        }
        let Some(follower) = topic.follower(key.index()) else { return };
        let Some(arrival) = follower.arrival() else { return };
        if arrival.recovery.is_some() || arrival.reader.is_some() {
            return;
        }
        match (arrival.begin(head), arrival.since) {
            (Beginning::Known(recovery), _) => self.arrived(key, name, recovery, now),
            (Beginning::Ask, Some(since)) => {
                let reader = self.read_after(name, since.epoch, since.offset, Reader::Probe(key));
                if let Some(arrival) = self.arrival(key, name) {
                    arrival.reader = reader;
                }
            }
            (Beginning::Ask, None) => {}
        }
    }

    /// The topic stands, or its position is known at last.
    pub(super) fn advance_all(&mut self, name: &str, now: Now) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let arrives = |follower: &mut Follower| follower.arrival().is_some().then_some(follower.index);
        let indices: Vec<usize> = topic.local.iter_mut().filter_map(arrives).collect();
        for index in indices {
            if let Some(key) = self.sessions.at(index).map(|session| session.key) {
                self.advance(key, name, now);
            }
        }
    }

    /// The log says whether what the session wants is still there.
    pub(super) fn probed(
        &mut self,
        key: SessionKey,
        name: &Arc<str>,
        reader: u64,
        result: Result<Read, LogError>,
        now: Now,
    ) {
        let Some(arrival) = self.arrival(key, name).filter(|arrival| arrival.reader == Some(reader)) else {
            return;
        };
        arrival.reader = None;
        let since = arrival.since;
        match result {
            Ok(read) if !self.fits(name, &read) => {
                self.ask_home_again(name);
                self.again.push(name, Retry::Probe(key));
            }
            Ok(Read::Page(page)) if page.gap.is_none() => {
                // It may have had, elsewhere, what this node was not told of yet: no head is told below that.
                self.log_holds(name, since.map_or(0, |since| since.offset));
                self.arrived(key, name, Recovery::Whole, now);
            }
            Ok(read) => {
                if let Some(arrival) = self.arrival(key, name) {
                    arrival.missed = Missed::of(&read);
                }
                self.arrived(key, name, Recovery::Partly, now);
            }
            Err(_) => {
                self.again.push(name, Retry::Probe(key));
                self.keep_waiting_no_longer(key, name, now);
            }
        }
    }

    /// The log does not answer: sessions that arrive are told so at once, and the rest when it does.
    pub(super) fn tell_pending(&mut self, name: &str, now: Now) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let untold = |follower: &mut Follower| {
            let untold = follower.arrival().is_some_and(|arrival| !arrival.told);
            untold.then_some(follower.index)
        };
        let indices: Vec<usize> = topic.local.iter_mut().filter_map(untold).collect();
        for index in indices {
            if let Some(key) = self.sessions.at(index).map(|session| session.key) {
                self.keep_waiting_no_longer(key, name, now);
            }
        }
    }

    /// What a session that waited long enough is told.
    pub(super) fn keep_waiting_no_longer(&mut self, key: SessionKey, name: &str, now: Now) {
        let head = self.topics.get(name).and_then(|topic| topic.feed.head());
        let Some(arrival) = self.arrival(key, name) else { return };
        if arrival.told || arrival.recovery.is_some() {
            return;
        }
        arrival.told = true;
        let join = arrival.join.take();
        let counted = std::mem::replace(&mut arrival.counted, true);
        match join {
            Some(join) => self.answer_join(key, name, &join, head, Recovery::Pending),
            None if !counted => self.resolved(key, now),
            None => {}
        }
    }

    /// It is known what to tell: it is told, by `welcome` or after it.
    fn arrived(&mut self, key: SessionKey, name: &str, recovery: Recovery, now: Now) {
        let awaited = self.is_awaited(key, name);
        let Some(arrival) = self.arrival(key, name) else { return };
        arrival.recovery = Some(recovery);
        if awaited {
            arrival.counted = true;
            return self.resolved(key, now);
        }
        if self.sessions.get(key).is_some_and(|session| session.stage == Stage::Live) {
            self.tell_arrived(key, name);
        }
    }

    /// A live session is told what is known, unless `welcome` has just told it, and goes on.
    pub(super) fn tell_arrived(&mut self, key: SessionKey, name: &str) {
        let head = self.topics.get(name).and_then(|topic| topic.feed.head());
        let Some(arrival) = self.arrival(key, name) else { return };
        let Some(recovery) = arrival.recovery else { return };
        match (arrival.join.take(), std::mem::take(&mut arrival.told)) {
            (Some(join), _) => self.answer_join(key, name, &join, head, recovery),
            (None, true) => {
                if let Some(session) = self.sessions.get(key) {
                    let standing = Standing::In { position: head, recovered: recovery };
                    session.push(&NodeFrame::Recovered(Recovered { topic: name, standing }));
                }
            }
            (None, false) => {}
        }
        self.go_on(key, name);
    }

    /// Whether `welcome` waits for what is found out of this topic.
    pub(super) fn is_awaited(&mut self, key: SessionKey, name: &str) -> bool {
        let waits = self.sessions.get(key).is_some_and(|session| session.stage == Stage::Waiting);
        waits && self.arrival(key, name).is_some_and(|arrival| arrival.join.is_none() && !arrival.counted)
    }

    /// It was told where it stands: now it gets what it missed, and what comes.
    fn go_on(&mut self, key: SessionKey, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let head = topic.feed.head();
        let Some(follower) = topic.follower(key.index()) else { return };
        let Some(arrival) = follower.arrival().filter(|arrival| arrival.recovery.is_some()) else { return };
        let missed = arrival.missed;
        follower.reading = arrival.go_on(head);
        // Not left to the next read: by then the log may have grown past the place that it had gone back behind.
        if let Some(missed) = missed {
            self.skip(key, name, missed);
        }
        self.replay_on(key, name);
    }

    /// A link to a home was lost, or homes are elsewhere: whoever waits for one without a link need not wait as long.
    pub(super) fn wait_for_links(&mut self) {
        self.sessions.all_wait_for_links(self.now.tick_ms + LINK_WAIT_MS);
    }

    /// Tells sessions that have waited long enough.
    pub(super) fn tell_overdue(&mut self, now: Now) {
        while let Some((key, name)) = self.sessions.unlinked(now.tick_ms) {
            self.refresh(&name);
            if self.is_unlinked(&name) {
                self.keep_waiting_no_longer(key, &name, now);
            }
        }
        while let Some((key, name)) = self.sessions.overdue(now.tick_ms) {
            self.keep_waiting_no_longer(key, &name, now);
        }
    }

    /// Whether a topic's home is elsewhere, and out of reach or seems dead; also if it has none.
    fn is_unlinked(&self, name: &str) -> bool {
        match self.topics.get(name).map(|topic| &topic.place) {
            Some(Place::There(home)) => !self.homes.is_linked(home) || self.is_suspected(home),
            Some(Place::Nowhere) => true,
            Some(Place::Here) | None => false,
        }
    }

    /// What `welcome` says of one of the session's topics; nothing if the answer to a `join` will.
    pub(super) fn standing(&mut self, key: SessionKey, name: &str) -> Option<Standing> {
        let Some(topic) = self.topics.get_mut(name) else {
            return Some(Standing::Refused { error: ErrorCode::NotJoined });
        };
        let position = topic.feed.head();
        let arrival = topic.follower(key.index()).and_then(Follower::arrival)?;
        if arrival.join.is_some() {
            return None;
        }
        // If it is not known yet, `recovered` will follow.
        arrival.told = arrival.recovery.is_none();
        Some(Standing::In { position, recovered: arrival.recovery.unwrap_or(Recovery::Pending) })
    }

    /// One more topic of a `hello` can be told of.
    pub(super) fn resolved(&mut self, key: SessionKey, now: Now) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.unresolved = session.unresolved.saturating_sub(1);
        if session.unresolved == 0 && session.stage == Stage::Waiting {
            self.welcome(key, now);
        }
    }

    fn answer_join(
        &mut self,
        key: SessionKey,
        name: &str,
        join: &JoinRequest,
        position: Option<Position>,
        recovered: Recovery,
    ) {
        let Some(session) = self.sessions.get(key).filter(|session| session.is_open()) else { return };
        let reference = join.reference.as_deref();
        let ack = GroupAck { reference, topic: name, position, recovered: Some(recovered) };
        session.push(&NodeFrame::Group(ack));
        self.watch(key, name, join.presence);
    }

    pub(super) fn arrival(&mut self, key: SessionKey, name: &str) -> Option<&mut Arrival> {
        self.sessions.get(key)?;
        self.topics.get_mut(name)?.follower(key.index())?.arrival()
    }
}
