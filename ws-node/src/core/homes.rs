//! Other nodes as homes: the links this node dialled, the interest it registered there, and the calls that are out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use cluster::wire::codes::ErrorCode;
use cluster::wire::peer::{FromHome, ToHome, decode, encode};

use super::send::RequestKey;
use super::{Core, LinkSink, Now, SessionSink};

/// Bytes of unanswered calls that are kept for one home.
const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Every node that this one uses as a home, by id.
#[derive(Debug)]
pub(super) struct Homes<L> {
    nodes: HashMap<String, Home<L>>,
    /// Some interest could not be registered: look for it at the next tick.
    pub(super) interest_missing: bool,
}

/// One of them.
#[derive(Debug)]
struct Home<L> {
    link: Option<(u64, L)>,
    /// Unanswered messages in the order they were sent.
    calls: BTreeMap<u64, Call>,
    call_bytes: usize,
    /// Unanswered interest.
    interests: HashMap<u64, Vec<Arc<str>>>,
    /// It refused a message: nothing is sent until all that is out has come back, then everything again in order.
    stalled: bool,
}

/// A message that a home has not answered yet, ready to be sent again.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: RequestKey,
    pub(super) frame: Bytes,
    pub(super) due_ms: u64,
    /// Not under way: refused, or held back behind one that was.
    pub(super) parked: bool,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// The link to a node stands: interest first, then everything unanswered, in order.
    pub fn home_opened(&mut self, node: &str, link: u64, sink: L) {
        self.homes.entry(node).open(link, sink);
        let here = self.topics.iter_mut().filter(|(_, topic)| topic.follows_at(node));
        let names: Vec<_> = here.map(|(name, _)| Arc::clone(name)).collect();
        self.register(node, &names);
        self.homes.send_unanswered(node);
    }

    /// The link to a node is gone. What is unanswered waits for the next one.
    pub fn home_closed(&mut self, node: &str, link: u64) {
        let Some(home) = self.homes.nodes.get_mut(node) else { return };
        if home.link.as_ref().is_none_or(|(open, _)| *open != link) {
            return;
        }
        home.link = None;
        home.interests.clear();
        self.topics
            .iter_mut()
            .filter(|(_, topic)| topic.follows_at(node))
            .for_each(|(_, topic)| topic.standing = false);
    }

    /// A frame on such a link.
    pub fn answered_by(&mut self, node: &str, frame: &Bytes, now: Now) {
        match decode::<FromHome<'_>>(frame) {
            Some(FromHome::Deliver(deliver)) => self.take_delivery(&deliver, frame, now),
            Some(FromHome::Published { call, online }) => {
                if let Some(call) = self.homes.take_call(node, call) {
                    self.part_done(call.request, online);
                }
            }
            Some(FromHome::Interested { call }) => self.interest_stands(node, call, now),
            Some(FromHome::NotHome { call, .. }) => self.not_home(node, call),
            None => {}
        }
    }

    /// Sends a message to its home elsewhere, or keeps it until the link stands.
    pub(super) fn call(&mut self, node: &str, number: u64, mut call: Call) -> Result<(), ErrorCode> {
        let home = self.homes.entry(node);
        if home.call_bytes + call.frame.len() > CALL_BYTES_MAX {
            return Err(ErrorCode::Overloaded);
        }
        call.parked = home.stalled;
        if let Some((_, sink)) = home.link.as_ref().filter(|_| !home.stalled)
            && !sink.send(call.frame.clone())
        {
            self.counts.dropped_link_full += 1;
            return Err(ErrorCode::Overloaded);
        }
        home.call_bytes += call.frame.len();
        home.calls.insert(number, call);
        Ok(())
    }

    /// Sends what is out to another home where the ring says so now, in order, before anything new.
    pub(super) fn reroute_calls(&mut self, now: Now) {
        let nodes: Vec<String> = self.homes.nodes.keys().cloned().collect();
        for node in nodes {
            for (number, call) in self.homes.take_calls(&node) {
                let frame = call.frame.clone();
                let Some(ToHome::Publish(publish)) = decode::<ToHome<'_>>(&frame) else { continue };
                let stays =
                    |name: &&str| self.ring.home(self.slot(name)).is_some_and(|member| member.id == node);
                if publish.topics.iter().all(stays) {
                    self.homes.keep(&node, number, call);
                } else {
                    self.publish_again(&call, &publish, now);
                }
            }
        }
    }

    /// Begins again with homes that refused a message, once everything that was out has come back.
    pub(super) fn resume_stalled(&mut self) {
        self.homes.nodes.values_mut().for_each(Home::resume);
    }

    /// Gives up on calls that were not answered in time.
    pub(super) fn expire_calls(&mut self, now: Now) {
        let overdue: Vec<Call> =
            self.homes.nodes.values_mut().flat_map(|home| home.take_overdue(now.tick_ms)).collect();
        overdue
            .into_iter()
            .for_each(|call| self.part_failed(call.request, &call.frame, ErrorCode::Unavailable));
    }

    fn not_home(&mut self, node: &str, number: u64) {
        self.counts.not_home += 1;
        let Some(home) = self.homes.nodes.get_mut(node) else { return };
        if home.interests.remove(&number).is_some() {
            self.homes.interest_missing = true;
            return;
        }
        home.stalled = true;
        if let Some(call) = home.calls.get_mut(&number) {
            call.parked = true;
        }
    }
}

