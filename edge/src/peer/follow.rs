//! When a batch may be acted on: not before this process holds the ring it was sent under. Pure: values and `now` in.
//!
//! A receiver that is behind asks a sender for its record and lets frames wait until the ring is there, or until
//! `wait` has passed: an unreadable record must not stop the cluster's messages. A version that was waited for in vain
//! is not waited for again.
//!
//! When the ring changes, every peer's next batch may be ahead. One of them is asked, the next one only if that did not
//! help soon: a record may have hundreds of kilobytes, and one copy is enough.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;

/// Within this part of the wait only one link of the process asks for the same version.
const SPACING: u32 = 8;

/// The batches of one link that wait for a ring.
pub struct Follow {
    wait: Duration,
    bytes_max: usize,
    held: VecDeque<Batch>,
    held_bytes: usize,
    /// When the frames at the front are handed on whatever happens. Set while they wait.
    deadline: Option<Instant>,
    /// Versions up to this one are no longer waited for.
    given_up: u64,
    /// The highest version heard of on this link.
    heard_of: u64,
    asked: Option<Asked>,
}

/// This link's last request. One is out at a time; unanswered, it lapses after `wait`.
struct Asked {
    at: Instant,
    version: u64,
    answered: bool,
}

/// What the links of one process asked for last, whichever it was.
#[derive(Debug, Default)]
pub struct Asks {
    last: Option<(u64, Instant)>,
}

/// A batch that may be acted on.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// The batch.
    pub batch: Batch,
    /// The wait for its ring was in vain and ended with it.
    pub missed: bool,
}

// === impl Follow ===

impl Follow {
    /// Nothing waits yet. Batches wait for `wait` at most, and this many bytes of them.
    pub fn new(wait: Duration, bytes_max: usize) -> Self {
        Self {
            wait,
            bytes_max,
            held: VecDeque::new(),
            held_bytes: 0,
            deadline: None,
            given_up: 0,
            heard_of: 0,
            asked: None,
        }
    }

    /// A batch arrived.
    pub fn arrived(&mut self, batch: Batch) {
        self.heard_of = self.heard_of.max(batch.ring);
        if batch.payloads > 0 {
            self.held_bytes += batch.len();
            self.held.push_back(batch);
        }
    }

    /// Whether to ask this link's peer for its record now; then it counts as asked.
    pub fn ask(&mut self, have: u64, now: Instant, asks: &mut Asks) -> bool {
        // The same peer would give the same answer again: the keeper may need a moment, or does not believe it.
        let is_new = |asked: &Asked| asked.answered && asked.version < self.heard_of;
        let too_early = |asked: &Asked| now < asked.at + self.wait && !is_new(asked);
        if !self.is_behind(have) || self.asked.as_ref().is_some_and(too_early) {
            return false;
        }
        if !asks.may_ask(self.heard_of, now, self.wait / SPACING) {
            return false;
        }
        self.asked = Some(Asked { at: now, version: self.heard_of, answered: false });
        true
    }

    /// Whether this link has heard of a later version than `have`.
    pub fn is_behind(&self, have: u64) -> bool {
        self.heard_of > have
    }

    /// A record came.
    pub fn answered(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.answered = true;
        }
    }

    /// The next batch that may be acted on.
    pub fn next(&mut self, have: u64, now: Instant) -> Option<Due> {
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
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether so much waits that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.held_bytes >= self.bytes_max
    }
}

// === impl Asks ===

impl Asks {
    /// The same version, or an earlier one, is asked for once in `spacing`.
    fn may_ask(&mut self, version: u64, now: Instant, spacing: Duration) -> bool {
        if self.last.is_some_and(|(asked, at)| version <= asked && now < at + spacing) {
            return false;
        }
        self.last = Some((version, now));
        true
    }
}

#[cfg(test)]
mod tests;
