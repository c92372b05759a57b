//! What a lookup service decides as a peer that homes nothing: to which homes messages and questions go, what is sent
//! again, when an answer is complete. Pure: values, `now` and queues in, values and queues out.

use std::sync::Arc;

use bytes::Bytes;
use cluster::homes::{
    CALL_WAIT_MS, Event, Homes, LinkSink, NotTaken, Origin, Outcome, Part, RequestKey, Requests, View,
    split_question,
};
use cluster::ring::Ring;
use cluster::tokens::PeerName;
use cluster::wire::codes::ErrorCode;
use cluster::wire::peer::{Audience, FromHome, Question, decode};
use cluster::wire::topic::EVERYONE;
use tokio::sync::oneshot;

use super::parcel::{Parcel, Recipients};
use super::waiter::{Kind, Known, Receipt, Reply, Waiter, finish};

/// Messages and questions that may be without an answer at once.
const REQUESTS_MAX: usize = 100_000;

/// Bytes of messages and questions that may be without an answer at once, over all homes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The state of one service's links, and of what is out on them.
pub(super) struct Core<L> {
    me: PeerName,
    /// `None` before there is one.
    ring: Option<Arc<Ring>>,
    calls: Homes<L, RequestKey>,
    requests: Requests<Waiter>,
}

// === impl Core ===

impl<L: LinkSink> Core<L> {
    /// A process of this name, which nothing is at home at.
    pub(super) fn new(me: PeerName) -> Self {
        Self { me, ring: None, calls: Homes::default(), requests: Requests::default() }
    }

    /// The ring it goes by.
    pub(super) fn ring(&self) -> Option<&Arc<Ring>> {
        self.ring.as_ref()
    }

    /// Goes by a newer ring: what is out goes where it is at home now, in order.
    pub(super) fn ring_changed(&mut self, ring: Arc<Ring>) {
        if self.ring.as_ref().is_some_and(|held| ring.version() <= held.version()) {
            return;
        }
        let events = self.calls.reroute(View { ring: &ring, me: &self.me.id });
        self.ring = Some(ring);
        events.into_iter().for_each(|event| self.no_longer_out(event));
        self.calls.pump();
    }

    /// The link to a node stands.
    pub(super) fn opened(&mut self, node: &str, link: u64, sink: L) {
        self.calls.opened(node, link, sink);
        self.calls.pump_home(node);
    }

    /// A link is gone. What is unanswered waits for the next one.
    pub(super) fn closed(&mut self, node: &str, link: u64) {
        self.calls.closed(node, link);
    }

