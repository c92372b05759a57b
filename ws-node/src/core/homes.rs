//! Other nodes as homes: the links this node dialled, the interest it registered there, and the calls that are out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use cluster::wire::codes::ErrorCode;
use cluster::wire::peer::{Audience, FromHome, ToHome, decode, encode};

use super::send::RequestKey;
use super::{Core, LinkSink, Now, SessionSink};

/// Bytes of unanswered calls that are kept for one home.
const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a kept call costs beside its frame, in bytes.
const CALL_COST: usize = 64;

/// Every node that this one uses as a home, by id.
#[derive(Debug)]
pub(super) struct Homes<L> {
    nodes: HashMap<String, Home<L>>,
}

/// One of them.
#[derive(Debug)]
struct Home<L> {
    link: Option<(u64, L)>,
    /// Unanswered messages in the order they were sent.
    calls: BTreeMap<u64, Call>,
    call_bytes: usize,
    /// Unanswered interest, by call.
    interests: HashMap<u64, Vec<Arc<str>>>,
    /// Topics whose number of followers here it is still to be told.
    untold: HashSet<Arc<str>>,
    /// It refused a message: nothing is sent until all that is out has come back, then everything again in order.
    refused: bool,
    /// Some calls are parked: whatever is new waits behind them.
    backlog: bool,
}

/// A message that a home has not answered yet, ready to be sent again.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: RequestKey,
    pub(super) frame: Bytes,
    pub(super) due_ms: u64,
    /// Not under way: refused, not taken by a full link, or held back behind such a one.
    pub(super) parked: bool,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// The link to a node stands: interest first, then everything unanswered, in order.
    pub fn home_opened(&mut self, node: &str, link: u64, sink: L) {
        self.homes.entry(node).open(link, sink);
        let names: Vec<_> = self.lose_standing(node);
        self.homes.entry(node).untold.extend(names);
        self.tell(node);
        self.homes.entry(node).pump();
    }

    /// The link to a node is gone. What is unanswered waits for the next one.
    pub fn home_closed(&mut self, node: &str, link: u64) {
        let Some(home) = self.homes.nodes.get_mut(node) else { return };
        if home.link.as_ref().is_some_and(|(open, _)| *open == link) {
            home.close();
            self.lose_standing(node);
        }
    }

    /// A frame on such a link.
    pub fn answered_by(&mut self, node: &str, frame: &Bytes, now: Now) {
        match decode::<FromHome<'_>>(frame) {
            Some(FromHome::Deliver(deliver)) => self.take_delivery(&deliver, now),
            Some(FromHome::Published { call, online, .. }) => {
                if let Some(call) = self.homes.take_call(node, call) {
                    self.part_done(call.request, online);
                }
            }
            Some(FromHome::Interested { call, .. }) => self.interest_stands(node, call, now),
            Some(FromHome::NotHome { call, .. }) => {
                self.homes.entry(node).not_home(call, &mut self.counts.not_home)
            }
            Some(_) | None => {}
        }
    }

    /// Sends a message to its home elsewhere, or keeps it until it can be sent.
    pub(super) fn call(&mut self, node: &str, number: u64, mut call: Call) -> Result<(), ErrorCode> {
        let home = self.homes.entry(node);
        if home.call_bytes + call.cost() > CALL_BYTES_MAX {
            return Err(ErrorCode::Overloaded);
        }
        call.parked = home.backlog || home.refused || home.link.is_none();
        home.backlog |= call.parked;
        if let Some((_, sink)) = home.link.as_ref().filter(|_| !call.parked)
            && !sink.send(call.frame.clone())
        {
            self.counts.dropped_link_full += 1;
            return Err(ErrorCode::Overloaded);
        }
        home.keep(number, call);
        Ok(())
    }

    /// Sends what is out to another home where the ring says so now, in order, before anything new.
    pub(super) fn reroute_calls(&mut self, now: Now) {
        let nodes: Vec<String> = self.homes.nodes.keys().cloned().collect();
        for node in nodes {
            for (number, call) in self.homes.entry(&node).take_all() {
                self.reroute(&node, number, call, now);
            }
        }
    }

    /// Of a call for several topics those that stay keep their number, and so their place before what was sent later.
    fn reroute(&mut self, node: &str, number: u64, mut call: Call, now: Now) {
        let frame = call.frame.clone();
        let Some(ToHome::Publish(mut publish)) = decode::<ToHome<'_>>(&frame) else { return };
        let Audience::Topics(topics) = &publish.to else { return };
        let stays = |name: &&str| self.ring.home(self.slot(name)).is_some_and(|member| member.id == node);
        let (staying, leaving): (Vec<&str>, Vec<&str>) = topics.iter().partition(|name| stays(name));
        if leaving.is_empty() {
            self.homes.entry(node).keep(number, call);
            return;
        }
        let part = (call.request, call.due_ms);
        if staying.is_empty() {
            self.publish_again(part, &publish, &leaving, now);
            // The part that this call was.
            self.part_done(call.request, 0);
            return;
        }
        publish.to = Audience::Topics(staying);
        call.frame = encode(&ToHome::Publish(publish));
        self.homes.entry(node).keep(number, call);
        if let Some(ToHome::Publish(publish)) = decode::<ToHome<'_>>(&frame) {
            self.publish_again(part, &publish, &leaving, now);
        }
    }

    /// Sends what could not be sent before, and begins again with homes that refused a message.
    pub(super) fn pump_homes(&mut self) {
        self.homes.nodes.values_mut().for_each(Home::pump);
        let untold = self.homes.nodes.iter().filter(|(_, home)| !home.untold.is_empty());
        let nodes: Vec<String> = untold.map(|(node, _)| node.clone()).collect();
        nodes.iter().for_each(|node| self.tell(node));
    }

    /// Gives up on calls that were not answered in time.
    pub(super) fn expire_calls(&mut self, now: Now) {
        let overdue: Vec<Call> =
            self.homes.nodes.values_mut().flat_map(|home| home.take_overdue(now.tick_ms)).collect();
        overdue
            .into_iter()
            .for_each(|call| self.part_failed(call.request, &call.frame, ErrorCode::Unavailable));
    }
}

