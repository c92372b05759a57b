//! When a batch may be acted on: not before this process holds the ring it was sent under. Pure: values and `now` in.
//!
//! A receiver that is behind asks the sender for its record and lets frames wait until the ring is there, or until
//! `wait` has passed: an unreadable record must not stop the cluster's messages. A version that was waited for in vain
//! is not waited for again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;

/// The batches of one link that wait for a ring, and the request for it.
pub(super) struct Follow {
    wait: Duration,
    bytes_max: usize,
    held: VecDeque<Batch>,
    held_bytes: usize,
    /// When the frames at the front are handed on whatever happens. Set while `held` is not empty.
    deadline: Option<Instant>,
    /// Versions up to this one are no longer waited for.
    given_up: u64,
    asked: Option<Asked>,
}

struct Asked {
    at: Instant,
    version: u64,
    answered: bool,
}

/// A batch that may be acted on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) batch: Batch,
    /// The wait for its ring was in vain and ended with it.
    pub(super) missed: bool,
}

// === impl Follow ===

impl Follow {
    pub(super) fn new(wait: Duration, bytes_max: usize) -> Self {
        let held = VecDeque::new();
        Self { wait, bytes_max, held, held_bytes: 0, deadline: None, given_up: 0, asked: None }
    }

    /// A batch arrived while the ring has version `have`. Returns whether to ask the peer for its record.
    pub(super) fn arrived(&mut self, batch: Batch, have: u64, now: Instant) -> bool {
        if batch.record.is_some()
            && let Some(asked) = &mut self.asked
        {
            // The record is of the version that its message names; the keeper may need a moment to take it up.
            (asked.answered, asked.version) = (true, asked.version.max(batch.ring));
        }
        let ask = self.should_ask(batch.ring, have, now);
        if batch.payloads > 0 {
            self.held_bytes += batch.len();
            self.held.push_back(batch);
        }
        ask
    }

    /// The next batch that may be acted on.
    pub(super) fn next(&mut self, have: u64, now: Instant) -> Option<Due> {
        let first = self.held.front()?;
        let mut missed = false;
        if first.ring > have.max(self.given_up) {
            let deadline = *self.deadline.get_or_insert(now + self.wait);
            if now < deadline {
                return None;
            }
            // All that waits is let go: several new versions in the meantime shall not add up to several waits.
            self.given_up = self.held.iter().map(|batch| batch.ring).max().unwrap_or(first.ring);
            missed = true;
        }
        self.deadline = None;
        let batch = self.held.pop_front()?;
        self.held_bytes -= batch.len();
        Some(Due { batch, missed })
    }

    /// Whether frames wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether so much waits that nothing more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= self.bytes_max
    }

    /// One request at a time, and the same version at most once in `wait`.
    fn should_ask(&mut self, ring: u64, have: u64, now: Instant) -> bool {
        if ring <= have {
            return false;
        }
        if let Some(asked) = &self.asked
            && now < asked.at + self.wait
            && (!asked.answered || ring <= asked.version)
        {
            return false;
        }
        self.asked = Some(Asked { at: now, version: ring, answered: false });
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::batch::{Kind, begin, push, stamp};
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn batch(ring: u64, frames: &[(Kind, &[u8])]) -> Batch {
        let mut message = Vec::new();
        begin(&mut message);
        for (kind, payload) in frames {
            push(&mut message, *kind, payload);
        }
        stamp(&mut message, ring);
        Batch::parse(message.into()).unwrap()
    }

    fn payload(ring: u64, text: &str) -> Batch {
        batch(ring, &[(Kind::Payload, text.as_bytes())])
    }

    fn texts(follow: &mut Follow, have: u64, now: Instant) -> Vec<Bytes> {
        std::iter::from_fn(|| follow.next(have, now)).flat_map(|due| due.batch.payloads()).collect()
    }

    #[test]
    fn a_batch_of_a_known_ring_passes_at_once() {
        let (mut follow, now) = (Follow::new(WAIT, 1000), Instant::now());
        assert!(!follow.arrived(payload(3, "a"), 3, now));
        assert_eq!(texts(&mut follow, 3, now), ["a"]);
        assert!(!follow.is_waiting());
    }

    #[test]
    fn frames_wait_in_order_and_one_request_is_out() {
        let (mut follow, now) = (Follow::new(WAIT, 1000), Instant::now());
        assert!(follow.arrived(payload(4, "a"), 3, now));
        assert!(!follow.arrived(payload(5, "b"), 3, now));
        assert!(!follow.arrived(payload(3, "c"), 3, now), "c is not behind, but comes after a");
        assert_eq!(texts(&mut follow, 3, now), Vec::<Bytes>::new());
        assert!(!follow.arrived(batch(5, &[(Kind::Ring, b"record")]), 3, now));
        assert_eq!(texts(&mut follow, 4, now), ["a"]);
        assert_eq!(texts(&mut follow, 5, now), ["b", "c"]);
    }

    #[test]
    fn an_answered_request_makes_room_for_one_about_a_later_version() {
        let (mut follow, now) = (Follow::new(WAIT, 1000), Instant::now());
        let heartbeat = |ring| batch(ring, &[(Kind::Heartbeat, b"")]);
        assert!(follow.arrived(heartbeat(4), 3, now));
        assert!(!follow.arrived(heartbeat(5), 3, now), "one request is out");
        assert!(!follow.arrived(batch(4, &[(Kind::Ring, b"record")]), 3, now), "version 4 was asked for");
        assert!(follow.arrived(heartbeat(5), 3, now));
        assert!(!follow.arrived(heartbeat(5), 3, now + WAIT / 2));
        assert!(follow.arrived(heartbeat(5), 3, now + WAIT), "an unanswered request lapses");
    }

    #[test]
    fn a_ring_that_does_not_come_is_waited_for_once() {
        let (mut follow, now) = (Follow::new(WAIT, 1000), Instant::now());
        follow.arrived(payload(4, "a"), 3, now);
        assert!(follow.next(3, now).is_none());
        follow.arrived(payload(6, "b"), 3, now + WAIT / 2);
        assert!(follow.next(3, now + WAIT - Duration::from_millis(1)).is_none());
        assert!(follow.next(3, now + WAIT).unwrap().missed);
        assert!(!follow.next(3, now + WAIT).unwrap().missed);
        assert!(follow.arrived(payload(5, "c"), 3, now + WAIT), "it goes on asking");
        assert_eq!(texts(&mut follow, 3, now + WAIT), ["c"], "but not waiting");
        follow.arrived(payload(7, "d"), 3, now + WAIT);
        assert!(follow.next(3, now + WAIT).is_none(), "a later version gets its own wait");
    }

    #[test]
    fn what_may_wait_is_bounded() {
        let (mut follow, now) = (Follow::new(WAIT, 100), Instant::now());
        follow.arrived(payload(4, &"x".repeat(90)), 3, now);
        assert!(!follow.is_full());
        follow.arrived(payload(4, "y"), 3, now);
        assert!(follow.is_full());
        texts(&mut follow, 4, now);
        assert!(!follow.is_full() && follow.held_bytes == 0);
    }
}
