//! Other nodes as homes: the links this node dialled, the interest it registered there, and the calls that are out.

use std::sync::Arc;

use bytes::Bytes;
use cluster::homes::{CALL_WAIT_MS, Event, Outcome, Outgoing, Part, RequestKey, View};
use cluster::maps::{HashMap, HashSet};
use cluster::wire::codes::ErrorCode;
use cluster::wire::peer::{Audience, FromHome, decode};
use cluster::wire::topic::EVERYONE;

use super::interest::TOPICS_PER_FRAME;
use super::{Core, LinkSink, Now, SessionSink};

/// Every node that this one uses as a home, by id.
#[derive(Debug)]
pub(super) struct Homes<L> {
    /// Links, messages and questions.
    pub(super) calls: cluster::homes::Homes<L, RequestKey>,
    told: HashMap<String, Told>,
}

/// What a home was told of this node's interest, and what not yet.
#[derive(Debug, Default)]
struct Told {
    /// Unanswered interest, by call.
    interests: HashMap<u64, Asked>,
    /// Topics whose number of followers here it is still to be told.
    untold: HashSet<Arc<str>>,
    /// The link did not take the last frame: it is tried again with the next tick.
    full: bool,
}

/// A request about interest.
#[derive(Debug)]
struct Asked {
    names: Vec<Arc<str>>,
    /// When it is made again, from the first look at it on.
    due_ms: Option<u64>,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// The link to a node stands: interest first, then everything unanswered, in order.
    pub fn home_opened(&mut self, node: &str, link: u64, sink: L) {
        self.homes.calls.opened(node, link, sink);
        self.homes.told.insert(node.to_owned(), Told::default());
        self.lose_standing(node);
        self.members_untold(node);
        self.refresh_some();
        self.tell(node);
        self.homes.calls.pump_home(node);
    }

    /// The link to a node is gone. What is unanswered waits for the next one.
    pub fn home_closed(&mut self, node: &str, link: u64) {
        if self.homes.calls.closed(node, link) {
            self.homes.told.remove(node);
            self.lose_standing(node);
            self.members_untold(node);
            self.wait_for_links();
            self.refresh_some();
        }
    }

    /// A frame on such a link.
    pub fn answered_by(&mut self, node: &str, frame: &Bytes, now: Now) {
        self.at(now);
        match decode::<FromHome<'_>>(frame) {
            Some(FromHome::Deliver(deliver)) => {
                self.refresh(deliver.topic);
                self.take_delivery(node, &deliver, now);
            }
            Some(FromHome::Published { call, online, position, failed }) => {
                let Some(part) = self.homes.calls.published(node, call) else { return };
                for (topic, outcome) in part.outcomes(online, position, &failed) {
                    self.settle(part.waiter, topic, outcome);
                }
            }
            Some(FromHome::Interested { call, positions }) => {
                self.interest_stands(node, call, &positions, now)
            }
            Some(FromHome::Head { topic, position }) => {
                self.refresh(topic);
                if self.may_take(topic, position, node) {
                    self.take_head(topic, position, now);
                }
            }
            Some(FromHome::NotHome { call, .. }) => {
                self.counts.not_home += 1;
                self.homes.not_home(node, call);
            }
            Some(FromHome::Presence(presence)) => {
                self.refresh(presence.topic);
                self.take_presence(node, &presence);
            }
            Some(FromHome::Answered { call, answer }) => self.question_answered(node, call, &answer),
            Some(FromHome::Control { topic, control }) => {
                self.control_here(topic, control, now);
            }
            None => {}
        }
    }

    /// Sends what is out to another home where the ring says so now, in order, before anything new.
    pub(super) fn reroute_calls(&mut self, now: Now) {
        let view = View { ring: &self.ring, me: &self.me.id };
        let mut refused = HashSet::default();
        for event in self.homes.calls.reroute(view) {
            match event {
                Event::Here(part) if part.question().is_none() => self.came_home(&part, &mut refused, now),
                event => self.no_longer_out(event),
            }
        }
    }

    /// A message that was out is at home here. What finds no room holds up what its sender sent behind it, as a smaller one
    /// would find some.
    fn came_home(&mut self, part: &Part<RequestKey>, refused: &mut HashSet<(String, String)>, now: Now) {
        let Some(publish) = part.publish() else { return };
        let Audience::Topics(topics) = &publish.to else { return };
        let message = Outgoing::of(&publish);
        for topic in topics {
            let way = || (publish.from.to_owned(), (*topic).to_owned());
            let held_up = !refused.is_empty() && refused.contains(&way());
            if self.is_stored(topic, &message) && (held_up || !self.has_room_to_store(&message)) {
                refused.insert(way());
                // Its last home may have stored it.
                self.settle(part.waiter, topic, Outcome::Failed(ErrorCode::Unavailable));
            } else {
                self.take_message(part.waiter, topic, &message, now);
            }
        }
    }

    /// Sends what could not be sent before, and begins again with homes that refused a message.
    pub(super) fn pump_homes(&mut self) {
        self.homes.calls.pump();
        self.homes.told.values_mut().for_each(|told| told.full = false);
        self.tell_homes();
    }

    /// Tells every home of topics that it is still to be told of, in one frame.
    pub(super) fn tell_homes(&mut self) {
        let untold = self.homes.told.iter().filter(|(_, told)| !told.untold.is_empty());
        let nodes: Vec<String> = untold.map(|(node, _)| node.clone()).collect();
        nodes.iter().for_each(|node| self.tell(node));
    }

    /// Gives up on calls that were not answered in time.
    pub(super) fn expire_calls(&mut self, now: Now) {
        self.homes.told.values_mut().for_each(|told| told.ask_again(now.tick_ms));
        let overdue = self.homes.calls.expire(now.tick_ms);
        overdue.into_iter().for_each(|event| self.no_longer_out(event));
    }

    fn no_longer_out(&mut self, event: Event<RequestKey>) {
        match event {
            Event::Here(part) => self.question_came_home(&part),
            Event::Gone(part) => self.settle(part.waiter, EVERYONE, Outcome::Passed { online: 0 }),
            Event::Failed(part, code) if part.question().is_some() => self.question_failed(&part, code),
            Event::Failed(part, code) => {
                part.topics().iter().for_each(|topic| {
                    self.settle(part.waiter, topic, Outcome::Failed(code));
                });
            }
        }
    }
}

