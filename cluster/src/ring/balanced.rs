//! The policy `balanced`: exactly proportional shares, exactly minimal moves (Dynamo's strategy 3, Riak's claim).
//!
//! All in integers: loads are compared as cross products, at most 2^16 * 2^32; the total weight is at most
//! 2^12 * 2^32. Nothing here can overflow a u64.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::key::{RingKey, SLOTS, mix64};
use super::places::{Place, Places};
use super::view::{Holders, NOBODY};

/// Brings member `x` to its quota of the slots, floor(2^16 * weight / total weight), from what it holds now: none when
/// it joins or comes back, some when its weight changed. Nothing moves that need not.
pub(super) fn claim(holders: &mut Holders, places: &mut Places, x: u16, key: RingKey) {
    let weights =
        || places.takers().into_iter().filter_map(|index| Some(u64::from(places.get(index)?.member.weight)));
    let Some(place) = places.get(x) else { return };
    let quota = (SLOTS as u64 * u64::from(place.member.weight) / weights().sum::<u64>().max(1)) as u32;
    let salt = key.hash(place.member.id.as_bytes());
    match place.slots.cmp(&quota) {
        Ordering::Less => take(holders, places, x, quota - place.slots, salt),
        Ordering::Greater => return_some(holders, places, x, place.slots - quota, salt),
        Ordering::Equal => {}
    }
}

/// Gives all slots of `givers`, in ascending order, to the members that take slots. The givers have left or drain.
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

/// Gives each of `slots`, which must ascend, to the one of `takers`, which must ascend too, with the smallest count/weight (ties: smaller id).
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

/// `count` times, takes one slot for `x` from the member with the largest count/weight (ties: smaller id); of a donor's
/// slots go those with the smallest mix64(salt ^ slot).
fn take(holders: &mut Holders, places: &mut Places, x: u16, count: u32, salt: u64) {
    let donations = donations(places, x, count);
    let mut ranks: Vec<Vec<u64>> = donations.iter().map(|_| Vec::new()).collect();
    for (slot, &holder) in (0u64..).zip(holders.iter()) {
        if donations.get(usize::from(holder)).is_some_and(|donation| *donation > 0) {
            ranks[usize::from(holder)].push(mix64(salt ^ slot));
        }
    }
    // Ranks never tie (mix64 is a bijection), so the last one to go tells all of them.
    let last: Vec<Option<u64>> = donations
        .iter()
        .zip(&mut ranks)
        .map(|(donation, ranks)| {
            let at = (*donation as usize).checked_sub(1)?;
            (at < ranks.len()).then(|| *ranks.select_nth_unstable(at).1)
        })
        .collect();
    let mut taken = 0;
    for (slot, holder) in (0u64..).zip(holders.iter_mut()) {
        let goes = match last.get(usize::from(*holder)) {
            Some(last) => last.is_some_and(|last| mix64(salt ^ slot) <= last),
            None => *holder == NOBODY,
        };
        if goes {
            *holder = x;
            taken += 1;
        }
    }
    for (index, donation) in (0..).zip(donations) {
        if let Some(place) = places.get_mut(index) {
            place.slots -= donation;
        }
    }
    if let Some(place) = places.get_mut(x) {
        place.slots += taken;
    }
}

/// How many slots each index gives when `x` takes `count`.
fn donations(places: &Places, x: u16, count: u32) -> Vec<u32> {
    let mut donations = vec![0; places.all().len()];
    let mut heap: BinaryHeap<Load> = loads(places, |index| index != x)
        .filter(|load| load.slots > 0)
        // The heap gives the greatest: of equal loads that has to be the smaller id.
        .map(|load| Load { preference: u32::MAX - load.preference, ..load })
        .collect();
    for _ in 0..count {
        let Some(mut most) = heap.peek_mut() else { break };
        most.slots -= 1;
        donations[usize::from(most.index)] += 1;
    }
    donations
}

/// `x`, whose weight was lowered, gives up `count` slots, those that it would claim last.
fn return_some(holders: &mut Holders, places: &mut Places, x: u16, count: u32, salt: u64) {
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

/// A member's load, ordered by count/weight, then by `preference`: every pair differs, so the order is the same on
/// every machine.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Load {
    slots: u32,
    weight: u32,
    preference: u32,
    index: u16,
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
