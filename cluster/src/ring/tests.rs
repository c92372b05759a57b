//! Tests of the ring: the published vectors, what must hold of any history, balance, and records from
//! strangers.

mod balance;
mod bypass;
mod changes;
mod documents;
mod properties;
mod reading;
mod vectors;

use super::{Member, MemberState, Policy, RecordKey, Ring, RingKey, SLOTS, Slot};

/// The ring key of the vectors, 00 01 .. 0f.
fn key() -> RingKey {
    RingKey::new(std::array::from_fn(|index| index as u8))
}

fn genesis() -> Ring {
    Ring::genesis("default", key(), Policy::Balanced)
}

fn record_key() -> RecordKey {
    RecordKey::new([7; 32])
}

fn member(id: &str, weight: u32) -> Member {
    Member {
        id: id.to_owned(),
        generation: 1,
        url: "wss://node.example.com/ws".to_owned(),
        peer: "10.0.0.1:4000".to_owned(),
        weight,
        state: MemberState::Active,
    }
}

/// A ring of members with these ids and weights, joined in this order.
fn ring_of(members: &[(&str, u32)]) -> Ring {
    members.iter().fold(genesis(), |ring, (id, weight)| ring.join(member(id, *weight)).unwrap())
}

fn slots() -> impl Iterator<Item = Slot> {
    (0..=u16::MAX).map(Slot::new)
}

fn home(ring: &Ring, slot: Slot) -> Option<&str> {
    ring.home(slot).map(|member| member.id.as_str())
}

/// How many slots each index holds, by looking at all of them.
fn counts(ring: &Ring) -> Vec<u32> {
    let mut counts = vec![0; ring.places.all().len()];
    for slot in slots() {
        if let Some(index) = ring.holder(slot) {
            counts[usize::from(index.get())] += 1;
        }
    }
    counts
}

/// The slots that changed hands, by looking at all of them.
fn moved(old: &Ring, new: &Ring) -> Vec<Slot> {
    slots().filter(|slot| home(old, *slot) != home(new, *slot)).collect()
}

/// The quota of a member among the active ones.
fn quota(ring: &Ring, id: &str) -> u32 {
    let active = ring.members().filter(|member| member.state == MemberState::Active);
    let total: u64 = active.map(|member| u64::from(member.weight)).sum();
    (SLOTS as u64 * u64::from(ring.member(id).unwrap().weight) / total) as u32
}