// === impl Homes ===

impl<L> Default for Homes<L> {
    fn default() -> Self {
        Self { calls: cluster::homes::Homes::default(), told: HashMap::default() }
    }
}

impl<L: LinkSink> Homes<L> {
    /// Whether a link to the node stands.
    pub(super) fn is_linked(&self, node: &str) -> bool {
        self.calls.is_open(node)
    }

    /// Notes that a home is to be told of a topic. Without a link it is told of all when that stands.
    pub(super) fn note(&mut self, node: &str, name: &Arc<str>) {
        if self.calls.is_open(node) {
            self.told(node).untold.insert(Arc::clone(name));
        }
    }

    /// Takes the topics that a home is still to be told of, at most so many.
    pub(super) fn untold(&mut self, node: &str, most: usize) -> Vec<Arc<str>> {
        let Some(told) = self.told.get_mut(node) else { return Vec::new() };
        let names: Vec<_> = told.untold.iter().take(most).cloned().collect();
        for name in &names {
            told.untold.remove(name);
        }
        names
    }

    /// Sends a request about interest and remembers it until it is answered. If it cannot be sent
    /// its topics are still to be told.
    pub(super) fn ask(&mut self, node: &str, call: u64, names: Vec<Arc<str>>, frame: Bytes) {
        let sent = self.calls.offer(node, frame);
        let told = self.told(node);
        if sent {
            told.interests.insert(call, Asked { names, due_ms: None });
        } else {
            told.untold.extend(names);
        }
        told.full = !sent;
    }

    /// The topics of an answered request about interest.
    pub(super) fn asked_for(&mut self, node: &str, call: u64) -> Vec<Arc<str>> {
        let asked = self.told.get_mut(node).and_then(|told| told.interests.remove(&call));
        asked.map(|asked| asked.names).unwrap_or_default()
    }

    /// A home refused a message, a question, or to take note of interest.
    fn not_home(&mut self, node: &str, call: u64) {
        match self.told.get_mut(node).and_then(|told| told.interests.remove(&call)) {
            Some(asked) => self.told(node).untold.extend(asked.names),
            None => self.calls.not_home(node, call),
        }
    }

    /// A node that can be told of topics now: of so many that they fill a frame, if `whole`.
    pub(super) fn next_untold(&self, whole: bool) -> Option<String> {
        let least = if whole { TOPICS_PER_FRAME } else { 1 };
        let mut told = self.told.iter().filter(|(_, told)| told.untold.len() >= least && !told.full);
        told.next().map(|(node, _)| node.clone())
    }

    fn told(&mut self, node: &str) -> &mut Told {
        self.told.entry(node.to_owned()).or_default()
    }
}

// === impl Told ===

impl Told {
    /// Requests whose answer must have been lost, since a home answers at once: it had no room for it.
    fn ask_again(&mut self, now_ms: u64) {
        let overdue =
            |_: &u64, asked: &mut Asked| *asked.due_ms.get_or_insert(now_ms + CALL_WAIT_MS) <= now_ms;
        for (_, asked) in self.interests.extract_if(overdue) {
            self.untold.extend(asked.names);
        }
    }
}
