//! A map for hundreds of thousands of things that grows a little at a time. A hash table of half a million grows by moving
//! them all, which takes up to half a second, and whoever holds a lock meanwhile makes everybody wait.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::iter::{Flatten, Map};
use std::vec;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Keyed;

/// So many tables share the things: of half a million, one that grows moves two thousand.
const TABLES: usize = 256;

/// Things by key.
#[derive(Debug)]
pub struct SteadyMap<K, V> {
    /// None before the first thing came.
    tables: Option<Box<[Table<K, V>; TABLES]>>,
    len: usize,
    keyed: Keyed,
}

type Table<K, V> = HashTable<(K, V)>;

/// A set of the same kind.
pub type SteadySet<T> = SteadyMap<T, ()>;

/// Keys, in any order.
pub type IntoKeys<K, V> = Map<Flatten<vec::IntoIter<Table<K, V>>>, fn((K, V)) -> K>;

// === impl SteadyMap ===

impl<K, V> Default for SteadyMap<K, V> {
    fn default() -> Self {
        Self { tables: None, len: 0, keyed: Keyed::default() }
    }
}

impl<K, V> SteadyMap<K, V> {
    /// How many things there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All things, in any order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.tables.iter().flat_map(|tables| tables.iter()).flatten().map(|(key, value)| (key, value))
    }

    /// The keys, in any order.
    pub fn into_keys(self) -> IntoKeys<K, V> {
        let tables: Vec<_> = self.tables.map(|tables| Vec::from(tables as Box<[_]>)).unwrap_or_default();
        tables.into_iter().flatten().map(|(key, _)| key)
    }
}

impl<K: Hash + Eq, V> SteadyMap<K, V> {
    /// The thing of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The same, with the key as it is kept.
    pub fn get_key_value<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let hash = self.keyed.hash_one(key);
        let found = self.tables.as_ref()?[table_of(hash)].find(hash, |(other, _)| other.borrow() == key);
        found.map(|(key, value)| (key, value))
    }

    /// The thing of a key, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let hash = self.keyed.hash_one(key);
        let found = self.tables.as_mut()?[table_of(hash)].find_mut(hash, |(other, _)| other.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// Whether there is a thing of a key.
    pub fn contains_key<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).is_some()
    }

    /// The thing of a key; if there is none, the one that is made then, together with a key equal to this one.
    pub fn get_or_insert_with<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        make: impl FnOnce() -> (K, V),
    ) -> &mut V
    where
        K: Borrow<Q>,
    {
        let hash = self.keyed.hash_one(key);
        let (entry, len) = self.entry(hash, |other| other.borrow() == key);
        match entry {
            Entry::Occupied(entry) => &mut entry.into_mut().1,
            Entry::Vacant(entry) => {
                *len += 1;
                &mut entry.insert(make()).into_mut().1
            }
        }
    }

    /// Puts a thing in the place of the one before. True if there was none.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let hash = self.keyed.hash_one(&key);
        let (entry, len) = self.entry(hash, |other| *other == key);
        match entry {
            Entry::Occupied(mut entry) => {
                entry.get_mut().1 = value;
                false
            }
            Entry::Vacant(entry) => {
                *len += 1;
                entry.insert((key, value));
                true
            }
        }
    }

    /// Takes a thing out, with its key.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let hash = self.keyed.hash_one(key);
        let table = &mut self.tables.as_mut()?[table_of(hash)];
        let (thing, _) = table.find_entry(hash, |(other, _)| other.borrow() == key).ok()?.remove();
        self.len -= 1;
        Some(thing)
    }

    /// A key's place, and the number of things.
    fn entry(&mut self, hash: u64, is_it: impl Fn(&K) -> bool) -> (Entry<'_, (K, V)>, &mut usize) {
        let Self { tables, len, keyed } = self;
        let tables = tables.get_or_insert_with(|| Box::new([const { HashTable::new() }; TABLES]));
        let table = &mut tables[table_of(hash)];
        (table.entry(hash, |(key, _)| is_it(key), |(key, _)| keyed.hash_one(key)), len)
    }
}

/// A table looks at the lowest and the highest bits of its hashes.
fn table_of(hash: u64) -> usize {
    usize::from((hash >> 40) as u8)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_is_a_map() {
        let mut map = SteadyMap::<Arc<str>, usize>::default();
        assert!(map.is_empty() && map.get("1").is_none() && map.remove("1").is_none());
        let name = |number: usize| Arc::<str>::from(number.to_string());
        for number in 0..10_000 {
            assert!(map.insert(name(number), number));
        }
        assert!(!map.insert(name(7), 70));
        *map.get_or_insert_with("8", || unreachable!("it is there")) += 72;
        assert_eq!(*map.get_or_insert_with("new", || ("new".into(), 5)), 5);
        assert_eq!((map.len(), map.iter().count()), (10_001, 10_001));
        let found = ["7", "8", "9", "new", "no"].map(|name| map.get(name).copied());
        assert_eq!(found, [Some(70), Some(80), Some(9), Some(5), None]);
        *map.get_mut("9").unwrap() = 90;
        assert_eq!(map.remove("9"), Some((name(9), 90)));
        assert!(map.remove("9").is_none() && !map.contains_key("9") && map.contains_key("10"));
        let kept = map.get_key_value("10").unwrap().0.clone();
        assert!(map.into_keys().any(|key| Arc::ptr_eq(&key, &kept)));
    }

    #[test]
    fn its_tables_share_what_comes() {
        let mut set = SteadySet::default();
        (0..100_000).for_each(|number| assert!(set.insert(number, ())));
        let most = set.tables.unwrap().iter().map(HashTable::len).max().unwrap();
        assert!(most < 2 * 100_000 / TABLES, "{most}");
    }
}
