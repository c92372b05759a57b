//! This node as a home: processes that asked for topics here, and what they send here to be passed on.

use std::sync::Arc;

use bytes::Bytes;
use cluster::homes::{CALL_WAIT_MS, Outgoing};
use cluster::log::Position;
use cluster::maps::{HashMap, HashSet, SteadySet};
use cluster::wire::peer::{Audience, FromHome, Interest, Publish, Question, ToHome, decode, encode};

use super::requests::Waiter;
use super::topics::Topic;
use super::{Core, LinkSink, Now, Place, SessionSink};

/// Every process that uses this node as a home, by the link it dialled.
#[derive(Debug)]
pub(super) struct Askers<L>(HashMap<u64, Asker<L>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Asker<L> {
    pub(super) sink: L,
    /// The process behind it.
    peer: Option<Box<str>>,
    topics: SteadySet<Arc<str>>,
    /// Topics of which something durable could not be sent: their heads are, as soon as there is room.
    behind: HashSet<Arc<str>>,
    /// A message was refused: none is taken until the sender begins again, so that none overtakes it.
    refusing: bool,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Somebody dialled.
    pub fn asker_opened(&mut self, link: u64, sink: L) {
        let (topics, behind) = (SteadySet::default(), HashSet::default());
        self.askers.0.insert(link, Asker { sink, peer: None, topics, behind, refusing: false });
    }

    /// Who that was.
    pub fn asker_is(&mut self, link: u64, peer: &str) {
        if let Some(asker) = self.askers.0.get_mut(&link) {
            asker.peer = Some(peer.into());
        }
    }

    /// Their link is gone, and their interest with it. Only the first piece of it; the rest is for [`Core::work_off`].
    pub fn asker_closed(&mut self, link: u64) {
        if let Some(asker) = self.askers.0.remove(&link) {
            self.begin_leaving(link, asker.topics, asker.behind);
        }
    }

    /// A frame on such a link.
    pub fn asked(&mut self, link: u64, frame: &[u8], now: Now) {
        self.at(now);
        match decode::<ToHome<'_>>(frame) {
            Some(ToHome::Interest { call, topics }) => self.take_interest(link, call, &topics),
            Some(ToHome::Publish(publish)) => self.take_publish(link, &publish, now),
            Some(ToHome::Again) => self.askers.set_refusing(link, false),
            Some(ToHome::Members(members)) => {
                self.refresh(members.topic);
                self.take_members(link, &members);
            }
            Some(ToHome::Ask { call, question: Question::User(user) }) => self.tell_user(link, call, user),
            Some(ToHome::Ask { call, question: Question::Control { user, control } }) => {
                self.take_control(link, call, (user, control), now);
            }
            Some(ToHome::Ask { call, question: Question::Sessions(_) }) => self.tell_sessions(link, call),
            Some(ToHome::Ask { call, question }) => self.take_question(link, call, &question),
            // A process of a later version: its frame is ignored as unknown ops are.
            None => {}
        }
    }

    fn take_interest(&mut self, link: u64, call: u64, topics: &[Interest<'_>]) {
        // The end of an interest is taken note of wherever the topic is at home.
        if topics.iter().any(|interest| interest.sessions > 0 && !self.is_home(interest.topic)) {
            let refusal = FromHome::NotHome { call, version: self.ring.version().as_u64() };
            return self.askers.send(link, &refusal, &mut self.counts.dropped_link_full);
        }
        let positions = topics.iter().map(|interest| self.set_interest(link, interest)).collect();
        let answer = encode(&FromHome::Interested { call, positions });
        if !self.askers.get(link).is_some_and(|asker| asker.sink.send(answer)) {
            self.counts.dropped_link_full += 1;
            let missed = topics.iter().map(|interest| interest.topic);
            missed.for_each(|name| self.askers.fall_behind(link, name));
        }
    }

    /// Answers where the topic stands, if that is known; otherwise its head follows.
    fn set_interest(&mut self, link: u64, interest: &Interest<'_>) -> Option<Position> {
        let Interest { topic: name, sessions, .. } = *interest;
        self.refresh(name);
        let asker = self.askers.0.get_mut(&link)?;
        if sessions == 0 {
            let followed = asker.topics.remove(name).is_some();
            asker.behind.remove(name);
            if let Some(topic) = self.topics.get_mut(name) {
                topic.set_remote(link, 0);
            }
            if followed {
                self.lost_follower(name);
            }
            self.topics.release(name);
            return None;
        }
        asker.topics.get_or_insert_with(name, || (Arc::from(name), ()));
        let slot = self.ring.key().slot(name);
        self.topics.entry(name, || Topic::new(slot, Place::Here)).set_remote(link, sessions);
        self.has_follower(name);
        self.stands_for(link, interest)
    }

    /// Tells processes that fell behind where their topics stand, as far as their links take it.
    pub(super) fn send_heads(&mut self) {
        for asker in self.askers.0.values_mut().filter(|asker| !asker.behind.is_empty()) {
            let (topics, mut full) = (&self.topics, false);
            asker.behind.retain(|name| {
                if full {
                    return true;
                }
                let stream = topics.get(name).and_then(|topic| topic.stream.as_ref());
                let Some(position) = stream.and_then(|stream| stream.position) else { return false };
                full = !asker.sink.send(encode(&FromHome::Head { topic: name, position }));
                full
            });
        }
    }

    fn take_publish(&mut self, link: u64, publish: &Publish<'_>, now: Now) {
        let (call, message) = (publish.call, Outgoing::of(publish));
        let topics = match &publish.to {
            Audience::Topics(topics) => topics,
            Audience::Everyone { matching } => {
                // For this node whatever the ring says, so it is taken also while messages to topics are refused: those
                // to everyone are in order among themselves.
                let online = self.pass_to_everyone(&message, *matching, now);
                let answer = FromHome::Published { call, online, position: None, failed: Vec::new() };
                return self.answer_asker(link, &answer);
            }
        };
        let refusing = self.askers.get(link).is_none_or(|asker| asker.refusing);
        if refusing || !topics.iter().all(|name| self.is_home(name)) {
            return self.refuse_publish(link, call);
        }
        let names = if topics.len() > 1 { &topics[..] } else { &[] };
        let waiter = Waiter::Peer { link, call, topics: names.iter().map(|name| Box::from(*name)).collect() };
        let request = self.requests.open(waiter, topics.len(), now.tick_ms + CALL_WAIT_MS);
        for topic in topics {
            self.take_message(request, topic, &message, now);
        }
        self.finish_empty(request, topics.len());
    }

    /// Takes nothing more on this link until its process begins again.
    pub(super) fn refuse_publish(&mut self, link: u64, call: u64) {
        self.askers.set_refusing(link, true);
        let version = self.ring.version().as_u64();
        self.answer_asker(link, &FromHome::NotHome { call, version });
    }

    /// Answers a process that uses this node as a home, if its link is still there.
    pub(super) fn answer_asker(&mut self, link: u64, answer: &FromHome<'_>) {
        self.askers.send(link, answer, &mut self.counts.dropped_link_full);
    }
}

// === impl Askers ===

impl<L> Default for Askers<L> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<L: LinkSink> Askers<L> {
    /// Whether this process has a link here.
    pub(super) fn has(&self, peer: &str) -> bool {
        self.0.values().any(|asker| asker.peer.as_deref() == Some(peer))
    }

    pub(super) fn get(&self, link: u64) -> Option<&Asker<L>> {
        self.0.get(&link)
    }

    /// Sends a frame to everybody; answers which links did not take it.
    pub(super) fn tell_all(&self, frame: &Bytes) -> Vec<u64> {
        let untold = self.0.iter().filter(|(_, asker)| !asker.sink.send(frame.clone()));
        untold.map(|(link, _)| *link).collect()
    }

    fn set_refusing(&mut self, link: u64, refusing: bool) {
        if let Some(asker) = self.0.get_mut(&link) {
            asker.refusing = refusing;
        }
    }

    /// Sends something durable of a topic, or else remembers to send its head.
    pub(super) fn pass(&mut self, link: u64, frame: &Bytes, name: &str, dropped: &mut u64) {
        if !self.0.get(&link).is_some_and(|asker| asker.sink.send(frame.clone())) {
            *dropped += 1;
            self.fall_behind(link, name);
        }
    }

    fn fall_behind(&mut self, link: u64, name: &str) {
        if let Some(asker) = self.0.get_mut(&link) {
            asker.behind.insert(Arc::from(name));
        }
    }

    fn send(&self, link: u64, frame: &FromHome<'_>, dropped: &mut u64) {
        if let Some(asker) = self.0.get(&link)
            && !asker.sink.send(encode(frame))
        {
            *dropped += 1;
        }
    }
}
