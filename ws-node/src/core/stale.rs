//! Slots where something has to be brought up to date: with a new ring, a new link or another log. All of them are known
//! at once, and seen to bit by bit, so that traffic goes on; a topic that is needed meanwhile has its slot seen to first.

use cluster::ring::{SLOTS, Slot};

/// Why, as bits of one byte a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Why(u8);

/// Slots in blocks of 64, as the indices by slot have them: what concerns all slots is noted in 1,024 steps.
pub(super) const BLOCKS: usize = SLOTS / 64;

/// How many reasons there are.
const REASONS: usize = 5;

/// Which slots, and why.
#[derive(Debug)]
pub(super) struct Stale {
    /// One bit for each slot that is in, for whatever reason.
    any: Box<[u64]>,
    /// The same for each reason.
    why: [Box<[u64]>; REASONS],
    left: usize,
    /// Nothing in a block before this one is left.
    next: usize,
}

/// The slots of a block, ascending.
pub(super) fn slots_of(block: usize) -> impl Iterator<Item = Slot> {
    let slots = (block * 64..block * 64 + 64).map(u16::try_from);
    slots.flatten().map(Slot::new)
}

// === impl Why ===

impl Why {
    /// Its home may be another one.
    pub(super) const CHANGED: Self = Self(1);
    /// The link to its home is another one, or none.
    pub(super) const RELINKED: Self = Self(2);
    /// The log may not be what it was.
    pub(super) const DOUBTED: Self = Self(4);
    /// Its sessions are to be asked whether they have to move, even if its home is the same.
    pub(super) const SOUGHT: Self = Self(8);
    /// Its sessions are to look up again.
    pub(super) const RECALLED: Self = Self(16);

    pub(super) fn is(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

// === impl Stale ===

impl Default for Stale {
    fn default() -> Self {
        let none = || vec![0; BLOCKS].into_boxed_slice();
        Self { any: none(), why: std::array::from_fn(|_| none()), left: 0, next: 0 }
    }
}

impl Stale {
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let (block, at) = place_of(slot);
        self.left > 0 && self.any.get(block).is_some_and(|bits| bits >> at & 1 != 0)
    }

    /// Puts slots of a block in, as bits from the lowest.
    pub(super) fn mark_block(&mut self, block: usize, slots: u64, why: Why) {
        let Some(any) = self.any.get_mut(block).filter(|_| slots != 0) else { return };
        self.left += (slots & !*any).count_ones() as usize;
        *any |= slots;
        self.next = self.next.min(block);
        for (_, bits) in self.why.iter_mut().enumerate().filter(|(reason, _)| why.0 >> reason & 1 != 0) {
            if let Some(bits) = bits.get_mut(block) {
                *bits |= slots;
            }
        }
    }

    /// Takes a slot out, if it is in.
    pub(super) fn take(&mut self, slot: Slot) -> Option<Why> {
        if !self.contains(slot) {
            return None;
        }
        let (block, at) = place_of(slot);
        let mut why = Why(0);
        for (reason, bits) in self.why.iter_mut().enumerate() {
            let bits = bits.get_mut(block)?;
            why.0 |= u8::from(*bits >> at & 1 != 0) << reason;
            *bits &= !(1 << at);
        }
        *self.any.get_mut(block)? &= !(1 << at);
        self.left -= 1;
        Some(why)
    }

    /// Takes the next slot out.
    pub(super) fn take_next(&mut self) -> Option<(Slot, Why)> {
        if self.is_empty() {
            return None;
        }
        let rest = self.any.iter().enumerate().skip(self.next);
        let (block, bits) =
            rest.filter(|(_, bits)| **bits != 0).map(|(block, bits)| (block, *bits)).next()?;
        self.next = block;
        let slot = Slot::new(u16::try_from(block * 64 + bits.trailing_zeros() as usize).ok()?);
        Some((slot, self.take(slot)?))
    }
}

fn place_of(slot: Slot) -> (usize, usize) {
    (slot.index() / 64, slot.index() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(stale: &mut Stale, slot: Slot, why: Why) {
        let (block, at) = place_of(slot);
        stale.mark_block(block, 1 << at, why);
    }

    #[test]
    fn every_slot_is_taken_once_with_all_reasons() {
        let mut stale = Stale::default();
        assert_eq!(stale.take_next(), None);
        let [first, middle, last] = [0, 700, u16::MAX].map(Slot::new);
        [last, first].into_iter().for_each(|slot| mark(&mut stale, slot, Why::CHANGED));
        [middle, last].into_iter().for_each(|slot| mark(&mut stale, slot, Why::DOUBTED));
        assert!(stale.contains(first) && !stale.contains(Slot::new(1)));
        assert_eq!(stale.take_next(), Some((first, Why::CHANGED)));
        assert_eq!((stale.take(middle), stale.take(middle)), (Some(Why::DOUBTED), None));
        // What comes before the one that would be next is not forgotten.
        mark(&mut stale, first, Why::RELINKED);
        assert_eq!(stale.take_next(), Some((first, Why::RELINKED)));
        let (slot, why) = stale.take_next().unwrap();
        assert!(slot == last && why.is(Why::CHANGED) && why.is(Why::DOUBTED) && !why.is(Why::SOUGHT));
        assert!(stale.is_empty() && stale.take_next().is_none());
    }

    #[test]
    fn every_reason_is_kept_by_itself() {
        let reasons = [Why::CHANGED, Why::RELINKED, Why::DOUBTED, Why::SOUGHT, Why::RECALLED];
        let mut stale = Stale::default();
        for (slot, why) in slots_of(7).zip(reasons) {
            mark(&mut stale, slot, why);
        }
        for (slot, why) in slots_of(7).zip(reasons) {
            assert_eq!(stale.take_next(), Some((slot, why)));
        }
    }

    #[test]
    fn all_slots_are_noted_and_taken_ascending_also_if_more_are_noted_meanwhile() {
        let mut stale = Stale::default();
        let note_all =
            |stale: &mut Stale| (0..BLOCKS).for_each(|block| stale.mark_block(block, u64::MAX, Why::CHANGED));
        note_all(&mut stale);
        let numbers: Vec<_> =
            (0..1_000).map(|_| usize::from(stale.take_next().unwrap().0.number())).collect();
        assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
        note_all(&mut stale);
        assert_eq!(stale.left, SLOTS);
        let numbers: Vec<_> =
            std::iter::from_fn(|| stale.take_next()).map(|(slot, _)| slot.index()).collect();
        assert_eq!(numbers, (0..SLOTS).collect::<Vec<_>>());
        stale.mark_block(BLOCKS, u64::MAX, Why::CHANGED);
        assert!(stale.is_empty(), "there is no such block");
    }
}
