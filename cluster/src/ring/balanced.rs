//! The policy `balanced`: exactly proportional shares, exactly minimal moves (Dynamo's strategy 3, Riak's
//! claim).
//!
//! All in integers: loads are compared as cross products, at most 2^16 * 2^32; the total weight is at most
//! 2^12 * 2^32. Neither can overflow a u64.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::key::{RingKey, SLOTS, mix64};
use super::places::{Place, Places};
use super::view::{Holders, NOBODY};

/// Slots to take from each donor on average from which they are not all taken one by one.
const BULK: usize = 16;

/// How many more of a donor's slots are looked at than it gives, beyond an eighth: enough for any newcomer.
const SLACK: u32 = 64;
/// Look at all.
const ALL: u32 = u32::MAX;

/// Brings member `x` to its quota of the slots, floor(2^16 * weight / total weight), from what it holds now:
/// none when it joins or comes back, some when its weight changed. Nothing moves that need not.
pub(super) fn claim(holders: &mut Holders, places: &mut Places, x: u16, key: RingKey) {
    let weight = |index| places.get(index).map_or(0, |place| u64::from(place.member.weight));
    let Some(place) = places.get(x) else { return };
    let total: u64 = places.takers().into_iter().map(weight).sum();
    let quota = (SLOTS as u64 * weight(x) / total.max(1)) as u32;
    let salt = key.hash(place.member.id.as_bytes());
    match place.slots.cmp(&quota) {
        Ordering::Less => take(holders, places, x, quota - place.slots, salt),
        Ordering::Greater => release(holders, places, x, place.slots - quota, salt),
        Ordering::Equal => {}
    }
}

/// Gives all slots of `givers`, in ascending order, to the members that take slots. The givers have left or
/// drain.
pub(super) fn hand_over(holders: &mut Holders, places: &mut Places, givers: &[u16]) {
    let mut gives = vec![false; places.all().len()];
    for &index in givers {
        gives[usize::from(index)] = true;
        if let Some(place) = places.get_mut(index) {
            place.slots = 0;
        }
    }
    let from_giver = |holder: u16| gives.get(usize::from(holder)).copied().unwrap_or(false);
    let slots: Vec<u16> = (0..=u16::MAX).filter(|slot| from_giver(holders[usize::from(*slot)])).collect();
    let takers = places.takers();
    give(holders, places, &slots, &takers);
}

/// Gives each of `slots` to the one of `takers` with the smallest count/weight (ties: smaller id). Both
/// ascend.
fn give(holders: &mut Holders, places: &mut Places, slots: &[u16], takers: &[u16]) {
    let mut heap: BinaryHeap<Reverse<Load>> =
        loads(places, |index| takers.binary_search(&index).is_ok()).map(Reverse).collect();
    for &slot in slots {
        let Some(mut least) = heap.peek_mut() else {
            holders[usize::from(slot)] = NOBODY;
            continue;
        };
        least.0.slots += 1;
        holders[usize::from(slot)] = least.0.index;
        if let Some(place) = places.get_mut(least.0.index) {
            place.slots += 1;
        }
    }
}

/// `count` times, takes one slot for `x` from the member with the largest count/weight (ties: smaller id); of
/// a donor's slots go those with the smallest mix64(salt ^ slot). Slots that nobody holds are `x`'s, who is
/// the first member.
fn take(holders: &mut Holders, places: &mut Places, x: u16, count: u32, salt: u64) {
    let mut taken = 0;
    for holder in holders.iter_mut().filter(|holder| **holder == NOBODY) {
        *holder = x;
        taken += 1;
    }
    let donations = donations(places, x, count.saturating_sub(taken));
    for slot in smallest(holders, places, &donations, salt, SLACK) {
        let holder = std::mem::replace(&mut holders[usize::from(slot)], x);
        if let Some(donor) = places.get_mut(holder) {
            donor.slots -= 1;
        }
        taken += 1;
    }
    if let Some(place) = places.get_mut(x) {
        place.slots += taken;
    }
}

/// For each donor as many of its slots as it gives, those with the smallest ranks mix64(salt ^ slot).
///
/// A newcomer's ranks are evenly spread, so it is enough to look at those below a bound under which an eighth
/// and `slack` more are to be expected than are wanted. For a member that was there before they are not: it has
/// claimed the smallest ones already. Where they do not suffice, all are looked at.
fn smallest(holders: &Holders, places: &Places, donations: &[u32], salt: u64, slack: u32) -> Vec<u16> {
    let bound = |(place, wanted): (&Place, &u32)| {
        let expected = u64::from(*wanted) + u64::from(*wanted / 8) + u64::from(slack);
        match u64::from(place.slots) {
            _ if *wanted == 0 => 0,
            held if held <= expected => u64::MAX,
            held => u64::MAX / held * expected,
        }
    };
    let bounds: Vec<u64> = places.all().iter().zip(donations).map(bound).collect();
    let mut candidates = vec![Vec::new(); donations.len()];
    for (slot, holder) in (0..=u16::MAX).zip(holders) {
        let rank = mix64(salt ^ u64::from(slot));
        let index = usize::from(*holder);
        if bounds.get(index).is_some_and(|bound| rank <= *bound) {
            candidates[index].push((rank, slot));
        }
    }
    if slack != ALL && candidates.iter().zip(donations).any(|(found, wanted)| found.len() < *wanted as usize)
    {
        return smallest(holders, places, donations, salt, ALL);
    }
    let mut slots = Vec::with_capacity(donations.iter().sum::<u32>() as usize);
    for (found, &wanted) in candidates.iter_mut().zip(donations) {
        let wanted = wanted as usize;
        if wanted < found.len() {
            // Ranks never tie: mix64 is a bijection.
            found.select_nth_unstable(wanted);
        }
        slots.extend(found.iter().take(wanted).map(|(_, slot)| *slot));
    }
    slots
}

