//! Requests to pass a message on, of sessions here and of peers: each is answered once, when all its topics have come to
//! an end, wherever they are at home.

use std::sync::Arc;

use cluster::homes::{CALL_WAIT_MS, Done, NotTaken, Outcome, Outgoing, RequestKey, View, is_late};
use cluster::log::Position;
use cluster::maps::HashMap;
use cluster::planted::{self, Bug};
use cluster::wire::client::Reference;
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{Ack, Error, Failed, NodeFrame};
use cluster::wire::peer::{Audience, FromHome};
use cluster::wire::topic::{EVERYONE, inbox_owner};
use serde_json::value::RawValue;

use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// All that are open.
pub(super) type Requests = cluster::homes::Requests<Waiter>;

/// Who waits for a request's answer.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A session of this node.
    Session {
        key: SessionKey,
        reference: Option<Box<RawValue>>,
        /// It named several users, and is told whom of them it failed for.
        several: bool,
    },
    /// A process that uses this node as a home.
    Peer {
        link: u64,
        call: u64,
        /// The request's topics in order, if there are several.
        topics: Box<[Box<str>]>,
    },
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Publishes a session's message to each of these topics' homes: one frame a home, not a topic.
    pub(super) fn publish(
        &mut self,
        request: RequestKey,
        message: &Outgoing<'_>,
        topics: &[&str],
        (due_ms, now): (u64, Now),
    ) {
        topics.iter().for_each(|topic| self.refresh(topic));
        let (ring, me) = (Arc::clone(&self.ring), self.me.id.clone());
        let topics = match topics {
            [rest @ .., last] if !rest.is_empty() && planted::is(Bug::SkipLast) => {
                self.settle(request, last, Outcome::Passed { online: 0 });
                rest
            }
            topics => topics,
        };
        // Behind what waits for the log here, though the home is another node by now.
        let leaving = |topic: &&str| !message.ephemeral && self.is_leaving(topic);
        let (leaving, topics): (Vec<&str>, Vec<&str>) = topics.iter().copied().partition(leaving);
        let split = View { ring: &ring, me: &me }.split(topics);
        for topic in split.here.into_iter().chain(leaving) {
            self.take_message(request, topic, message, now);
        }
        for topic in split.nowhere {
            self.settle(request, topic, Outcome::Failed(ErrorCode::Unavailable));
        }
        for (node, topics) in split.there {
            let to = Audience::Topics(topics.clone());
            if let Err(error) = self.homes.calls.publish(node, message, to, request, due_ms) {
                self.not_taken(request, &topics, error);
            }
        }
    }

    /// Publishes a session's message to every session, or to those whose attributes match: one frame a node.
    pub(super) fn publish_to_everyone(
        &mut self,
        request: RequestKey,
        message: &Outgoing<'_>,
        matching: Option<&str>,
        now: Now,
    ) {
        let ring = Arc::clone(&self.ring);
        let me = self.me.id.clone();
        for member in ring.members().filter(|member| member.id != me) {
            let (to, due_ms) = (Audience::Everyone { matching }, now.tick_ms + CALL_WAIT_MS);
            if let Err(error) = self.homes.calls.publish(&member.id, message, to, request, due_ms) {
                self.not_taken(request, &[EVERYONE], error);
            }
        }
        let online = self.pass_to_everyone(message, matching, now);
        self.settle(request, EVERYONE, Outcome::Passed { online });
    }

    /// One of a request's topics came to its end. For a request that is gone this does nothing.
    pub(super) fn settle(&mut self, request: RequestKey, topic: &str, outcome: Outcome) {
        if let Some(done) = self.requests.settle(request, topic, outcome) {
            self.finish(done);
        }
    }

    /// This node turned out not to be a topic's home: a peer takes all of its message back, a session's goes to the home
    /// by the present ring. False if it is late, or that has no room for it, and then it is not answered. The caller keeps
    /// the order.
    pub(super) fn give_back(&mut self, request: RequestKey, topic: &str, message: &Outgoing<'_>) -> bool {
        match self.requests.waiter(request) {
            None => true,
            Some(Waiter::Session { .. }) => {
                let due_ms = self.requests.due_ms(request).unwrap_or_default();
                let ring = Arc::clone(&self.ring);
                let home = ring.home(self.slot(topic)).filter(|_| !is_late(due_ms, self.now.tick_ms));
                let Some(home) = home else { return false };
                let to = Audience::Topics(vec![topic]);
                self.homes.calls.publish(&home.id, message, to, request, due_ms).is_ok()
            }
            Some(Waiter::Peer { link, call, .. }) => {
                let (link, call) = (*link, *call);
                self.requests.forget(request);
                self.refuse_publish(link, call);
                true
            }
        }
    }

    /// Answers a request that had no topics.
    pub(super) fn finish_empty(&mut self, request: RequestKey, topics: usize) {
        if topics == 0
            && let Some(done) = self.requests.forget(request)
        {
            self.finish(done);
        }
    }

    /// Answers a request whose topics have all come to an end.
    fn finish(&mut self, done: Done<Waiter>) {
        let Done { waiter, online, position, failed } = done;
        match waiter {
            Waiter::Session { key, reference, several } => {
                self.answer_session(key, reference.as_deref(), several, (online, position, failed));
            }
            Waiter::Peer { link, call, topics } => {
                let indices: HashMap<&str, u32> = topics.iter().map(AsRef::as_ref).zip(0..).collect();
                let index = |topic: &str| indices.get(topic).copied().unwrap_or(0);
                let failed = failed.iter().map(|(topic, code)| (index(topic), code.code())).collect();
                self.answer_asker(link, &FromHome::Published { call, online, position, failed });
            }
        }
    }

    fn answer_session(
        &mut self,
        key: SessionKey,
        reference: Reference<'_>,
        several: bool,
        (online, position, failed): (u32, Option<Position>, Vec<(String, ErrorCode)>),
    ) {
        let Some(session) = self.sessions.get(key) else { return };
        match failed.first() {
            Some((_, code)) if !several => {
                self.counts.refused += 1;
                session.push(&NodeFrame::Error(Error::new(reference, *code)));
            }
            // Without a `ref` nobody waits for an answer.
            _ if reference.is_none() => {}
            _ => {
                let user = |topic: &str| inbox_owner(topic).unwrap_or(topic).to_owned();
                let failed = failed.iter().map(|(topic, code)| Failed { user: user(topic), code: *code });
                let failed: Vec<Failed> = failed.collect();
                let online = (!several).then_some(online);
                session.push(&NodeFrame::Ack(Ack { reference, online, position, failed: &failed }));
            }
        }
        self.answered(key);
    }

    fn not_taken(&mut self, request: RequestKey, topics: &[&str], why: NotTaken) {
        self.counts.dropped_link_full += u64::from(why == NotTaken::LinkFull);
        topics.iter().for_each(|topic| self.settle(request, topic, Outcome::Failed(why.code())));
    }
}
