//! How often something may come, sends of a session or frames of a connection: a token bucket, and an end to patience.

/// Refused sends after which a session is closed, in bursts.
const PATIENCE_BURSTS: u32 = 4;

/// A session's allowance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// Thousandths of a send.
    milli: u64,
    at_ms: u64,
    refused: u32,
}

/// Whether a send may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Go,
    /// Not before so many milliseconds.
    Wait(u64),
    /// The client does not listen: close.
    Enough,
}

impl Bucket {
    pub(crate) fn full(burst: u32, now_ms: u64) -> Self {
        Self { milli: u64::from(burst) * 1_000, at_ms: now_ms, refused: 0 }
    }

    /// Takes one send out, refilled at `per_second` up to `burst`.
    pub(crate) fn take(&mut self, per_second: u32, burst: u32, now_ms: u64) -> Verdict {
        self.take_many(1, per_second, burst, now_ms)
    }

    /// Takes out what counts as `cost` sends, at most `burst`.
    pub(super) fn take_many(&mut self, cost: u32, per_second: u32, burst: u32, now_ms: u64) -> Verdict {
        let cost = u64::from(cost.min(burst)) * 1_000;
        let refill = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(per_second));
        self.milli = self.milli.saturating_add(refill).min(u64::from(burst) * 1_000);
        self.at_ms = now_ms;
        if self.milli >= cost {
            self.milli -= cost;
            self.refused = 0;
            return Verdict::Go;
        }
        self.refused += 1;
        if self.refused > burst.saturating_mul(PATIENCE_BURSTS) {
            return Verdict::Enough;
        }
        Verdict::Wait((cost - self.milli).div_ceil(u64::from(per_second.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::full(3, 0);
        for _ in 0..3 {
            assert_eq!(bucket.take(2, 3, 0), Verdict::Go);
        }
        assert_eq!(bucket.take(2, 3, 0), Verdict::Wait(500));
        assert_eq!(bucket.take(2, 3, 499), Verdict::Wait(1));
        assert_eq!(bucket.take(2, 3, 500), Verdict::Go);
        assert_eq!(bucket.take(2, 3, 60_000), Verdict::Go);
    }

    #[test]
    fn what_costs_more_waits_longer_and_is_never_out_of_reach() {
        let mut bucket = Bucket::full(4, 0);
        assert_eq!(bucket.take_many(3, 2, 4, 0), Verdict::Go);
        assert_eq!(bucket.take_many(3, 2, 4, 0), Verdict::Wait(1_000));
        assert_eq!(bucket.take_many(1_000, 2, 4, 60_000), Verdict::Go);
        assert_eq!(bucket.take(2, 4, 60_000), Verdict::Wait(500));
    }

    #[test]
    fn patience_ends() {
        let mut bucket = Bucket::full(1, 0);
        assert_eq!(bucket.take(1, 1, 0), Verdict::Go);
        for _ in 0..PATIENCE_BURSTS {
            assert_eq!(bucket.take(1, 1, 0), Verdict::Wait(1_000));
        }
        assert_eq!(bucket.take(1, 1, 0), Verdict::Enough);
    }
}
