//! Sends: from a session to the homes of those it is for, and the one answer when all of them have answered.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use cluster::wire::client::{Send, Target};
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{Ack, Error, Failed, NodeFrame};
use cluster::wire::peer::{Audience, Publish, ToHome, decode, encode};
use cluster::wire::topic::{inbox, inbox_owner};
use serde_json::value::RawValue;
use slab::Slab;

use super::deliver::Origin;
use super::homes::Call;
use super::rate::Verdict;
use super::session::Stage;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// How long a send waits for a home's answer, milliseconds.
const CALL_WAIT_MS: u64 = 5_000;

/// Names an unanswered send.
pub(super) type RequestKey = usize;

/// Sends that were not answered yet.
#[derive(Debug, Default)]
pub(super) struct Requests(Slab<Request>);

/// One of them.
#[derive(Debug)]
struct Request {
    session: SessionKey,
    reference: Option<Box<RawValue>>,
    /// Answers that are still out.
    parts: usize,
    online: u32,
    /// Whether it named several users, and is answered with those it failed for.
    several: bool,
    failed: Vec<Failed>,
    /// Why the one user was not reached.
    error: Option<ErrorCode>,
}

/// One message on its way to its homes.
struct Outgoing<'a> {
    request: RequestKey,
    origin: Origin<'a>,
    from: &'a str,
    data: &'a str,
    due_ms: u64,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session sends.
    pub fn send(&mut self, key: SessionKey, send: &Send<'_>, now: Now) {
        let limits = self.config.limits;
        let Some(session) = self.sessions.get_mut(key) else { return };
        match session.stage {
            Stage::Admitted => return self.fail(key, send.reference, ErrorCode::HelloExpected),
            Stage::Detached => return,
            Stage::Waiting | Stage::Live => {}
        }
        match session.bucket.take_many(send.cost(), limits.sends_per_second, limits.sends_burst, now.tick_ms)
        {
            Verdict::Go => {}
            Verdict::Wait(ms) => return self.refuse(key, send, ErrorCode::RateLimited, Some(ms)),
            Verdict::Enough => return self.fail(key, send.reference, ErrorCode::RateExceeded),
        }
        session.outstanding += 1;
        self.counts.sent += 1;
        let from = session.holder.user.clone();
        let request = self.requests.open(key, send);
        let counter = self.next_number();
        let node = self.me.clone();
        let outgoing = Outgoing {
            request,
            origin: Origin { node: &node.id, generation: node.generation, counter },
            from: &from,
            data: send.data.get(),
            due_ms: now.tick_ms + CALL_WAIT_MS,
        };
        match &send.to {
            Target::User(user) => self.publish(&outgoing, &[&inbox(user)], now),
            Target::Users(users) => {
                let topics: BTreeSet<String> = users.iter().map(|user| inbox(user)).collect();
                self.publish(&outgoing, &topics.iter().map(String::as_str).collect::<Vec<_>>(), now);
            }
            Target::Group(_) | Target::All | Target::Match(_) => {
                self.requests.failed(request, &[], ErrorCode::NotSupported);
            }
        }
        // The part that `open` counted for this function.
        self.part_done(request, 0);
    }

    /// A part of a request was answered.
    pub(super) fn part_done(&mut self, request: RequestKey, online: u32) {
        let Some(open) = self.requests.0.get_mut(request) else { return };
        open.online = open.online.saturating_add(online);
        open.parts -= 1;
        if open.parts == 0 {
            self.answer(request);
        }
    }

    /// A part of a request, sent as `frame`, will not be answered.
    pub(super) fn part_failed(&mut self, request: RequestKey, frame: &Bytes, code: ErrorCode) {
        if let Some(ToHome::Publish(publish)) = decode::<ToHome<'_>>(frame) {
            if let Audience::Topics(topics) = &publish.to {
                self.requests.failed(request, topics, code);
            }
        }
        self.part_done(request, 0);
    }

    /// Sends some topics of a call's message to where they are at home now. `part` is the call's request and end.
    pub(super) fn publish_again(
        &mut self,
        (request, due_ms): (RequestKey, u64),
        publish: &Publish<'_>,
        topics: &[&str],
        now: Now,
    ) {
        let origin = Origin { node: publish.node, generation: publish.generation, counter: publish.counter };
        let outgoing = Outgoing { request, origin, from: publish.from, data: publish.data, due_ms };
        self.publish(&outgoing, topics, now);
    }

    /// One frame per home, not per topic.
    fn publish(&mut self, outgoing: &Outgoing<'_>, topics: &[&str], now: Now) {
        let mut elsewhere: HashMap<String, Vec<&str>> = HashMap::new();
        for topic in topics {
            match self.place(self.slot(topic)) {
                Place::Here => {
                    let online = self.pass_on(topic, outgoing.origin, outgoing.from, outgoing.data, now);
                    self.requests.add_online(outgoing.request, online);
                }
                Place::There(node) => elsewhere.entry(node).or_default().push(topic),
                Place::Nowhere => self.requests.failed(outgoing.request, &[topic], ErrorCode::Unavailable),
            }
        }
        for (node, topics) in elsewhere {
            let number = self.next_number();
            let Outgoing { request, origin, from, data, due_ms } = *outgoing;
            let frame = encode(&ToHome::Publish(Publish {
                call: number,
                to: Audience::Topics(topics.clone()),
                node: origin.node,
                generation: origin.generation,
                counter: origin.counter,
                from,
                key: "",
                ephemeral: true,
                data,
            }));
            self.requests.add_part(request);
            if let Err(code) = self.call(&node, number, Call { request, frame, due_ms, parked: false }) {
                self.requests.failed(request, &topics, code);
                self.part_done(request, 0);
            }
        }
    }

    fn refuse(&mut self, key: SessionKey, send: &Send<'_>, code: ErrorCode, retry_after_ms: Option<u64>) {
        self.counts.refused += 1;
        if let Some(session) = self.sessions.get(key) {
            session.push(&NodeFrame::Error(Error { retry_after_ms, ..Error::new(send.reference, code) }));
        }
    }

    fn answer(&mut self, request: RequestKey) {
        let request = self.requests.0.remove(request);
        let reference = request.reference.as_deref();
        if let Some(session) = self.sessions.get(request.session) {
            match request.error {
                Some(code) => {
                    self.counts.refused += 1;
                    session.push(&NodeFrame::Error(Error::new(reference, code)));
                }
                // Without a `ref` nobody waits for an answer.
                None if reference.is_none() => {}
                None => {
                    let online = (!request.several).then_some(request.online);
                    session.push(&NodeFrame::Ack(Ack {
                        reference,
                        online,
                        position: None,
                        failed: &request.failed,
                    }));
                }
            }
        }
        self.answered(request.session);
    }
}

// === impl Requests ===

impl Requests {
    /// A request with one part out: the caller's, who ends it when all others are counted.
    fn open(&mut self, session: SessionKey, send: &Send<'_>) -> RequestKey {
        self.0.insert(Request {
            session,
            reference: send.reference.map(ToOwned::to_owned),
            parts: 1,
            online: 0,
            several: matches!(send.to, Target::Users(_)),
            failed: Vec::new(),
            error: None,
        })
    }

    fn add_part(&mut self, request: RequestKey) {
        if let Some(open) = self.0.get_mut(request) {
            open.parts += 1;
        }
    }

    fn add_online(&mut self, request: RequestKey, online: u32) {
        if let Some(open) = self.0.get_mut(request) {
            open.online = open.online.saturating_add(online);
        }
    }

    fn failed(&mut self, request: RequestKey, topics: &[&str], code: ErrorCode) {
        let Some(open) = self.0.get_mut(request) else { return };
        if !open.several {
            open.error = Some(code);
            return;
        }
        let users = topics.iter().filter_map(|topic| inbox_owner(topic));
        open.failed.extend(users.map(|user| Failed { user: user.to_owned(), code }));
    }
}
