//! What this process counts, and what it tells of its rings when the metrics page is asked for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cluster::membership::StoreReach;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::app::App;
use crate::decide::RingView;
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

/// The figures of the rings, read when asked for.
struct Rings(Arc<App>);

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

/// Adds the figures of the rings of `app` to the metrics page.
pub(crate) fn register_rings(registry: &mut Registry, app: Arc<App>) {
    registry.register_collector(Box::new(Rings(app)));
}

fn outcome(code: &'static str) -> Outcome {
    [("outcome", code)]
}

// === impl Rings ===

/// One figure of each service, if it is known.
type Figure = fn(&crate::service::Service) -> Option<u64>;

const GAUGES: [(&str, &str, Figure); 3] = [
    ("ringdial_ring_version", "Version of the ring: term * 2^32 + number", |service| match service.view() {
        RingView::Ring(ring) => Some(ring.version().as_u64()),
        _ => None,
    }),
    ("ringdial_ring_nodes", "Nodes of the ring, draining ones too", |service| match service.view() {
        RingView::Ring(ring) => u64::try_from(ring.member_count()).ok(),
        RingView::None => Some(0),
        _ => None,
    }),
    ("ringdial_store_reachable", "Whether the store answers", |service| {
        let status = service.status();
        Some(u64::from(status.is_some_and(|status| matches!(status.store, StoreReach::Reachable { .. }))))
    }),
];

const COUNTERS: [(&str, &str, Figure); 4] = [
    ("ringdial_store_errors", "Operations on the store that failed", |service| {
        service.status().map(|status| status.counts.store_errors)
    }),
    ("ringdial_ignored_records", "Records that could not be opened; nothing of them was used", |service| {
        service.status().map(|status| status.counts.ignored_records)
    }),
    ("ringdial_ring_putbacks", "Rings that this process put back into the store", |service| {
        service.status().map(|status| status.counts.putbacks)
    }),
    ("ringdial_ring_conflicts", "Times that another ring of the same version was met", |service| {
        service.status().map(|status| status.counts.conflicts)
    }),
];

impl Collector for Rings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for (name, help, figure) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (service, value) in self.figures(figure) {
                let gauge = ConstGauge::new(value);
                gauge.encode(family.encode_family(&[("service", service)])?)?;
            }
        }
        for (name, help, figure) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (service, value) in self.figures(figure) {
                let counter = ConstCounter::new(value);
                counter.encode(family.encode_family(&[("service", service)])?)?;
            }
        }
        Ok(())
    }
}

impl Rings {
    fn figures(&self, figure: Figure) -> impl Iterator<Item = (&str, u64)> {
        self.0.services.iter().filter_map(move |service| Some((service.name(), figure(service)?)))
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rings(..)")
    }
}