// === impl Homes ===

impl<L> Default for Homes<L> {
    fn default() -> Self {
        Self { nodes: HashMap::new(), interest_missing: false }
    }
}

impl<L: LinkSink> Homes<L> {
    fn entry(&mut self, node: &str) -> &mut Home<L> {
        if !self.nodes.contains_key(node) {
            self.nodes.insert(node.to_owned(), Home::default());
        }
        // Just made if it was not there.
        self.nodes.entry(node.to_owned()).or_default()
    }

    /// Sends a request about interest and remembers it until it is answered; false if it could not be sent.
    pub(super) fn ask(&mut self, node: &str, call: u64, names: Vec<Arc<str>>, frame: Bytes) -> bool {
        let home = self.entry(node);
        let sent = home.link.as_ref().is_some_and(|(_, sink)| sink.send(frame));
        if sent {
            home.interests.insert(call, names);
        } else if home.link.is_some() {
            self.interest_missing = true;
        }
        sent
    }

    /// The topics of an answered request about interest.
    pub(super) fn asked_for(&mut self, node: &str, call: u64) -> Vec<Arc<str>> {
        self.nodes.get_mut(node).and_then(|home| home.interests.remove(&call)).unwrap_or_default()
    }

    /// Whether requests about interest are out there.
    pub(super) fn is_asking(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|home| !home.interests.is_empty())
    }

    /// Forgets homes that are gone for good.
    pub(super) fn retain_members(&mut self, is_member: impl Fn(&str) -> bool) {
        self.nodes.retain(|node, home| home.link.is_some() || !home.calls.is_empty() || is_member(node));
    }

    fn keep(&mut self, node: &str, number: u64, call: Call) {
        let home = self.entry(node);
        home.call_bytes += call.frame.len();
        home.calls.insert(number, call);
    }

    fn take_call(&mut self, node: &str, number: u64) -> Option<Call> {
        let home = self.nodes.get_mut(node)?;
        let call = home.calls.remove(&number)?;
        home.call_bytes -= call.frame.len();
        Some(call)
    }

    fn take_calls(&mut self, node: &str) -> BTreeMap<u64, Call> {
        self.nodes.get_mut(node).map(Home::take_all).unwrap_or_default()
    }

    fn send_unanswered(&mut self, node: &str) {
        let Some(Home { link: Some((_, sink)), calls, .. }) = self.nodes.get(node) else { return };
        for call in calls.values() {
            // What a full queue does not take is answered `unavailable` when it falls due.
            let _ = sink.send(call.frame.clone());
        }
    }
}

// === impl Home ===

impl<L> Default for Home<L> {
    fn default() -> Self {
        Self { link: None, calls: BTreeMap::new(), call_bytes: 0, interests: HashMap::new(), stalled: false }
    }
}

impl<L: LinkSink> Home<L> {
    /// A new link refuses nothing yet.
    fn open(&mut self, link: u64, sink: L) {
        self.link = Some((link, sink));
        self.stalled = false;
        self.calls.values_mut().for_each(|call| call.parked = false);
    }

    fn take_all(&mut self) -> BTreeMap<u64, Call> {
        self.call_bytes = 0;
        std::mem::take(&mut self.calls)
    }

    fn resume(&mut self) {
        if !self.stalled || self.calls.values().any(|call| !call.parked) {
            return;
        }
        let Some((_, sink)) = &self.link else { return };
        if !sink.send(encode(&ToHome::Again)) {
            return;
        }
        self.stalled = false;
        for call in self.calls.values_mut() {
            call.parked = false;
            // What a full queue does not take is answered `unavailable` when it falls due.
            let _ = sink.send(call.frame.clone());
        }
    }

    fn take_overdue(&mut self, now_ms: u64) -> Vec<Call> {
        let numbers: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.due_ms <= now_ms).map(|(number, _)| *number).collect();
        let calls: Vec<Call> = numbers.iter().filter_map(|number| self.calls.remove(number)).collect();
        self.call_bytes -= calls.iter().map(|call| call.frame.len()).sum::<usize>();
        calls
    }
}
