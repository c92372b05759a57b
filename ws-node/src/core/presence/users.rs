//! Users of a group with what is known of each: most groups are small, and small ones take little memory.

use std::sync::Arc;

use cluster::maps::HashMap;

/// Up to so many are looked through one by one.
const FEW_MAX: usize = 24;

/// By name.
#[derive(Debug)]
pub(super) enum Users<V> {
    Few(Vec<(Arc<str>, V)>),
    #[allow(clippy::box_collection, reason = "one pointer, so that the small ones do not pay for it")]
    Many(Box<HashMap<Arc<str>, V>>),
}

/// The last loss of one of a user's sessions, as the low bits of the millisecond until which it counts; 0: none. What
/// is older than 49 days could pass for recent, and would delay one leaving by a grace.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss(u32);

// === impl Users ===

impl<V> Users<V> {
    pub(super) fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(users) => users.len(),
            Self::Many(users) => users.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, name: &str) -> Option<(&Arc<str>, &V)> {
        match self {
            Self::Few(users) => {
                users.iter().find(|(user, _)| **user == *name).map(|(user, value)| (user, value))
            }
            Self::Many(users) => users.get_key_value(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        match self {
            Self::Few(users) => users.iter_mut().find(|(user, _)| **user == *name).map(|(_, value)| value),
            Self::Many(users) => users.get_mut(name),
        }
    }

    /// Adds a user who is not there.
    pub(super) fn insert(&mut self, name: Arc<str>, value: V) {
        match self {
            Self::Few(users) if users.len() < FEW_MAX => {
                if users.len() == users.capacity() {
                    users.reserve_exact(1 + users.len() / 2);
                }
                users.push((name, value));
            }
            Self::Few(users) => {
                let mut many: HashMap<_, _> = users.drain(..).collect();
                many.insert(name, value);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(users) => _ = users.insert(name, value),
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<(Arc<str>, V)> {
        match self {
            Self::Few(users) => {
                let at = users.iter().position(|(user, _)| **user == *name)?;
                Some(users.swap_remove(at))
            }
            Self::Many(users) => {
                let removed = users.remove_entry(name);
                if users.len() * 4 < FEW_MAX {
                    *self = Self::Few(users.drain().collect());
                }
                removed
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        let (few, many) = match self {
            Self::Few(users) => (Some(users), None),
            Self::Many(users) => (None, Some(users)),
        };
        let few = few.into_iter().flatten().map(|(user, value)| (user, value));
        few.chain(many.into_iter().flat_map(|users| users.iter()))
    }

    /// Their names, ascending.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.iter().map(|(name, _)| Arc::clone(name)).collect();
        names.sort_unstable();
        names
    }
}

// === impl Loss ===

impl Loss {
    /// A loss that counts until then.
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    pub(super) fn until(until_ms: u64) -> Self {
        Self((until_ms as u32).max(1))
    }

    /// Until when it counts, if that is less than a grace away.
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    pub(super) fn counts_until(self, now_ms: u64, grace_ms: u64) -> Option<u64> {
        let left_ms = u64::from(self.0.wrapping_sub(now_ms as u32));
        // One more: no time is 0.
        (self.0 > 0 && left_ms > 0 && left_ms <= grace_ms + 1).then_some(now_ms + left_ms)
    }

    /// The time that it is, of which it is known that it is not before another one.
    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    pub(super) fn time_from(self, earliest_ms: u64) -> u64 {
        earliest_ms + u64::from(self.0.wrapping_sub(earliest_ms as u32))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_map_however_many_there_are() {
        let (mut users, mut model) = (Users::new(), BTreeMap::new());
        // Up over the bound and down again, with some back and forth.
        let steps = (0..100u32).chain((0..100).rev()).flat_map(|n| [n, n / 2, n]);
        for (step, number) in steps.enumerate() {
            let name: Arc<str> = Arc::from(number.to_string());
            if users.get(&name).is_none() && (step < 300 || step % 7 == 0) {
                users.insert(Arc::clone(&name), step);
                model.insert(name, step);
            } else if step % 3 == 0 || step > 300 {
                assert_eq!(users.remove(&name).map(|(_, value)| value), model.remove(&name));
            } else if let Some(value) = users.get_mut(&name) {
                *value += 1;
                model.entry(name).and_modify(|value| *value += 1);
            }
            assert_eq!((users.len(), users.is_empty()), (model.len(), model.is_empty()));
        }
        let all: BTreeMap<_, _> = users.iter().map(|(name, value)| (Arc::clone(name), *value)).collect();
        assert_eq!(all, model);
        assert_eq!(users.names(), model.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn a_loss_counts_for_a_grace_also_when_the_bits_begin_anew() {
        for now_ms in [0, 5_000, u64::from(u32::MAX) - 50, u64::from(u32::MAX) * 3 + 100] {
            let loss = Loss::until(now_ms + 100);
            assert_eq!(loss.counts_until(now_ms, 100), Some(now_ms + 100));
            assert_eq!(loss.counts_until(now_ms + 99, 100), Some(now_ms + 100));
            assert_eq!(loss.counts_until(now_ms + 100, 100), None);
            assert_eq!(loss.time_from(now_ms + 7), now_ms + 100);
        }
        let zero = u64::from(u32::MAX) + 1;
        assert_eq!(Loss::until(zero).counts_until(zero - 100, 100), Some(zero + 1), "no time is 0");
        assert_eq!(Loss::default().counts_until(u64::from(u32::MAX), 100), None);
    }
}
