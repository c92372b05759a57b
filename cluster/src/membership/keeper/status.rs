//! What the keeper can tell of itself, for metrics and readiness.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// How membership stands.
#[derive(Clone, Copy, Debug)]
pub struct KeeperStatus {
    /// Whether the store answers.
    pub store: StoreReach,
    /// Whether its notices arrive, as far as is known.
    pub notices: bool,
    /// What has happened since the start.
    pub counts: KeeperCounts,
}

/// Whether the store answers, and since when it does or does not.
#[derive(Clone, Copy, Debug)]
pub enum StoreReach {
    /// The last operation succeeded.
    Reachable {
        /// The first that succeeded since one failed.
        since: Instant,
    },
    /// The last operation failed.
    Unreachable {
        /// The first that failed since one succeeded.
        since: Instant,
        /// The last error's code.
        code: &'static str,
    },
}

/// Counts since the keeper's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeeperCounts {
    /// Records found in the store or offered by a peer that could not be opened. Nothing of them was used.
    pub ignored_records: u64,
    /// Views that this process put back.
    pub putbacks: u64,
    /// Times that another ring of the same version was met.
    pub conflicts: u64,
    /// Members whose lapsed leases this process reaped.
    pub reaped: u64,
    /// Registrations of this process, the first one included.
    pub registrations: u64,
    /// Records of peers that brought a newer view.
    pub offers_adopted: u64,
    /// Operations on the store that failed.
    pub store_errors: u64,
    /// Times that this process said a member seems dead.
    pub suspicions: u64,
    /// Of these, how often the member proved alive by a renewal.
    pub refuted: u64,
    /// Leases that ended sooner because this process was the one that made it a majority.
    pub capped: u64,
    /// Times that the store extended all leases, as it had heard of nobody for half a lease.
    pub stalls: u64,
    /// Times that the store threw away something foreign in the place of what it keeps itself.
    pub mended: u64,
}

/// The counters behind [`KeeperCounts`].
#[derive(Default)]
pub(super) struct Tally {
    pub(super) ignored_records: AtomicU64,
    pub(super) putbacks: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) reaped: AtomicU64,
    pub(super) registrations: AtomicU64,
    pub(super) offers_adopted: AtomicU64,
    pub(super) store_errors: AtomicU64,
    pub(super) suspicions: AtomicU64,
    pub(super) refuted: AtomicU64,
    pub(super) capped: AtomicU64,
    pub(super) stalls: AtomicU64,
    pub(super) mended: AtomicU64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn counts(&self) -> KeeperCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KeeperCounts {
            ignored_records: load(&self.ignored_records),
            putbacks: load(&self.putbacks),
            conflicts: load(&self.conflicts),
            reaped: load(&self.reaped),
            registrations: load(&self.registrations),
            offers_adopted: load(&self.offers_adopted),
            store_errors: load(&self.store_errors),
            suspicions: load(&self.suspicions),
            refuted: load(&self.refuted),
            capped: load(&self.capped),
            stalls: load(&self.stalls),
            mended: load(&self.mended),
        }
    }
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    count_by(counter, 1);
}

/// Counts `by` more.
pub(super) fn count_by(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
