//! Presence by itself: each part against what it promises, and all of them together against a naive model.

mod given;
mod members;
mod random;
mod roster;
mod whole;

use std::sync::Arc;

const GRACE: u64 = 1_000;

fn name(user: impl ToString) -> Arc<str> {
    Arc::from(user.to_string())
}

fn names(users: &str) -> Vec<Arc<str>> {
    users.split_whitespace().map(name).collect()
}

/// As [`names`] takes them.
fn text(users: &[Arc<str>]) -> String {
    users.join(" ")
}

/// splitmix64: the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