// === impl Homes ===

impl<L> Default for Homes<L> {
    fn default() -> Self {
        Self { nodes: HashMap::new() }
    }
}

impl<L: LinkSink> Homes<L> {
    fn entry(&mut self, node: &str) -> &mut Home<L> {
        self.nodes.entry(node.to_owned()).or_default()
    }

    fn take_call(&mut self, node: &str, number: u64) -> Option<Call> {
        self.nodes.get_mut(node)?.take(number)
    }

    /// Notes that a home is to be told of a topic. Without a link it is told of all when that stands.
    pub(super) fn note(&mut self, node: &str, name: &Arc<str>) {
        let home = self.entry(node);
        if home.link.is_some() {
            home.untold.insert(Arc::clone(name));
        }
    }

    /// Takes the topics that a home is still to be told of, at most so many.
    pub(super) fn untold(&mut self, node: &str, most: usize) -> Vec<Arc<str>> {
        let Some(home) = self.nodes.get_mut(node) else { return Vec::new() };
        let names: Vec<_> = home.untold.iter().take(most).cloned().collect();
        for name in &names {
            home.untold.remove(name);
        }
        names
    }

    /// Sends a request about interest and remembers it until it is answered; false if it could not be sent, and then
    /// its topics are still to be told.
    pub(super) fn ask(&mut self, node: &str, call: u64, names: Vec<Arc<str>>, frame: Bytes) -> bool {
        let home = self.entry(node);
        let sent = home.link.as_ref().is_some_and(|(_, sink)| sink.send(frame));
        if sent {
            home.interests.insert(call, names);
        } else {
            home.untold.extend(names);
        }
        sent
    }

    /// The topics of an answered request about interest.
    pub(super) fn asked_for(&mut self, node: &str, call: u64) -> Vec<Arc<str>> {
        self.nodes.get_mut(node).and_then(|home| home.interests.remove(&call)).unwrap_or_default()
    }

    /// Forgets homes that are gone for good.
    pub(super) fn retain_members(&mut self, is_member: impl Fn(&str) -> bool) {
        self.nodes.retain(|node, home| home.link.is_some() || !home.calls.is_empty() || is_member(node));
    }
}

// === impl Home ===

impl<L> Default for Home<L> {
    fn default() -> Self {
        Self {
            link: None,
            calls: BTreeMap::new(),
            call_bytes: 0,
            interests: HashMap::new(),
            untold: HashSet::new(),
            refused: false,
            backlog: false,
        }
    }
}

impl<L: LinkSink> Home<L> {
    /// A new link has refused nothing yet, and nothing was sent on it.
    fn open(&mut self, link: u64, sink: L) {
        self.close();
        self.link = Some((link, sink));
    }

    fn close(&mut self) {
        self.link = None;
        self.interests.clear();
        self.untold.clear();
        self.refused = false;
        self.backlog = !self.calls.is_empty();
        self.calls.values_mut().for_each(|call| call.parked = true);
    }

    /// Sends what is parked, in order, as far as the link takes it.
    fn pump(&mut self) {
        let Some((_, sink)) = &self.link else { return };
        if self.refused {
            let all_back = self.calls.values().all(|call| call.parked);
            if !all_back || !sink.send(encode(&ToHome::Again)) {
                return;
            }
            self.refused = false;
        }
        if !self.backlog {
            return;
        }
        for call in self.calls.values_mut().filter(|call| call.parked) {
            if !sink.send(call.frame.clone()) {
                return;
            }
            call.parked = false;
        }
        self.backlog = false;
    }

    /// It refused a message, or to take note of interest.
    fn not_home(&mut self, number: u64, count: &mut u64) {
        *count += 1;
        if let Some(names) = self.interests.remove(&number) {
            self.untold.extend(names);
            return;
        }
        self.refused = true;
        if let Some(call) = self.calls.get_mut(&number) {
            call.parked = true;
            self.backlog = true;
        }
    }

    fn keep(&mut self, number: u64, call: Call) {
        self.call_bytes += call.cost();
        self.calls.insert(number, call);
    }

    fn take(&mut self, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.call_bytes -= call.cost();
        Some(call)
    }

    fn take_all(&mut self) -> BTreeMap<u64, Call> {
        self.call_bytes = 0;
        std::mem::take(&mut self.calls)
    }

    fn take_overdue(&mut self, now_ms: u64) -> Vec<Call> {
        let overdue = self.calls.iter().filter(|(_, call)| call.due_ms <= now_ms);
        let numbers: Vec<u64> = overdue.map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.take(number)).collect()
    }
}

// === impl Call ===

impl Call {
    fn cost(&self) -> usize {
        self.frame.len() + CALL_COST
    }
}
