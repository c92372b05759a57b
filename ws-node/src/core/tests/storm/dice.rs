//! Chance that repeats: the same seed gives the same storm.

/// A splitmix64 generator.
pub(in crate::core::tests) struct Dice(u64);

impl Dice {
    pub(in crate::core::tests) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is not 0.
    pub(in crate::core::tests) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(in crate::core::tests) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// One of these, by weight.
    pub(in crate::core::tests) fn pick<T: Copy>(&mut self, weighted: &[(u64, T)]) -> T {
        let sum = weighted.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(sum);
        for (weight, what) in weighted {
            if left < *weight {
                return *what;
            }
            left -= weight;
        }
        weighted[0].1
    }
}
