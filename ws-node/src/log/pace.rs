//! How much one call may append: less when the log is slow, so that calls are answered before they are given up.
//!
//! A store that many nodes share has one speed. Calls that take it longer than the time-out are carried out and yet
//! repeated, and then it never recovers.

use std::time::Duration;

/// The most and the least, in messages. More than the most in a call saves nothing.
pub(super) const COST_MAX: usize = 4_096;
pub(super) const COST_MIN: usize = 64;
/// A call that takes longer was too much; one of half that time could have been more.
const SLOW: Duration = Duration::from_millis(250);

/// The limit of the next call.
pub(super) struct Pace {
    limit: usize,
}

// === impl Pace ===

impl Pace {
    pub(super) const fn new() -> Self {
        Self { limit: COST_MAX }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Learns from a call: what it cost, how long it took, and whether the log confirmed it.
    pub(super) fn observe(&mut self, cost: usize, took: Duration, confirmed: bool) {
        if !confirmed || took > SLOW {
            // Calls that were out together tell the same thing, and count once.
            self.limit = self.limit.min((cost / 2).max(COST_MIN));
        } else if took < SLOW / 2 {
            self.limit = (self.limit + self.limit / 4).min(COST_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(10);

    #[test]
    fn slow_and_failed_calls_make_the_next_smaller() {
        let mut pace = Pace::new();
        for _ in 0..4 {
            pace.observe(COST_MAX, SLOW * 2, true);
        }
        assert_eq!(pace.limit(), COST_MAX / 2, "four that were out together");
        pace.observe(COST_MAX / 2, QUICK, false);
        assert_eq!(pace.limit(), COST_MAX / 4);
        for _ in 0..20 {
            pace.observe(pace.limit(), SLOW * 2, true);
        }
        assert_eq!(pace.limit(), COST_MIN, "never less");
        pace.observe(1, SLOW * 2, true);
        assert_eq!(pace.limit(), COST_MIN);
    }

    #[test]
    fn quick_calls_make_the_next_larger() {
        let mut pace = Pace::new();
        pace.observe(1, QUICK, false);
        assert_eq!(pace.limit(), COST_MIN);
        pace.observe(COST_MIN, SLOW * 3 / 4, true);
        assert_eq!(pace.limit(), COST_MIN, "quick enough to stay");
        let mut calls = 0;
        while pace.limit() < COST_MAX {
            pace.observe(pace.limit(), QUICK, true);
            calls += 1;
        }
        assert!((5..=30).contains(&calls), "{calls}");
        pace.observe(COST_MAX, QUICK, true);
        assert_eq!(pace.limit(), COST_MAX, "never more");
    }
}
