//! Interest: which topics somebody here follows, registered at the homes of those whose home is elsewhere.

use std::sync::Arc;

use cluster::log::Position;
use cluster::planted::{self, Bug};
use cluster::wire::peer::{Interest, ToHome, encode};

use super::followers::{Arrival, Follower};
use super::stale::Why;
use super::topics::Topic;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// Topics in one interest frame, at most: well under a link's message limit with the longest names.
pub(super) const TOPICS_PER_FRAME: usize = 500;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Adds a session to a topic that it does not follow; answers the name to be shared. Nobody is told yet.
    pub(super) fn follow(&mut self, key: SessionKey, name: &str, arrival: Arrival) -> Option<Arc<str>> {
        self.refresh(name);
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
        self.refresh(name);
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

    /// Notes where a topic's home is now, and which homes are to be told; whether it is another one.
    pub(super) fn replace_topic(&mut self, name: &Arc<str>, place: &Place, why: Why) -> bool {
        let Some(topic) = self.topics.get_mut(name) else { return false };
        let changed = topic.place != *place;
        if let Some(stream) = &mut topic.stream
            && (why.is(Why::CHANGED) || why.is(Why::DOUBTED))
        {
            // Another home may have written meanwhile, or will; or the log is another one.
            stream.doubt();
            if !changed {
                self.later.push(name, stream);
            }
        }
        if changed || why.is(Why::RELINKED) && matches!(place, Place::There(_)) {
            topic.standing = false;
            let old = std::mem::replace(&mut topic.place, place.clone());
            let forgotten = changed && planted::is(Bug::ForgetInterest);
            let homes = [Some(&old).filter(|_| changed), Some(place).filter(|_| !forgotten)];
            for home in homes.into_iter().flatten() {
                if let Place::There(node) = home
                    && !topic.local.is_empty()
                {
                    self.homes.note(node, name);
                }
            }
        }
        changed
    }

    /// Tells a home how many sessions here follow the topics that it is still to be told of: none, if their home is
    /// another one by now. One frame; if there are more, the others follow ([`Core::work_off`]).
    pub(super) fn tell(&mut self, node: &str) {
        let names = self.homes.untold(node, TOPICS_PER_FRAME);
        if names.is_empty() {
            return;
        }
        let call = self.next_number();
        let topics = names.iter().map(|name| self.interest_at(node, name, call)).collect();
        let frame = encode(&ToHome::Interest { call, topics });
        self.homes.ask(node, call, names, frame);
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
            self.refresh(name);
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

    /// The link to a home is another one or none: nothing stands there.
    pub(super) fn lose_standing(&mut self, node: &str) {
        let home = self.ring.index_of(node);
        if home.is_some() {
            let ring = Arc::clone(&self.ring);
            self.mark(Why::RELINKED, |slot| ring.holder(slot) == home);
        }
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
