//! The difference of two rings: which slots changed hands, as arcs for people and as a bitmap for half a million
//! sessions.

use std::sync::Arc;

use super::key::{SLOTS, Slot};
use super::places::Places;
use super::view::{NOBODY, Ring};

const WORDS: usize = SLOTS / 64;
/// Slots that are compared, and skipped, at a time.
const BLOCK: usize = 64;
/// Stands for the new index of a member that the newer ring does not have.
const GONE: u16 = NOBODY - 1;

/// What changed hands between two rings. A member that has another index but the same id is the same member.
#[derive(Clone, PartialEq, Eq)]
pub struct Arcs {
    runs: Vec<Run>,
    bitmap: Box<[u64; WORDS]>,
    count: u32,
    older: Arc<Places>,
    newer: Arc<Places>,
}

/// A maximal run of slots that went from one holder to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotArc<'a> {
    /// The first slot of the run.
    pub first: Slot,
    /// The last one, included. Runs do not go round the ring's origin.
    pub last: Slot,
    /// The id of the member that held them, if one did.
    pub from: Option<&'a str>,
    /// The id of the member that holds them now, if one does.
    pub to: Option<&'a str>,
}

/// A run with the holders' indices in the older and the newer ring.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u16,
    last: u16,
    from: u16,
    to: u16,
}

impl Ring {
    /// What changed hands between this ring and a newer one. Between rings with different keys every key may be in
    /// another slot, and so every slot counts as changed.
    pub fn changed(&self, newer: &Self) -> Arcs {
        let same = same_members(&self.places, &newer.places);
        let rekeyed = self.key != newer.key;
        // Where no index has changed its meaning, equal entries mean equal holders.
        let comparable = !rekeyed
            && (0u16..).zip(&same).all(|(old, new)| {
                old == *new || newer.places.get(old).is_none_or(|place| place.vacated.is_some())
            });
        let mut arcs = Arcs::between(self, newer);
        let blocks = self.holders.chunks_exact(BLOCK).zip(newer.holders.chunks_exact(BLOCK));
        for (block, (old, new)) in blocks.enumerate() {
            if comparable && old == new {
                continue;
            }
            for (offset, (&from, &to)) in old.iter().zip(new).enumerate() {
                let kept = same.get(usize::from(from)).copied().unwrap_or(NOBODY);
                if rekeyed || kept != to {
                    arcs.add((block * BLOCK + offset) as u16, from, to);
                }
            }
        }
        arcs
    }
}

// === impl Arcs ===

impl Arcs {
    /// Whether a slot changed hands. One read of an 8 KiB bitmap.
    #[inline]
    pub fn contains(&self, slot: Slot) -> bool {
        self.bitmap[slot.index() / 64] >> (slot.index() % 64) & 1 != 0
    }

    /// How many slots changed hands.
    pub const fn slot_count(&self) -> u32 {
        self.count
    }

    /// Whether no slot changed hands.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The runs of changed slots, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SlotArc<'_>> {
        self.runs.iter().map(|run| SlotArc {
            first: Slot::new(run.first),
            last: Slot::new(run.last),
            from: self.older.get(run.from).map(|place| place.member.id.as_str()),
            to: self.newer.get(run.to).map(|place| place.member.id.as_str()),
        })
    }

    fn between(older: &Ring, newer: &Ring) -> Self {
        Self {
            runs: Vec::new(),
            bitmap: Box::new([0; WORDS]),
            count: 0,
            older: Arc::clone(&older.places),
            newer: Arc::clone(&newer.places),
        }
    }

    /// Adds a slot that comes after all those added before.
    fn add(&mut self, slot: u16, from: u16, to: u16) {
        self.bitmap[usize::from(slot) / 64] |= 1 << (slot % 64);
        self.count += 1;
        match self.runs.last_mut() {
            Some(run) if run.from == from && run.to == to && u32::from(run.last) + 1 == u32::from(slot) => {
                run.last = slot;
            }
            _ => self.runs.push(Run { first: slot, last: slot, from, to }),
        }
    }
}

impl std::fmt::Debug for Arcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arcs")
            .field("slots", &self.count)
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

/// For each index of the older ring the index of the same member in the newer one.
fn same_members(older: &Places, newer: &Places) -> Vec<u16> {
    (0u16..)
        .zip(older.all())
        .map(|(index, place)| match newer.get(index) {
            Some(new) if new.vacated.is_none() && new.member.id == place.member.id => index,
            _ => newer.find(&place.member.id).unwrap_or(GONE),
        })
        .collect()
}
