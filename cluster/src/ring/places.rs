//! The index of a ring: which number stands for which member in the table.
//!
//! A number stays with its member. When the member leaves, the number rests: the same id gets it back at
//! once, another id only after 1,000 versions, so that whoever still holds an older table does not read a
//! stranger's name into it.

use super::error::RingError;
use super::member::{Member, MemberState};
use super::view::Holders;

/// Most indices of a ring, and so most members.
pub const MEMBERS_MAX: usize = 4_096;
/// Versions for which a vacated index is kept for the id that had it.
pub const INDEX_REST_VERSIONS: u32 = 1_000;

/// The index of a ring, dense from 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Places {
    list: Vec<Place>,
    /// The indices of the members, ordered by id.
    by_id: Vec<u16>,
}

/// One number of the index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The member, or who it was. Kept in place so that `Ring::home` is a bound check and no branch on a
    /// variant.
    pub(super) member: Member,
    /// How many slots it holds.
    pub(super) slots: u32,
    /// The version number at which the member left, if it did.
    pub(super) vacated: Option<u32>,
}

// === impl Places ===

impl Places {
    /// The places with these numbers. `None` if two members have one id.
    pub(super) fn of(list: Vec<Place>) -> Option<Self> {
        let mut by_id: Vec<u16> =
            (0..).zip(&list).filter(|(_, place)| place.vacated.is_none()).map(|(index, _)| index).collect();
        let id = |index: &u16| list[usize::from(*index)].member.id.as_str();
        by_id.sort_unstable_by(|a, b| id(a).cmp(id(b)));
        let unique = by_id.windows(2).all(|pair| id(&pair[0]) != id(&pair[1]));
        unique.then_some(Self { list, by_id })
    }

    /// All places, vacated ones too.
    pub(super) fn all(&self) -> &[Place] {
        &self.list
    }

    pub(super) fn get(&self, index: u16) -> Option<&Place> {
        self.list.get(usize::from(index))
    }

    pub(super) fn get_mut(&mut self, index: u16) -> Option<&mut Place> {
        self.list.get_mut(usize::from(index))
    }

    /// Whether an index is a member's.
    pub(super) fn is_live(&self, index: u16) -> bool {
        self.get(index).is_some_and(|place| place.vacated.is_none())
    }

    /// The places of members, in the order of their indices.
    pub(super) fn live(&self) -> impl Iterator<Item = (u16, &Place)> {
        (0..).zip(&self.list).filter(|(_, place)| place.vacated.is_none())
    }

    /// How many members there are.
    pub(super) fn live_count(&self) -> usize {
        self.by_id.len()
    }

    /// The indices of the members, ordered by id.
    pub(super) fn by_id(&self) -> &[u16] {
        &self.by_id
    }

    /// The index of a member.
    pub(super) fn find(&self, id: &str) -> Option<u16> {
        self.search(id).ok().map(|at| self.by_id[at])
    }

    /// Gives a new member an index at version `number`: its former one, else the lowest that has rested, else
    /// the next.
    pub(super) fn seat(&mut self, member: Member, number: u32) -> Result<u16, RingError> {
        let Err(at) = self.search(&member.id) else { return Err(RingError::InvalidId) };
        let index = self.free_index(&member.id, number)?;
        let place = Place { member, slots: 0, vacated: None };
        match self.list.get_mut(usize::from(index)) {
            Some(former) => *former = place,
            None => self.list.push(place),
        }
        self.by_id.insert(at, index);
        Ok(index)
    }

    /// Takes a member out at version `number`. Its slots are the caller's to move.
    pub(super) fn vacate(&mut self, index: u16, number: u32) {
        if let Some(place) = self.list.get_mut(usize::from(index)) {
            place.vacated = Some(number);
            place.slots = 0;
            place.member = Member::vacated(std::mem::take(&mut place.member.id));
            self.by_id.retain(|member| *member != index);
        }
    }

    /// Whether there is an active member.
    pub(super) fn has_active(&self) -> bool {
        self.live().any(|(_, place)| place.member.state == MemberState::Active)
    }

    /// The members that take slots, ascending: the active ones or, if there are none, all.
    pub(super) fn takers(&self) -> Vec<u16> {
        let any = !self.has_active();
        let takes = |place: &Place| any || place.member.state == MemberState::Active;
        self.live().filter(|(_, place)| takes(place)).map(|(index, _)| index).collect()
    }

    /// Counts the slots of all members anew.
    pub(super) fn recount(&mut self, holders: &Holders) {
        for place in &mut self.list {
            place.slots = 0;
        }
        for &index in holders {
            if let Some(place) = self.get_mut(index) {
                place.slots += 1;
            }
        }
    }

    fn search(&self, id: &str) -> Result<usize, usize> {
        self.by_id.binary_search_by(|index| self.list[usize::from(*index)].member.id.as_str().cmp(id))
    }

    fn free_index(&self, id: &str, number: u32) -> Result<u16, RingError> {
        let vacant =
            || (0u16..).zip(&self.list).filter_map(|(index, place)| Some((index, place, place.vacated?)));
        let own = vacant().find(|(_, place, _)| place.member.id == id);
        let rested = || vacant().find(|(.., since)| number.wrapping_sub(*since) >= INDEX_REST_VERSIONS);
        match own.or_else(rested) {
            Some((index, ..)) => Ok(index),
            None if self.list.len() < MEMBERS_MAX => Ok(self.list.len() as u16),
            None => Err(RingError::Full),
        }
    }
}
