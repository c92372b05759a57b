//! Hash maps and sets as all decisions use them: keyed SipHash-1-3 as in the standard library, so that nobody can choose
//! keys that collide; but in a simulation with keys that follow from its seed, so that a run's order can be repeated.

mod steady;

use std::collections;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use siphasher::sip::SipHasher13;

pub use self::steady::{IntoKeys, SteadyMap, SteadySet};

/// A hash map.
pub type HashMap<K, V> = collections::HashMap<K, V, Keyed>;

/// A hash set.
pub type HashSet<T> = collections::HashSet<T, Keyed>;

/// Makes hashers with the process' random keys.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(u64, u64);

// === impl Keyed ===

impl Default for Keyed {
    fn default() -> Self {
        static KEYS: OnceLock<Keyed> = OnceLock::new();
        #[cfg(feature = "simulation")]
        if crate::chance::is_seeded() {
            return Self(1, 2);
        }
        // What RandomState hashes nothing to is as secret as its keys.
        *KEYS.get_or_init(|| Self(RandomState::new().hash_one(0), RandomState::new().hash_one(1)))
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hashers_of_a_process_agree() {
        assert_eq!(Keyed::default().hash_one("a"), Keyed::default().hash_one("a"));
        assert_ne!(Keyed::default().hash_one("a"), Keyed::default().hash_one("b"));
    }
}
