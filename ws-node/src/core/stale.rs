//! Slots where something has to be brought up to date: with a new ring, a new link or another log. All of them are known
//! at once, and seen to bit by bit, so that traffic goes on; a topic that is needed meanwhile has its slot seen to first.

use cluster::ring::{SLOTS, Slot};

/// Why, as bits of one byte a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Why(u8);

/// Which slots, and why.
#[derive(Debug)]
pub(super) struct Stale {
    why: Box<[u8]>,
    left: usize,
    /// Nothing before this slot is left.
    next: usize,
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
        Self { why: vec![0; SLOTS].into_boxed_slice(), left: 0, next: 0 }
    }
}

impl Stale {
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.left > 0 && self.why.get(slot.index()).is_some_and(|bits| *bits != 0)
    }

    /// Puts a slot in.
    pub(super) fn mark(&mut self, slot: Slot, why: Why) {
        if let Some(bits) = self.why.get_mut(slot.index()) {
            self.left += usize::from(*bits == 0);
            self.next = self.next.min(slot.index());
            *bits |= why.0;
        }
    }

    /// Takes a slot out, if it is in.
    pub(super) fn take(&mut self, slot: Slot) -> Option<Why> {
        let bits = std::mem::take(self.why.get_mut(slot.index())?);
        self.left -= usize::from(bits != 0);
        (bits != 0).then_some(Why(bits))
    }

    /// Takes the next slot out.
    pub(super) fn take_next(&mut self) -> Option<(Slot, Why)> {
        if self.is_empty() {
            self.next = SLOTS;
            return None;
        }
        let found = self.why.iter().skip(self.next).position(|bits| *bits != 0)?;
        let slot = Slot::new(u16::try_from(self.next + found).ok()?);
        self.next += found + 1;
        Some((slot, self.take(slot)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_taken_once_with_all_reasons() {
        let mut stale = Stale::default();
        assert_eq!(stale.take_next(), None);
        let [first, middle, last] = [0, 700, u16::MAX].map(Slot::new);
        [last, first].into_iter().for_each(|slot| stale.mark(slot, Why::CHANGED));
        [middle, last].into_iter().for_each(|slot| stale.mark(slot, Why::DOUBTED));
        assert!(stale.contains(first) && !stale.contains(Slot::new(1)));
        assert_eq!(stale.take_next(), Some((first, Why::CHANGED)));
        assert_eq!((stale.take(middle), stale.take(middle)), (Some(Why::DOUBTED), None));
        // What comes before the one that would be next is not forgotten.
        stale.mark(first, Why::RELINKED);
        assert_eq!(stale.take_next(), Some((first, Why::RELINKED)));
        let (slot, why) = stale.take_next().unwrap();
        assert!(slot == last && why.is(Why::CHANGED) && why.is(Why::DOUBTED) && !why.is(Why::SOUGHT));
        assert!(stale.is_empty() && stale.take_next().is_none());
    }
}
