//! Slots that came to this node less than a grace ago: as their home it may not know everybody yet.

use cluster::ring::{SLOTS, Slot};

/// Which, and until when.
#[derive(Debug)]
pub(in crate::core) struct Arrivals {
    grace_ms: u64,
    /// For each slot; `None` while no slot is new.
    until_ms: Option<Box<[u64]>>,
    /// The last of them.
    last_ms: u64,
}

impl Arrivals {
    /// No slot is new.
    pub(in crate::core) fn new(grace_ms: u64) -> Self {
        Self { grace_ms, until_ms: None, last_ms: 0 }
    }

    /// These slots have come.
    pub(in crate::core) fn came(&mut self, slots: impl IntoIterator<Item = Slot>, now_ms: u64) {
        let until_ms = now_ms + self.grace_ms;
        for slot in slots {
            let all = self.until_ms.get_or_insert_with(|| vec![0; SLOTS].into_boxed_slice());
            all[slot.index()] = until_ms;
            self.last_ms = until_ms;
        }
    }

    /// Until when a slot is new, if it is.
    pub(in crate::core) fn until_ms(&self, slot: Slot, now_ms: u64) -> Option<u64> {
        self.until_ms.as_ref().map(|all| all[slot.index()]).filter(|until_ms| *until_ms > now_ms)
    }

    /// Gives the memory back once no slot is new.
    pub(in crate::core) fn tick(&mut self, now_ms: u64) {
        if self.last_ms <= now_ms {
            self.until_ms = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_new_for_a_grace() {
        let mut arrivals = Arrivals::new(100);
        let [first, last] = [Slot::new(0), Slot::new(u16::MAX)];
        assert_eq!(arrivals.until_ms(first, 0), None);
        arrivals.came([first], 0);
        arrivals.came([last], 50);
        arrivals.came([], 1_000);
        assert_eq!((arrivals.until_ms(first, 99), arrivals.until_ms(last, 99)), (Some(100), Some(150)));
        assert_eq!((arrivals.until_ms(first, 100), arrivals.until_ms(last, 100)), (None, Some(150)));
        assert_eq!(arrivals.until_ms(Slot::new(1), 50), None);
        arrivals.tick(149);
        assert!(arrivals.until_ms.is_some());
        arrivals.tick(150);
        assert!(arrivals.until_ms.is_none());
    }

    #[test]
    fn a_slot_that_comes_again_is_new_again() {
        let mut arrivals = Arrivals::new(100);
        let slot = Slot::new(7);
        arrivals.came([slot], 0);
        arrivals.came([slot], 90);
        assert_eq!(arrivals.until_ms(slot, 100), Some(190));
    }
}
