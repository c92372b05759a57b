//! Pauses between attempts to open a link: none after a link that was good, so that a peer's death is known at once; then
//! full jitter, so that many diallers do not come back together.

use std::time::Duration;

/// The pauses of one target. `limits` are the upper bound of the first pause and of every later one.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    limits: (Duration, Duration),
    bound: Duration,
    at_once: bool,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(limits: (Duration, Duration)) -> Self {
        Self { limits, bound: limits.0, at_once: false }
    }

    /// The next pause: `random` (0 to `u32::MAX`) of the bound, which then doubles. The first one after a success is none.
    pub(super) fn next(&mut self, random: u32) -> Duration {
        if std::mem::take(&mut self.at_once) {
            return Duration::ZERO;
        }
        let pause = self.bound.mul_f64(f64::from(random) / f64::from(u32::MAX));
        self.bound = (self.bound * 2).min(self.limits.1);
        pause
    }

    /// A link was open for `lived`. Only one that lived longer than the longest pause counts as a success: a peer that
    /// accepts and closes at once must not be dialled in a tight loop.
    pub(super) fn lived(&mut self, lived: Duration) {
        if lived >= self.limits.1 {
            self.bound = self.limits.0;
            self.at_once = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_bound_doubles_to_its_limit_and_after_a_long_life_it_begins_anew_at_once() {
        let mut backoff = Backoff::new((50 * MS, 1000 * MS));
        let bounds: Vec<u128> = (0..7).map(|_| backoff.next(u32::MAX).as_millis()).collect();
        assert_eq!(bounds, [50, 100, 200, 400, 800, 1000, 1000]);
        backoff.lived(999 * MS);
        assert_eq!(backoff.next(u32::MAX), 1000 * MS);
        backoff.lived(1000 * MS);
        assert_eq!(backoff.next(u32::MAX), Duration::ZERO);
        assert_eq!(backoff.next(u32::MAX), 50 * MS);
        assert_eq!(backoff.next(0), Duration::ZERO);
        assert_eq!(backoff.next(u32::MAX), 200 * MS);
    }
}
