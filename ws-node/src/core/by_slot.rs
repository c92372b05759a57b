//! Things found by their slot on the ring: whom a new ring concerns is found without walking all.

use std::sync::Arc;

use cluster::maps::SteadyMap;
use cluster::ring::{SLOTS, Slot};

/// Slots whose lists are made together: so many that a full node's index is small, so few that an empty one's is, too.
const SLOTS_PER_PAGE: usize = 64;

/// Lists of things, one for each slot.
#[derive(Debug)]
pub(super) struct SlotIndex<T> {
    pages: Vec<Page<T>>,
}

/// Lists of so many slots, and one bit for each that has something in it.
#[derive(Debug)]
struct Page<T> {
    used: u64,
    lists: Option<Box<[Vec<T>]>>,
}

/// What knows its slot.
pub(super) trait InSlot {
    /// Its place on the ring, for ever the same.
    fn slot(&self) -> Slot;
}

/// Things by name and by slot.
#[derive(Debug)]
pub(super) struct BySlot<V> {
    named: SteadyMap<Arc<str>, V>,
    index: SlotIndex<Arc<str>>,
}

// === impl SlotIndex ===

impl<T> Default for SlotIndex<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> SlotIndex<T> {
    /// What is in a slot.
    pub(super) fn get(&self, slot: Slot) -> &[T] {
        let (page, at) = place_of(slot);
        let lists = self.pages.get(page).and_then(|page| page.lists.as_ref());
        lists.and_then(|lists| lists.get(at)).map_or(&[], Vec::as_slice)
    }

    /// Puts something into a slot.
    pub(super) fn insert(&mut self, slot: Slot, thing: T) {
        let (page, at) = place_of(slot);
        if self.pages.is_empty() {
            self.pages.resize_with(SLOTS / SLOTS_PER_PAGE, || Page { used: 0, lists: None });
        }
        let Some(page) = self.pages.get_mut(page) else { return };
        let lists = page.lists.get_or_insert_with(|| (0..SLOTS_PER_PAGE).map(|_| Vec::new()).collect());
        let Some(list) = lists.get_mut(at) else { return };
        if list.len() == list.capacity() {
            // A quarter, not the double: there is one of these for each session and each topic.
            list.reserve_exact(list.len() / 4 + 1);
        }
        list.push(thing);
        page.used |= 1 << at;
    }

    /// Takes one thing out of a slot.
    pub(super) fn remove(&mut self, slot: Slot, is_it: impl Fn(&T) -> bool) {
        let (page, at) = place_of(slot);
        let Some(page) = self.pages.get_mut(page) else { return };
        let Some(list) = page.lists.as_mut().and_then(|lists| lists.get_mut(at)) else { return };
        if let Some(at) = list.iter().position(is_it) {
            list.swap_remove(at);
        }
        if list.is_empty() {
            *list = Vec::new();
            page.used &= !(1 << at);
        }
    }

    /// Which of the 64 slots of a block have something in them, as bits from the lowest.
    pub(super) fn used(&self, block: usize) -> u64 {
        self.pages.get(block).map_or(0, |page| page.used)
    }

    /// The slots that have something in them, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let pages = (0_u16..).zip(&self.pages).filter(|(_, page)| page.used != 0);
        pages.flat_map(|(number, page)| {
            let used = (0..64).filter(|at| page.used >> at & 1 != 0);
            used.map(move |at: u16| Slot::new(number * 64 + at))
        })
    }

    /// All that is in slots like these, in the order of the slots.
    pub(super) fn within(&self, fits: impl Fn(Slot) -> bool) -> impl Iterator<Item = &T> {
        self.slots().filter(move |slot| fits(*slot)).flat_map(|slot| self.get(slot))
    }
}

// === impl BySlot ===

impl<V> Default for BySlot<V> {
    fn default() -> Self {
        Self { named: SteadyMap::default(), index: SlotIndex::default() }
    }
}

impl<V: InSlot> BySlot<V> {
    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.named.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.named.get_mut(name)
    }

    /// The name as it is kept, to be shared.
    pub(super) fn name(&self, name: &str) -> Option<Arc<str>> {
        self.named.get_key_value(name).map(|(name, _)| Arc::clone(name))
    }

    /// The thing of this name, made if it isn't there.
    pub(super) fn entry(&mut self, name: &str, make: impl FnOnce() -> V) -> &mut V {
        self.named.get_or_insert_with(name, || {
            let (name, thing) = (Arc::<str>::from(name), make());
            self.index.insert(thing.slot(), Arc::clone(&name));
            (name, thing)
        })
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some((name, thing)) = self.named.remove(name) {
            self.index.remove(thing.slot(), |other| Arc::ptr_eq(other, &name));
        }
    }

    /// The names of all in a slot.
    pub(super) fn in_slot(&self, slot: Slot) -> &[Arc<str>] {
        self.index.get(slot)
    }

    /// Which of the 64 slots of a block have something in them, as bits from the lowest.
    pub(super) fn used(&self, block: usize) -> u64 {
        self.index.used(block)
    }

    /// The slots that have something in them, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.index.slots()
    }

    /// The names of all in slots like these.
    pub(super) fn within(&self, fits: impl Fn(Slot) -> bool) -> impl Iterator<Item = &Arc<str>> {
        self.index.within(fits)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.named.iter()
    }
}

fn place_of(slot: Slot) -> (usize, usize) {
    (slot.index() / SLOTS_PER_PAGE, slot.index() % SLOTS_PER_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(Slot);

    impl InSlot for Thing {
        fn slot(&self) -> Slot {
            self.0
        }
    }

    #[test]
    fn things_are_found_by_slot_as_long_as_they_are_there() {
        let mut things = BySlot::default();
        let slots = [0, 63, 64, u16::MAX, 64].map(Slot::new);
        for (name, slot) in ["a", "b", "c", "d", "e"].into_iter().zip(slots) {
            things.entry(name, || Thing(slot));
            things.entry(name, || unreachable!("it is there"));
        }
        let names = |things: &BySlot<Thing>, slot| {
            let mut names: Vec<_> = things.in_slot(Slot::new(slot)).iter().map(ToString::to_string).collect();
            names.sort();
            names.concat()
        };
        assert_eq!([0, 1, 63, 64, u16::MAX].map(|slot| names(&things, slot)), ["a", "", "b", "ce", "d"]);
        let all: Vec<_> = things.within(|slot| slot.index() >= 63).map(ToString::to_string).collect();
        assert_eq!(all, ["b", "c", "e", "d"]);
        assert_eq!([0, 1, 2, 1_023, 1_024].map(|block| things.used(block)), [1 | 1 << 63, 1, 0, 1 << 63, 0]);
        things.remove("c");
        things.remove("nobody");
        assert_eq!((names(&things, 64), things.len()), ("e".into(), 4));
        ["a", "b", "d", "e"].into_iter().for_each(|name| things.remove(name));
        assert!(things.is_empty() && things.within(|_| true).next().is_none());
    }
}
