//! Interest: which topics somebody here follows, registered at the homes of those whose home is elsewhere.

use std::sync::Arc;

use cluster::log::Position;
use cluster::maps::HashSet;
use cluster::ring::Arcs;
use cluster::wire::peer::{Interest, ToHome, encode};

use super::followers::{Arrival, Follower};
use super::topics::Topic;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// Topics in one interest frame, at most: well under a link's message limit with the longest names.
const TOPICS_PER_FRAME: usize = 500;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Adds a session to a topic that it does not follow; answers the name to be shared. Nobody is told yet.
    pub(super) fn follow(&mut self, key: SessionKey, name: &str, arrival: Arrival) -> Option<Arc<str>> {
        let slot = self.slot(name);
        let place = self.place(slot);
        let topic = self.topics.entry(name, || Topic::new(slot, place));
        topic.local.push(Follower::new(key.index(), arrival));
        self.followed += 1;
        self.topics.name(name)
    }

    /// Tells a topic's home of its followers here, or asks the log if that is this node.
    pub(super) fn tell_of(&mut self, name: &str, now: Now) {
        let Some(place) = self.topics.get(name).map(|topic| topic.place.clone()) else { return };
        match place {
            Place::Here => self.open_stream(name, now),
            Place::There(_) | Place::Nowhere => self.tell_home_of(&place, name),
        }
    }

    /// Takes a session off a topic and tells its home. `lost`: it did not leave, its socket did.
    pub(super) fn unfollow(&mut self, key: SessionKey, name: &str, lost: bool) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(at) = topic.local.iter().position(|follower| follower.index == key.index()) else { return };
        topic.local.swap_remove(at);
        self.followed = self.followed.saturating_sub(1);
        // Its home is told, and from then on tells nothing.
        topic.standing &= !topic.local.is_empty();
        let place = topic.place.clone();
        self.lost_follower(name);
        self.topics.release(name);
        self.tell_home_of(&place, name);
        self.went_from(key, name, lost);
    }

    /// Topics whose slot changed hands: leave the old home, register at the new one.
    pub(super) fn replace_topics(&mut self, changed: &Arcs, now: Now) {
        let ring = Arc::clone(&self.ring);
        let (mut arriving, mut leaving, mut concerned) = (Vec::new(), Vec::new(), HashSet::default());
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| changed.contains(topic.slot)) {
            let place = Place::of(topic.slot, &ring, &self.me.id);
            let old = std::mem::replace(&mut topic.place, place);
            topic.standing = false;
            if let Some(stream) = &mut topic.stream {
                // Another home may have written meanwhile, or will.
                stream.doubt();
            }
            match topic.place {
                Place::Here => arriving.push(Arc::clone(name)),
                // Whoever asked here asks at the new home by the same ring, and says so here. Whoever does not see that
                // ring, since another one follows, goes on counting on this node.
                Place::There(_) | Place::Nowhere => leaving.push(Arc::clone(name)),
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
        for name in leaving {
            self.leave_home(&name, now);
        }
        for name in arriving {
            // Also for processes that did not see another home between two rings by which it is here.
            if self.topics.get(&name).is_some_and(Topic::is_followed) {
                self.open_stream(&name, now);
            }
        }
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
            let topics = names.iter().map(|name| self.interest_at(node, name, call)).collect();
            let frame = encode(&ToHome::Interest { call, topics });
            if !self.homes.ask(node, call, names, frame) {
                return;
            }
        }
    }

    /// A home took note, and says where the topics stand as far as it knows.
    pub(super) fn interest_stands(
        &mut self,
        node: &str,
        call: u64,
        positions: &[Option<Position>],
        now: Now,
    ) {
        let names = self.homes.asked_for(node, call);
        for (name, position) in names.iter().zip(positions) {
            let follows = |topic: &&mut Topic| topic.follows_at(node) && topic.asked == call;
            if let Some(topic) = self.topics.get_mut(name).filter(follows) {
                topic.standing = true;
                match position {
                    Some(head) => self.take_head(name, *head, now),
                    None => self.advance_all(name, now),
                }
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

    pub(super) fn tell_home_of(&mut self, place: &Place, name: &str) {
        if let Place::There(node) = place {
            self.homes.note(node, &Arc::from(name));
            self.tell(node);
        }
    }

    /// What `node`, which is being asked with `call`, is told of a topic.
    fn interest_at<'a>(&mut self, node: &str, name: &'a str, call: u64) -> Interest<'a> {
        let none = Interest { topic: name, sessions: 0, known: None, verify: false };
        let Some(topic) = self.topics.get_mut(name).filter(|topic| topic.follows_at(node)) else {
            return none;
        };
        topic.asked = call;
        let verify = std::mem::take(&mut topic.feed.verify);
        Interest { topic: name, sessions: topic.sessions(), known: topic.feed.head(), verify }
    }
}

// === impl Topic ===

impl Topic {
    /// Whether sessions here follow it while its home is `node`.
    pub(super) fn follows_at(&self, node: &str) -> bool {
        !self.local.is_empty() && matches!(&self.place, Place::There(home) if home == node)
    }
}
