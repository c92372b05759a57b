//! Interest: which topics somebody here follows, registered at the homes of those whose home is elsewhere.

use std::collections::HashSet;
use std::sync::Arc;

use cluster::ring::Arcs;
use cluster::wire::peer::{Interest, ToHome, encode};

use super::topics::Topic;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// Topics in one interest frame, at most: well under a link's message limit with the longest names.
const TOPICS_PER_FRAME: usize = 500;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Adds a session to a topic and tells its home if that is elsewhere.
    pub(super) fn follow(&mut self, key: SessionKey, name: &str) -> Place {
        let slot = self.slot(name);
        let place = self.place(slot);
        let topic = self.topics.entry(name, || Topic::new(slot, place.clone()));
        if !topic.local.contains(&key.index()) {
            topic.local.push(key.index());
        }
        self.tell_home_of(&place, name);
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
        let place = topic.place.clone();
        self.topics.release(name);
        self.tell_home_of(&place, name);
    }

    pub(super) fn is_standing(&mut self, name: &str) -> bool {
        self.topics.get_mut(name).is_some_and(|topic| topic.standing)
    }

    /// Topics whose slot changed hands: leave the old home, register at the new one.
    pub(super) fn replace_topics(&mut self, changed: &Arcs, now: Now) {
        let ring = Arc::clone(&self.ring);
        let (mut arriving, mut concerned) = (Vec::new(), HashSet::new());
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| changed.contains(topic.slot)) {
            let place = Place::of(topic.slot, &ring, &self.me.id);
            let old = std::mem::replace(&mut topic.place, place);
            topic.standing = false;
            match topic.place {
                Place::Here => arriving.push(Arc::clone(name)),
                // Whoever asked here asks at the new home by the same ring.
                Place::There(_) | Place::Nowhere => topic.remote.clear(),
            }
            for place in [old, topic.place.clone()] {
                if let Place::There(node) = place
                    && !topic.local.is_empty()
                {
                    self.homes.note(&node, name);
                    concerned.insert(node);
                }
            }
        }
        self.topics.retain_interesting();
        arriving.iter().for_each(|name| self.welcome_waiting(name, now));
        concerned.iter().for_each(|node| self.tell(node));
    }

    /// Tells a home how many sessions here follow the topics that it is still to be told of: none, if their home is
    /// another one by now.
    pub(super) fn tell(&mut self, node: &str) {
        loop {
            let names = self.homes.untold(node, TOPICS_PER_FRAME);
            if names.is_empty() {
                return;
            }
            let call = self.next_number();
            let counts: Vec<u32> = names.iter().map(|name| self.asked_of(node, name, call)).collect();
            let interest = |(topic, sessions)| Interest { topic, sessions, known: None, verify: false };
            let topics = names.iter().map(AsRef::as_ref).zip(counts).map(interest).collect();
            let frame = encode(&ToHome::Interest { call, topics });
            if !self.homes.ask(node, call, names, frame) {
                return;
            }
        }
    }

    /// A home took note.
    pub(super) fn interest_stands(&mut self, node: &str, call: u64, now: Now) {
        for name in self.homes.asked_for(node, call) {
            let follows = |topic: &&mut Topic| topic.follows_at(node) && topic.asked == call;
            if let Some(topic) = self.topics.get_mut(&name).filter(follows) {
                topic.standing = true;
                self.welcome_waiting(&name, now);
            }
        }
    }

    /// The link to a home is another one or none: nothing stands there. Answers which topics are concerned.
    pub(super) fn lose_standing(&mut self, node: &str) -> Vec<Arc<str>> {
        let concerned = self.topics.iter_mut().filter(|(_, topic)| topic.follows_at(node));
        concerned
            .map(|(name, topic)| {
                topic.standing = false;
                Arc::clone(name)
            })
            .collect()
    }

    fn tell_home_of(&mut self, place: &Place, name: &str) {
        if let Place::There(node) = place {
            self.homes.note(node, &Arc::from(name));
            self.tell(node);
        }
    }

    /// How many sessions follow a topic at `node`, which is being asked with `call`.
    fn asked_of(&mut self, node: &str, name: &str, call: u64) -> u32 {
        let Some(topic) = self.topics.get_mut(name).filter(|topic| topic.follows_at(node)) else { return 0 };
        topic.asked = call;
        topic.sessions()
    }
}

// === impl Topic ===

impl Topic {
    /// Whether sessions here follow it while its home is `node`.
    pub(super) fn follows_at(&self, node: &str) -> bool {
        !self.local.is_empty() && matches!(&self.place, Place::There(home) if home == node)
    }
}