    /// A frame on the link to a node.
    pub(super) fn answered_by(&mut self, node: &str, frame: &Bytes) {
        match decode::<FromHome<'_>>(frame) {
            Some(FromHome::Published { call, online, position, failed }) => {
                let Some(part) = self.calls.published(node, call) else { return };
                for (topic, outcome) in part.outcomes(online, position, &failed) {
                    self.settle(part.waiter, topic, outcome);
                }
            }
            Some(FromHome::Answered { call, answer }) => {
                if let Some(part) = self.calls.answered(node, call) {
                    // An answer to another question comes from a process of another version.
                    self.reply(part.waiter, Known::of(&answer).ok_or(ErrorCode::Unavailable));
                }
            }
            Some(FromHome::NotHome { call, .. }) => self.calls.not_home(node, call),
            // This process never asked to be told of anything.
            Some(_) | None => {}
        }
    }

    /// Does what has fallen due. Call it now and then.
    pub(super) fn tick(&mut self, now_ms: u64) {
        self.calls.expire(now_ms).into_iter().for_each(|event| self.no_longer_out(event));
        self.calls.pump();
    }

    /// Whether a message would be taken now, rather than refused as `overloaded`.
    pub(super) fn has_room(&self, parcel: &Parcel) -> bool {
        let Some(ring) = self.ring.as_deref() else { return true };
        let frames = parcel.frames(View { ring, me: &self.me.id });
        self.may_wait() && frames.into_iter().all(|(node, bytes)| self.calls.has_room(node, bytes))
    }

    /// Sends a message to its homes.
    pub(super) fn send(&mut self, parcel: &Parcel, now_ms: u64) -> Receipt {
        let (sender, receipt) = oneshot::channel();
        let waiter = Waiter::Message(Kind::of(&parcel.to), sender);
        match self.ready() {
            Err(code) => waiter.give_up(code),
            Ok(ring) => self.send_by(&ring, waiter, parcel, now_ms + CALL_WAIT_MS),
        }
        receipt
    }

    /// Asks the home of whom or what a question is about.
    pub(super) fn ask(&mut self, question: &Question<'_>, now_ms: u64) -> Reply {
        let (sender, reply) = oneshot::channel();
        let waiter = Waiter::Question(sender);
        match self.ready() {
            Err(code) => waiter.give_up(code),
            Ok(ring) => self.ask_by(&ring, waiter, question, now_ms + CALL_WAIT_MS),
        }
        reply
    }

    /// The ring to go by, if one more request can be taken.
    fn ready(&self) -> Result<Arc<Ring>, ErrorCode> {
        match &self.ring {
            Some(ring) if ring.member_count() > 0 => {
                if self.may_wait() {
                    Ok(Arc::clone(ring))
                } else {
                    Err(ErrorCode::Overloaded)
                }
            }
            _ => Err(ErrorCode::Unavailable),
        }
    }

    fn may_wait(&self) -> bool {
        self.requests.len() < REQUESTS_MAX && self.calls.waiting_bytes() < BYTES_MAX
    }

    /// Sends one frame to each node that is concerned, not one for each topic.
    fn send_by(&mut self, ring: &Ring, waiter: Waiter, parcel: &Parcel, due_ms: u64) {
        let me = self.me.clone();
        let origin = Origin { node: &me.id, generation: me.generation, counter: self.calls.next_number() };
        let own_key = origin.key();
        let message = parcel.outgoing(origin, &own_key);
        match &parcel.to {
            Recipients::Topics { names, .. } => {
                let request = self.requests.open(waiter, names.len(), due_ms);
                if names.is_empty() {
                    return self.requests.forget(request).into_iter().for_each(finish);
                }
                let split = View { ring, me: &me.id }.split(names.iter().map(String::as_str));
                // Nothing is at home here.
                self.settle_all(request, &split.nowhere, ErrorCode::Unavailable);
                for (node, topics) in split.there {
                    let to = Audience::Topics(topics.clone());
                    if let Err(why) = self.calls.publish(node, &message, to, request, due_ms) {
                        self.settle_all(request, &topics, why.code());
                    }
                }
            }
            Recipients::Everyone { matching } => {
                let request = self.requests.open(waiter, ring.member_count(), due_ms);
                for member in ring.members() {
                    let to = Audience::Everyone { matching: matching.as_deref() };
                    if let Err(why) = self.calls.publish(&member.id, &message, to, request, due_ms) {
                        self.settle_all(request, &[EVERYONE], why.code());
                    }
                }
            }
        }
    }

    fn ask_by(&mut self, ring: &Ring, waiter: Waiter, question: &Question<'_>, due_ms: u64) {
        let request = self.requests.open(waiter, 1, due_ms);
        let me = self.me.id.clone();
        // One, as all that is asked here is about one user or one group.
        for (home, question) in split_question(View { ring, me: &me }, question) {
            let asked = match home {
                None => Err(ErrorCode::Unavailable),
                Some(home) => self.calls.ask(home, question, request, due_ms).map_err(NotTaken::code),
            };
            if let Err(why) = asked {
                self.reply(request, Err(why));
            }
        }
    }

    fn no_longer_out(&mut self, event: Event<RequestKey>) {
        match event {
            Event::Gone(part) => self.settle(part.waiter, EVERYONE, Outcome::Passed { online: 0 }),
            Event::Failed(part, code) => self.failed(&part, code),
            // No ring says so, as this process is no member.
            Event::Here(part) => self.failed(&part, ErrorCode::Unavailable),
        }
    }

    fn failed(&mut self, part: &Part<RequestKey>, code: ErrorCode) {
        match self.requests.waiter(part.waiter) {
            Some(Waiter::Question(_)) => self.reply(part.waiter, Err(code)),
            Some(Waiter::Message(..)) => self.settle_all(part.waiter, &part.topics(), code),
            None => {}
        }
    }

    fn settle_all(&mut self, request: RequestKey, topics: &[&str], code: ErrorCode) {
        topics.iter().for_each(|topic| self.settle(request, topic, Outcome::Failed(code)));
    }

    fn settle(&mut self, request: RequestKey, topic: &str, outcome: Outcome) {
        if let Some(done) = self.requests.settle(request, topic, outcome) {
            finish(done);
        }
    }

    fn reply(&mut self, request: RequestKey, known: Result<Known, ErrorCode>) {
        if let Some(done) = self.requests.forget(request) {
            done.waiter.tell(known);
        }
    }
}

#[cfg(test)]
mod tests;
