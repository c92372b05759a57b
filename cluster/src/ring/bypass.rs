//! Reading a ring past its dead: what a process goes by while nobody can publish the next version.

use std::sync::Arc;

use super::key::Slot;
use super::member::Member;
use super::view::{NOBODY, Ring};

impl Ring {
    /// The ring as it is read past `dead` members: each slot of theirs is the next living holder's, clockwise. Version and
    /// signature are those of the published table, so that everybody who knows of the same deaths reads the same. Where
    /// nobody who holds slots is dead, or everybody is: this ring. `dead` is asked once per member.
    pub fn bypassing(&self, dead: impl Fn(&Member) -> bool) -> Self {
        let places = self.places.all().iter();
        let dead: Vec<bool> = places.map(|place| place.vacated.is_none() && dead(&place.member)).collect();
        let is_dead = |index: u16| dead.get(usize::from(index)).copied().unwrap_or(false);
        let held = |by_dead: bool| {
            let mut places = self.places.all().iter().zip(&dead);
            places.any(|(place, dead)| place.slots > 0 && *dead == by_dead)
        };
        if !held(true) || !held(false) {
            return self.clone();
        }
        let mut next = self.clone();
        next.published.get_or_insert_with(|| Arc::clone(&self.holders));
        let holders = Arc::make_mut(&mut next.holders);
        // Counter-clockwise, and round once more for the slots behind the last living holder's.
        let mut living = NOBODY;
        for slot in (0..holders.len()).rev().chain((0..holders.len()).rev()) {
            match holders[slot] {
                index if !is_dead(index) => living = index,
                _ if living != NOBODY => holders[slot] = living,
                _ => {}
            }
        }
        Arc::make_mut(&mut next.places).recount(&next.holders);
        next
    }

    /// Whether it is read past somebody.
    pub const fn is_bypassed(&self) -> bool {
        self.published.is_some()
    }

    /// Whether a slot's holder only stands in for one that is read past: the published table names another. Such a home
    /// stores nothing; whom it stands in for may live, and write.
    pub fn stands_in(&self, slot: Slot) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|published| published[slot.index()] != self.holders[slot.index()])
    }
}
