//! The difference of two rings: which slots changed hands, as arcs for people and as a bitmap for half a
//! million sessions.

use std::sync::Arc;

use super::key::{SLOTS, Slot};
use super::places::Places;
use super::view::{Holders, NOBODY, Ring};

const WORDS: usize = SLOTS / 64;
/// Stands for the new index of a member that the newer ring does not have.
const GONE: u16 = NOBODY - 1;

/// What changed hands between two rings. A member that has another index but the same id is the same member.
#[derive(Clone)]
pub struct Arcs {
    bitmap: Box<[u64; WORDS]>,
    older: Table,
    newer: Table,
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

/// What arcs keep of a ring, shared with it.
#[derive(Clone)]
struct Table {
    holders: Arc<Holders>,
    places: Arc<Places>,
}

impl Ring {
    /// What changed hands between this ring and a newer one. Between rings with different keys every key may
    /// be in another slot, and so every slot counts as changed.
    pub fn changed(&self, newer: &Self) -> Arcs {
        let same = same_members(&self.places, &newer.places);
        // Where no index has changed its meaning, equal entries mean equal holders.
        let comparable =
            (0u16..).zip(&same).all(|(old, new)| old == *new || *new == GONE && !newer.places.is_live(old));
        let was = |from: u16| same.get(usize::from(from)).copied().unwrap_or(NOBODY);
        let mut bitmap = Box::new([0; WORDS]);
        let blocks = self.holders.chunks_exact(64).zip(newer.holders.chunks_exact(64));
        for (word, (old, new)) in bitmap.iter_mut().zip(blocks) {
            *word = match (self.key == newer.key, comparable) {
                (true, true) => word_of(old, new, |from, to| from != to),
                (true, false) => word_of(old, new, |from, to| was(from) != to),
                (false, _) => u64::MAX,
            };
        }
        Arcs { bitmap, older: Table::of(self), newer: Table::of(newer) }
    }
}

// === impl Arcs ===

impl Arcs {
    /// Whether a slot changed hands. One read of an 8 KiB bitmap.
    #[inline]
    pub fn contains(&self, slot: Slot) -> bool {
        self.bitmap[slot.index() / 64] >> (slot.index() % 64) & 1 != 0
    }

    /// Which of 64 slots changed hands, as bits from the lowest: those of block 0 are the slots 0 to 63, and so on.
    #[inline]
    pub fn block(&self, block: usize) -> u64 {
        self.bitmap.get(block).copied().unwrap_or(0)
    }

    /// The positions of those of `slots` that changed hands: of a node's sessions, given their slots, those
    /// to move. About a nanosecond a slot, however many they are.
    pub fn positions(&self, slots: &[Slot]) -> Vec<usize> {
        let mut positions = vec![0; slots.len()];
        let mut count = 0;
        for (position, slot) in slots.iter().enumerate() {
            // Written always, kept if the count moves on: no branch to mispredict.
            positions[count] = position;
            count += usize::from(self.contains(*slot));
        }
        positions.truncate(count);
        positions
    }

    /// How many slots changed hands.
    pub fn slot_count(&self) -> usize {
        self.bitmap.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no slot changed hands.
    pub fn is_empty(&self) -> bool {
        self.bitmap.iter().all(|word| *word == 0)
    }

    /// The runs of changed slots, ascending, found as they are asked for.
    pub fn iter(&self) -> impl Iterator<Item = SlotArc<'_>> {
        let mut changed = (0..=u16::MAX).map(Slot::new).filter(|slot| self.contains(*slot)).peekable();
        std::iter::from_fn(move || {
            let first = changed.next()?;
            let (from, to) = self.hands(first);
            let mut last = first;
            let continues =
                |last: Slot, next: &Slot| last.index() + 1 == next.index() && self.hands(*next) == (from, to);
            while let Some(next) = changed.next_if(|next| continues(last, next)) {
                last = next;
            }
            Some(SlotArc { first, last, from: self.older.name(from), to: self.newer.name(to) })
        })
    }

    /// The indices that held and that hold a slot.
    fn hands(&self, slot: Slot) -> (u16, u16) {
        (self.older.holders[slot.index()], self.newer.holders[slot.index()])
    }
}

impl std::fmt::Debug for Arcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arcs").field("slots", &self.slot_count()).finish_non_exhaustive()
    }
}

// === impl Table ===

impl Table {
    fn of(ring: &Ring) -> Self {
        Self { holders: Arc::clone(&ring.holders), places: Arc::clone(&ring.places) }
    }

    fn name(&self, index: u16) -> Option<&str> {
        self.places.get(index).map(|place| place.member.id.as_str())
    }
}

/// The bits of 64 slots, set where `differ` says so.
fn word_of(old: &[u16], new: &[u16], differ: impl Fn(u16, u16) -> bool) -> u64 {
    let bits = old.iter().zip(new).enumerate();
    bits.fold(0, |word, (bit, (from, to))| word | u64::from(differ(*from, *to)) << bit)
}

/// For each index of the older ring the index of the same member in the newer one.
fn same_members(older: &Places, newer: &Places) -> Vec<u16> {
    let same = |index: u16, id: &str| newer.get(index).is_some_and(|place| place.member.id == id);
    (0u16..)
        .zip(older.all())
        .map(|(index, place)| match place.member.id.as_str() {
            id if newer.is_live(index) && same(index, id) => index,
            id => newer.find(id).unwrap_or(GONE),
        })
        .collect()
}
