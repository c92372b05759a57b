//! Interest: which topics somebody here follows, registered at the homes of those whose home is elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use cluster::ring::Arcs;
use cluster::wire::peer::{ToHome, encode};

use super::topics::Topic;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// Topics in one interest frame, at most: well under a link's message limit with the longest names.
const TOPICS_PER_FRAME: usize = 500;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Adds a session to a topic and registers interest at its home if that is elsewhere.
    pub(super) fn follow(&mut self, key: SessionKey, name: &str) -> Place {
        let slot = self.slot(name);
        let place = self.place(slot);
        let topic = self.topics.entry(name, || Topic::new(slot, place.clone()));
        if !topic.local.contains(&key.index()) {
            topic.local.push(key.index());
        }
        if let Place::There(node) = &place {
            self.register(node, &[Arc::from(name)]);
        }
        place
    }

    /// Takes a session off a topic and tells its home.
    pub(super) fn unfollow(&mut self, key: SessionKey, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let before = topic.local.len();
        topic.local.retain(|index| *index != key.index());
        if topic.local.len() == before {
            return;
        }
        if let Place::There(node) = topic.place.clone() {
            self.register(&node, &[Arc::from(name)]);
        }
        self.topics.release(name);
    }

    pub(super) fn is_standing(&mut self, name: &str) -> bool {
        self.topics.get_mut(name).is_some_and(|topic| topic.standing)
    }

    /// Topics whose slot changed hands: leave the old home, register at the new one.
    pub(super) fn replace_topics(&mut self, changed: &Arcs, now: Now) {
        let mut moving: HashMap<String, Vec<Arc<str>>> = HashMap::new();
        let mut leaving: HashMap<String, Vec<Arc<str>>> = HashMap::new();
        let mut arriving: Vec<Arc<str>> = Vec::new();
        let ring = Arc::clone(&self.ring);
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| changed.contains(topic.slot)) {
            let place = Place::of(topic.slot, &ring, &self.me.id);
            if let Place::There(old) = std::mem::replace(&mut topic.place, place.clone())
                && !topic.local.is_empty()
            {
                leaving.entry(old).or_default().push(Arc::clone(name));
            }
            topic.standing = false;
            match place {
                Place::Here => arriving.push(Arc::clone(name)),
                // Whoever asked here asks at the new home by the same ring.
                Place::There(_) | Place::Nowhere => topic.remote.clear(),
            }
            if let Place::There(node) = &topic.place
                && !topic.local.is_empty()
            {
                moving.entry(node.clone()).or_default().push(Arc::clone(name));
            }
        }
        self.topics.retain_interesting();
        arriving.iter().for_each(|name| self.welcome_waiting(name, now));
        moving.into_iter().for_each(|(node, names)| self.register(&node, &names));
        leaving.into_iter().for_each(|(node, names)| self.withdraw(&node, &names));
        self.homes.retain_members(|node| ring.member(node).is_some());
    }

    /// Tells a home which of these topics are followed here, and by how many sessions.
    pub(super) fn register(&mut self, node: &str, names: &[Arc<str>]) {
        for names in names.chunks(TOPICS_PER_FRAME) {
            let call = self.next_number();
            let counts: Vec<u32> = names.iter().map(|name| self.sessions_of(name)).collect();
            let topics = names.iter().map(AsRef::as_ref).zip(counts).collect();
            self.homes.ask(node, call, names.to_vec(), encode(&ToHome::Interest { call, topics }));
        }
    }

    /// Tells a former home that these topics are no longer its concern. What a full queue does not take leaves
    /// interest behind in topics that nobody sends to there any more.
    fn withdraw(&mut self, node: &str, names: &[Arc<str>]) {
        for names in names.chunks(TOPICS_PER_FRAME) {
            let call = self.next_number();
            let topics = names.iter().map(|name| (&**name, 0)).collect();
            self.homes.ask(node, call, Vec::new(), encode(&ToHome::Interest { call, topics }));
        }
    }

    /// Registers interest again that is neither standing nor under way.
    pub(super) fn register_missing(&mut self) {
        if !std::mem::take(&mut self.homes.interest_missing) {
            return;
        }
        let mut missing: HashMap<String, Vec<Arc<str>>> = HashMap::new();
        for (name, topic) in self.topics.iter_mut() {
            if let Place::There(node) = &topic.place
                && !topic.standing
                && !topic.local.is_empty()
            {
                missing.entry(node.clone()).or_default().push(Arc::clone(name));
            }
        }
        for (node, names) in missing {
            if self.homes.is_asking(&node) {
                // Some of these may be among what is asked for: look again at the next tick.
                self.homes.interest_missing = true;
            } else {
                self.register(&node, &names);
            }
        }
    }

    /// A home took note.
    pub(super) fn interest_stands(&mut self, node: &str, call: u64, now: Now) {
        for name in self.homes.asked_for(node, call) {
            if let Some(topic) = self.topics.get_mut(&name).filter(|topic| topic.follows_at(node)) {
                topic.standing = true;
                self.welcome_waiting(&name, now);
            }
        }
    }

    fn sessions_of(&mut self, name: &str) -> u32 {
        self.topics.get_mut(name).map_or(0, |topic| topic.sessions())
    }
}

// === impl Topic ===

impl Topic {
    /// Whether sessions here follow it while its home is `node`.
    pub(super) fn follows_at(&self, node: &str) -> bool {
        !self.local.is_empty() && matches!(&self.place, Place::There(home) if home == node)
    }
}
