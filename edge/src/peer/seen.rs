//! Tokens that were used: each is taken once within its life. Pure: ids and `now` in, fresh or not out.

use std::collections::{HashSet, VecDeque};

/// Tokens remembered at once. Only holders of the secret can add one, so a full memory means a fault, not an attack.
const TOKENS_MAX: usize = 65_536;

/// The tokens used of late.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: HashSet<String>,
    /// The same, with the second from which each may be forgotten, in order of arrival.
    order: VecDeque<(u64, String)>,
}

/// Why a token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFresh {
    /// Used before.
    Used,
    /// Too many tokens within their lives.
    TooMany,
}

// === impl Seen ===

impl Seen {
    /// Takes the token `id`, which nobody accepts any more after `until_s`.
    pub(super) fn take(&mut self, id: &str, until_s: u64, now_s: u64) -> Result<(), NotFresh> {
        // In order of arrival, not of lapse: clocks differ by seconds, so some stay seconds longer than needed.
        while self.order.front().is_some_and(|(until, _)| *until < now_s) {
            if let Some((_, id)) = self.order.pop_front() {
                self.ids.remove(&id);
            }
        }
        if self.ids.contains(id) {
            return Err(NotFresh::Used);
        }
        if self.ids.len() >= TOKENS_MAX {
            return Err(NotFresh::TooMany);
        }
        self.ids.insert(id.to_owned());
        self.order.push_back((until_s, id.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_once_and_forgotten_after_its_life() {
        let mut seen = Seen::default();
        assert_eq!(seen.take("a", 10, 5), Ok(()));
        assert_eq!(seen.take("a", 10, 10), Err(NotFresh::Used));
        assert_eq!(seen.take("b", 15, 11), Ok(()));
        assert_eq!((seen.ids.len(), seen.order.len()), (1, 1), "a is forgotten");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut seen = Seen::default();
        for n in 0..TOKENS_MAX {
            seen.take(&n.to_string(), 10, 0).unwrap();
        }
        assert_eq!(seen.take("one more", 10, 0), Err(NotFresh::TooMany));
        assert_eq!(seen.take("one more", 20, 11), Ok(()));
        assert_eq!(seen.ids.len(), 1);
    }
}
