//! The policy `hashed`: the classic ring, where each member's virtual nodes fall where a hash puts them. A
//! pure function of ids and weights, without history; shares scatter by about a tenth (measured: 1.10 to 1.21
//! peak to average), so it is for comparison and for those who want no published history.

use super::key::{RingKey, SLOTS};
use super::places::Places;
use super::view::{Holders, NOBODY};

/// Virtual nodes per [`WEIGHT_UNIT`] of weight.
const VIRTUAL_NODES: u64 = 256;
/// The weight that [`VIRTUAL_NODES`] stand for.
const WEIGHT_UNIT: u64 = 100;
/// Largest weight under this policy: 65,536 virtual nodes a member, which bounds the work of a change.
pub(super) const WEIGHT_MAX: u32 = 25_600;

/// The nearest virtual node of a slot so far: its point, and the holder.
#[derive(Clone, Copy)]
struct Nearest {
    point: u64,
    holder: u16,
}

/// Gives each slot to the owner of the first virtual node clockwise of the slot's start. Points that collide
/// go to the smaller id.
pub(super) fn place(holders: &mut Holders, places: &mut Places, key: RingKey) {
    let nearest = nearest(places, &places.takers(), key);
    // A slot without virtual nodes of its own falls to the next one clockwise: two rounds backwards see to
    // the wrap.
    let mut holder = NOBODY;
    for slot in (0..SLOTS).rev().chain((0..SLOTS).rev()) {
        if let Some(own) = nearest[slot] {
            holder = own.holder;
        }
        holders[slot] = holder;
    }
    places.recount(holders);
}

/// How many virtual nodes a weight has: at least one.
fn virtual_nodes(weight: u32) -> u32 {
    (u64::from(weight.min(WEIGHT_MAX)) * VIRTUAL_NODES / WEIGHT_UNIT).max(1) as u32
}

/// For each slot the virtual node in it that is first clockwise.
fn nearest(places: &Places, takers: &[u16], key: RingKey) -> Vec<Option<Nearest>> {
    let mut nearest: Vec<Option<Nearest>> = vec![None; SLOTS];
    // In the order of ids, so that of equal points the smaller id's stays.
    for &holder in places.by_id().iter().filter(|index| takers.binary_search(index).is_ok()) {
        let Some(place) = places.get(holder) else { continue };
        let mut bytes = place.member.id.clone().into_bytes();
        bytes.extend_from_slice(&[0; 5]);
        for number in 0..virtual_nodes(place.member.weight) {
            let at = bytes.len() - 4;
            bytes[at..].copy_from_slice(&number.to_le_bytes());
            let point = key.hash(&bytes);
            let own = &mut nearest[(point >> 48) as usize];
            if own.is_none_or(|own| point < own.point) {
                *own = Some(Nearest { point, holder });
            }
        }
    }
    nearest
}
