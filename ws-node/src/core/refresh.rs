//! After a new ring, a new link or another log: what is in the slots concerned is brought up to date bit by bit, interest
//! first, then who has to move. Between two bits the lock is given back, so that traffic goes on; whatever it needs is
//! brought up to date before it is used.

use std::sync::Arc;

use cluster::ring::{Arcs, Slot};

use super::stale::{BLOCKS, Why, slots_of};
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// What one piece of work may cost.
pub(super) const PIECE: usize = 2_048;

/// What a topic, a group or a session costs; a slot costs 1.
pub(super) const THING: usize = 16;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Does a part of what a new ring, a new link or the loss of one left to do: less than a millisecond's work. True if
    /// there is more to be done now. To be called until it answers false, giving the lock back in between, after
    /// [`Core::ring_changed`], [`Core::tick`], and whatever tells of links and of the log.
    pub fn work_off(&mut self, now: Now) -> bool {
        self.at(now);
        if let Some(node) = self.homes.next_untold(!self.stale.is_empty()) {
            // Whole frames as soon as there are enough topics for one, the last one when no more are to come.
            self.tell(&node);
            return true;
        }
        if !self.stale.is_empty() {
            self.refresh_to(self.piece.max(1));
            return true;
        }
        if !self.gone.is_empty() {
            self.let_leave(self.piece.max(1));
            return true;
        }
        if self.later.has_turn() {
            self.pump_some(now);
            return true;
        }
        if self.again.has_turn() {
            self.read_some(now);
            return true;
        }
        self.offer_moves(now)
    }

    /// Does less at once, for tests of what happens between two pieces of work. With 0 nothing is done before
    /// [`Core::work_off`].
    pub fn work_in_pieces_of(&mut self, cost: usize) {
        self.piece = cost;
    }

    /// Brings a topic up to date before it is used.
    pub(super) fn refresh(&mut self, name: &str) {
        if !self.gone.is_empty() {
            self.let_leave_topic(name);
        }
        if self.stale.is_empty() {
            return;
        }
        let slot = self.slot(name);
        if let Some(why) = self.stale.take(slot) {
            self.refresh_slot(slot, why);
            if let Place::There(node) = self.place(slot) {
                self.tell(&node);
            }
        }
    }

    /// Notes that slots like these have to be brought up to date, if there is something in them.
    pub(super) fn mark(&mut self, why: Why, fits: impl Fn(Slot) -> bool) {
        self.mark_blocks(why, |block, used| {
            slots_of(block)
                .zip(0..)
                .filter(|(slot, at)| used >> at & 1 != 0 && fits(*slot))
                .fold(0, |bits, (_, at)| bits | 1 << at)
        });
    }

    /// The same of slots that changed hands: as quick if one in ten did as if all did, and however much is in them.
    pub(super) fn mark_changed(&mut self, changed: &Arcs) {
        self.mark_blocks(Why::CHANGED, |block, used| used & changed.block(block));
    }

    /// `fits` is given the slots of a block that have something in them, and answers those that are meant.
    fn mark_blocks(&mut self, why: Why, fits: impl Fn(usize, u64) -> u64) {
        for block in 0..BLOCKS {
            let groups = self.presence.here.used(block) | self.presence.homed.used(block);
            let used = self.topics.used(block) | self.sessions.used(block) | groups;
            if used != 0 {
                self.stale.mark_block(block, fits(block, used), why);
            }
        }
    }

    /// Brings slots up to date, as many as one piece of work has.
    pub(super) fn refresh_some(&mut self) {
        self.refresh_to(self.piece);
    }

    fn refresh_to(&mut self, most: usize) {
        let mut cost = 0;
        while cost < most {
            let Some((slot, why)) = self.stale.take_next() else { break };
            cost += 1 + THING * self.refresh_slot(slot, why);
        }
        self.tell_all_members();
    }

    /// Brings a slot up to date; how many things that were.
    fn refresh_slot(&mut self, slot: Slot, why: Why) -> usize {
        let topics = self.topics.in_slot(slot).to_vec();
        let here = self.presence.here.in_slot(slot).to_vec();
        let homed = self.presence.homed.in_slot(slot).to_vec();
        let seeks = why.is(Why::CHANGED) || why.is(Why::SOUGHT) || why.is(Why::RECALLED);
        let sessions: Vec<SessionKey> =
            if seeks { self.sessions.in_slot(slot).collect() } else { Vec::new() };
        let count = topics.len() + here.len() + homed.len() + sessions.len();
        if count == 0 {
            return 0;
        }
        let place = self.place(slot);
        self.refresh_topics(&topics, &place, why);
        homed.iter().for_each(|name| self.refresh_roster(name, &place, why));
        here.iter().for_each(|name| self.refresh_members(name, &place, why));
        sessions.into_iter().for_each(|key| self.queue_move(key, why.is(Why::RECALLED)));
        count
    }

    fn refresh_topics(&mut self, names: &[Arc<str>], place: &Place, why: Why) {
        let mut moved = Vec::new();
        for name in names {
            if self.replace_topic(name, place, why) {
                moved.push(name);
            }
        }
        for name in moved {
            match place {
                // Also for processes that did not see another home between two rings by which it is here.
                Place::Here if self.topics.get(name).is_some_and(super::topics::Topic::is_followed) => {
                    self.open_stream(name, self.now);
                }
                Place::Here => {}
                // Whoever asked here asks at the new home by the same ring, and says so here. Whoever does not see that
                // ring, since another one follows, goes on counting on this node.
                Place::There(_) | Place::Nowhere => self.leave_home(name),
            }
        }
    }
}