/// How many slots each index gives when `x` takes `count`.
fn donations(places: &Places, x: u16, count: u32) -> Vec<u32> {
    let mut donations = vec![0; places.all().len()];
    let mut donors: Vec<Load> = loads(places, |index| index != x)
        // The heap gives the greatest: of equal loads that has to be the smaller id.
        .map(|load| Load { preference: u32::MAX - load.preference, ..load })
        .collect();
    let level = if count as usize > BULK * donors.len() { level(&donors, count) } else { u64::MAX };
    let mut left = count;
    for donor in &mut donors {
        let surplus = donor.above(level);
        donor.slots -= surplus;
        donations[usize::from(donor.index)] = surplus;
        left -= surplus;
    }
    let mut heap = BinaryHeap::from(donors);
    for _ in 0..left {
        let Some(mut most) = heap.peek_mut().filter(|most| most.slots > 0) else { break };
        most.slots -= 1;
        donations[usize::from(most.index)] += 1;
    }
    donations
}

/// The lowest count/weight, in units of 2^-32, above which the donors hold no more than `count` slots. All of
/// those are taken before any other, so they need not be taken one by one.
fn level(donors: &[Load], count: u32) -> u64 {
    let too_many = |level: u64| donors.iter().map(|donor| donor.above(level)).sum::<u32>() > count;
    let (mut low, mut high) = (0, (SLOTS as u64) << 32);
    while low < high {
        let middle = low.midpoint(high);
        if too_many(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// `x`, whose weight was lowered, gives up `count` slots, those that it would claim last.
fn release(holders: &mut Holders, places: &mut Places, x: u16, count: u32, salt: u64) {
    let held = (0u16..=u16::MAX).filter(|slot| holders[usize::from(*slot)] == x);
    let mut ranked: Vec<(u64, u16)> = held.map(|slot| (mix64(salt ^ u64::from(slot)), slot)).collect();
    ranked.sort_unstable_by_key(|entry| Reverse(entry.0));
    let mut slots: Vec<u16> = ranked.into_iter().take(count as usize).map(|(_, slot)| slot).collect();
    slots.sort_unstable();
    let mut takers = places.takers();
    takers.retain(|index| *index != x);
    if takers.is_empty() {
        return;
    }
    if let Some(place) = places.get_mut(x) {
        place.slots -= slots.len() as u32;
    }
    give(holders, places, &slots, &takers);
}

/// A member's load, ordered by count/weight, then by `preference`: every pair differs, so the order is the
/// same on every machine.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Load {
    slots: u32,
    weight: u32,
    preference: u32,
    index: u16,
}

impl Load {
    /// How many slots it holds above a level of count/weight in units of 2^-32.
    fn above(&self, level: u64) -> u32 {
        let below = (u128::from(level) * u128::from(self.weight)) >> 32;
        u32::try_from(below).map_or(0, |below| self.slots.saturating_sub(below))
    }
}

impl Ord for Load {
    fn cmp(&self, other: &Self) -> Ordering {
        let own = u64::from(self.slots) * u64::from(other.weight);
        let others = u64::from(other.slots) * u64::from(self.weight);
        own.cmp(&others).then_with(|| self.preference.cmp(&other.preference))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The loads of the members that `wanted` takes, each with its rank in the order of ids as preference.
fn loads(places: &Places, wanted: impl Fn(u16) -> bool) -> impl Iterator<Item = Load> {
    (0..).zip(places.by_id()).filter(move |(_, index)| wanted(**index)).filter_map(|(preference, &index)| {
        let Place { member, slots, .. } = places.get(index)?;
        Some(Load { slots: *slots, weight: member.weight, preference, index })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Member, MemberState, Policy, Ring};
    use super::*;

    #[test]
    fn looking_at_too_few_slots_gives_the_same_ones_as_looking_at_all() {
        let key = RingKey::new([3; 16]);
        let member = |id: &str| Member {
            id: id.to_owned(),
            generation: 1,
            url: "ws://a".to_owned(),
            peer: "a:1".to_owned(),
            weight: 100,
            state: MemberState::Active,
        };
        let genesis = Ring::genesis("default", key, Policy::Balanced);
        let ring = ["a", "b", "c"].iter().fold(genesis, |ring, id| ring.join(member(id)).unwrap());
        for (salt, donations) in [(1, [7, 1, 0]), (2, [1, 2, 3]), (3, [6_000, 5_000, 21_845])] {
            let slots = |slack| {
                let mut slots = smallest(&ring.holders, &ring.places, &donations, salt, slack);
                slots.sort_unstable();
                slots
            };
            assert_eq!(slots(ALL).len() as u32, donations.iter().sum::<u32>());
            assert_eq!(slots(0), slots(ALL));
            assert_eq!(slots(SLACK), slots(ALL));
        }
    }
}
