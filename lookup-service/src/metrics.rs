//! What this process counts of lookups.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::refusal::Refusal;

/// Bounds of the buckets, in seconds: a lookup is some microseconds of one processor.
const SECONDS: [f64; 10] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1];

type Outcome = [(&'static str, &'static str); 1];

/// The counters of lookups.
pub(crate) struct Metrics {
    outcomes: Family<Outcome, Counter<u64, AtomicU64>>,
    granted: Counter<u64, AtomicU64>,
    seconds: Histogram,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new() -> Self {
        let outcomes = Family::<Outcome, Counter<u64, AtomicU64>>::default();
        // The handle is kept: finding it by its label costs as much as the rest of the counting.
        let granted = outcomes.get_or_create(&outcome("granted")).clone();
        Self { outcomes, granted, seconds: Histogram::new(SECONDS) }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ringdial_lookups",
            "Lookups by outcome: granted, or the refusal's code",
            self.outcomes.clone(),
        );
        registry.register(
            "ringdial_lookup_seconds",
            "Time from a lookup's whole request to its answer",
            self.seconds.clone(),
        );
    }

    /// Counts one lookup.
    pub(crate) fn count(&self, refused: Option<Refusal>, took: Duration) {
        match refused {
            None => self.granted.inc(),
            Some(refusal) => self.outcomes.get_or_create(&outcome(refusal.code())).inc(),
        };
        self.seconds.observe(took.as_secs_f64());
    }
}

fn outcome(code: &'static str) -> Outcome {
    [("outcome", code)]
}
