//! What this process counts of lookups and of the back end's API.

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

type ApiOutcome = [(&'static str, &'static str); 2];

/// The counters of lookups and of the back end's API.
pub(crate) struct Metrics {
    outcomes: Family<Outcome, Counter<u64, AtomicU64>>,
    granted: Counter<u64, AtomicU64>,
    seconds: Histogram,
    api: Family<ApiOutcome, Counter<u64, AtomicU64>>,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new() -> Self {
        let outcomes = Family::<Outcome, Counter<u64, AtomicU64>>::default();
        // The handle is kept: finding it by its label costs as much as the rest of the counting.
        let granted = outcomes.get_or_create(&outcome("granted")).clone();
        Self { outcomes, granted, seconds: Histogram::new(SECONDS), api: Family::default() }
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
        registry.register(
            "ringdial_api_requests",
            "Requests of the back end's API by operation and outcome: ok, or the refusal's code",
            self.api.clone(),
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

    /// Counts one request of the back end's API.
    pub(crate) fn count_api(&self, operation: &'static str, refused: Option<Refusal>) {
        let outcome = refused.map_or("ok", Refusal::code);
        self.api.get_or_create(&[("operation", operation), ("outcome", outcome)]).inc();
    }
}

fn outcome(code: &'static str) -> Outcome {
    [("outcome", code)]
}
