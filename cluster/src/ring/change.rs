//! The changes of a ring: each takes a version to the next one, or gives the same version back if there is
//! nothing to change, so that repeating a change whose outcome is unknown is harmless.

use std::sync::Arc;

use super::error::RingError;
use super::member::{Member, MemberState, is_valid_peer, is_valid_url};
use super::places::Places;
use super::record::RECORD_BYTES_MAX;
use super::version::Version;
use super::view::{Holders, Policy, Ring, signature};
use super::{balanced, body, hashed};
use crate::limits;

impl Ring {
    /// The ring with `member` in it, active whatever its `state` says.
    ///
    /// - A new id takes its share of the slots from the most loaded members.
    /// - An id that is already in is replaced in place: same index and, if it is active and its weight is the
    ///   same, same slots. With another weight it takes or gives up the difference and no more. A draining
    ///   member that joins again is active again and takes its share.
    /// - A member that is in exactly so already: this ring, same version.
    pub fn join(&self, member: Member) -> Result<Self, RingError> {
        let member = Member { state: MemberState::Active, ..member };
        self.check(&member)?;
        let mut next = self.clone();
        let index = match self.places.find(&member.id) {
            Some(index) => {
                let Some(place) = next.places_mut().get_mut(index) else { return Err(RingError::InvalidId) };
                if place.member == member {
                    return Ok(next);
                }
                let placed = place.member.state == member.state && place.member.weight == member.weight;
                place.member = member;
                if placed {
                    next.version = self.version.next();
                    return next.within_limits();
                }
                index
            }
            None => next.places_mut().seat(member, self.version.next().number)?,
        };
        match self.policy {
            Policy::Balanced => {
                let (holders, places) = next.parts_mut();
                balanced::claim(holders, places, index, self.key);
            }
            Policy::Hashed => next.place_hashed(),
        }
        next.settle().within_limits()
    }

    /// The ring without the members with these ids, in one new version: their slots, in ascending order, go
    /// each to the member with the smallest count/weight. Draining members take slots only when no other is
    /// left. Ids that are no members' are ignored; if all are, this ring, same version.
    pub fn leave(&self, ids: &[&str]) -> Self {
        let mut next = self.clone();
        let leaving: Vec<u16> = ids.iter().filter_map(|id| self.places.find(id)).collect();
        if leaving.is_empty() {
            return next;
        }
        for &index in &leaving {
            next.places_mut().vacate(index, self.version.next().number);
        }
        next.hand_over(&leaving);
        next.settle()
    }

    /// The ring with a member draining: it gives up its slots as if it left, but stays a member. If no active
    /// member is left to take them it keeps its slots. An id that is no member's or is draining already: this
    /// ring, same version.
    pub fn drain(&self, id: &str) -> Self {
        let mut next = self.clone();
        let Some(index) = self.places.find(id) else { return next };
        let Some(place) = next.places_mut().get_mut(index) else { return next };
        if place.member.state == MemberState::Draining {
            return next;
        }
        place.member.state = MemberState::Draining;
        if next.places.has_active() {
            next.hand_over(&[index]);
        }
        next.settle()
    }

    /// The same ring put back under a new term: number and log generation grow by one.
    pub fn with_term(&self, term: u32) -> Self {
        let number = self.version.number.saturating_add(1);
        let log_generation = self.log_generation.saturating_add(1);
        Self { version: Version { term, number }, log_generation, ..self.clone() }
    }

    /// Moves all slots of `givers` to those that take them, by the ring's policy.
    fn hand_over(&mut self, givers: &[u16]) {
        match self.policy {
            Policy::Balanced => {
                let (holders, places) = self.parts_mut();
                balanced::hand_over(holders, places, givers);
            }
            Policy::Hashed => self.place_hashed(),
        }
    }

    fn place_hashed(&mut self) {
        let key = self.key;
        let (holders, places) = self.parts_mut();
        hashed::place(holders, places, key);
    }

    fn places_mut(&mut self) -> &mut Places {
        Arc::make_mut(&mut self.places)
    }

    fn parts_mut(&mut self) -> (&mut Holders, &mut Places) {
        (Arc::make_mut(&mut self.holders), Arc::make_mut(&mut self.places))
    }

    /// The next version, signed for its table.
    fn settle(self) -> Self {
        Self { version: self.version.next(), signature: signature(self.key, &self.holders), ..self }
    }

    fn within_limits(self) -> Result<Self, RingError> {
        if body::bytes_at_most(&self) > RECORD_BYTES_MAX { Err(RingError::TooLarge) } else { Ok(self) }
    }

    fn check(&self, member: &Member) -> Result<(), RingError> {
        match member {
            Member { id, .. } if !limits::is_id(id) => Err(RingError::InvalidId),
            Member { url, .. } if !is_valid_url(url) => Err(RingError::InvalidUrl),
            Member { peer, .. } if !is_valid_peer(peer) => Err(RingError::InvalidPeer),
            Member { weight: 0, .. } => Err(RingError::InvalidWeight),
            Member { weight, .. } if self.policy == Policy::Hashed && *weight > hashed::WEIGHT_MAX => {
                Err(RingError::WeightTooLarge)
            }
            _ => Ok(()),
        }
    }
}
