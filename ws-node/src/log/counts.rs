//! What a log's worker and its queue count, for metrics: by kind, as a crowd of readers says nothing about messages.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use edge::metrics::{Figure, Labels, Page, Source};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Bounds of the buckets, in seconds: from a store in the same process to the time-out of a call.
const SECONDS: [f64; 12] = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2.5e-1, 1.0];

/// What a log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Append,
    Read,
    Look,
}

/// The counters of one worker and its queue. Clones share them.
#[derive(Clone, Default)]
pub struct LogCounts {
    open: KindCounts,
    append: KindCounts,
    read: KindCounts,
    look: KindCounts,
}

/// The counters of one kind of requests.
#[derive(Clone)]
pub(super) struct KindCounts(Arc<Inner>);

struct Inner {
    seconds: Histogram,
    topics: Counter<u64, AtomicU64>,
    unconfirmed: Counter<u64, AtomicU64>,
    given_back: Counter<u64, AtomicU64>,
    waiting: Gauge,
    waiting_bytes: Gauge,
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Open, Self::Append, Self::Read, Self::Look];

    const fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Append => "append",
            Self::Read => "read",
            Self::Look => "look",
        }
    }
}

// === impl LogCounts ===

impl LogCounts {
    /// Adds them to the metrics page, with these labels and the kind.
    pub(crate) fn register(&self, page: &mut Page, labels: &Labels) {
        for kind in Kind::ALL {
            let labels = [&labels[..], &[("kind", kind.label().to_owned())]].concat();
            page.add(labels, self.of(kind).clone());
        }
    }

    pub(super) const fn of(&self, kind: Kind) -> &KindCounts {
        match kind {
            Kind::Open => &self.open,
            Kind::Append => &self.append,
            Kind::Read => &self.read,
            Kind::Look => &self.look,
        }
    }
}

// === impl KindCounts ===

impl KindCounts {
    /// A call ended that named so many topics, some of which the log did not confirm.
    pub(super) fn ended(&self, took: Duration, topics: usize, unconfirmed: usize) {
        self.0.seconds.observe(took.as_secs_f64());
        self.0.topics.inc_by(topics as u64);
        self.0.unconfirmed.inc_by(unconfirmed as u64);
    }

    /// A request found no room.
    pub(super) fn given_back(&self) {
        self.0.given_back.inc();
    }

    /// So much waits now.
    pub(super) fn wait(&self, requests: usize, bytes: usize) {
        self.0.waiting.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.0.waiting_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

impl Default for KindCounts {
    fn default() -> Self {
        Self(Arc::new(Inner {
            seconds: Histogram::new(SECONDS),
            topics: Counter::default(),
            unconfirmed: Counter::default(),
            given_back: Counter::default(),
            waiting: Gauge::default(),
            waiting_bytes: Gauge::default(),
        }))
    }
}

/// Labelled `node` and `kind`.
impl Source for KindCounts {
    type Reading = Self;

    const FIGURES: &'static [Figure<Self>] = &[
        Figure::histogram("ringdial_log_call_seconds", "Time that calls to the log took", |counts| {
            counts.0.seconds.clone()
        }),
        Figure::counter("ringdial_log_topics", "Topics that calls to the log named", |counts| {
            counts.0.topics.get()
        }),
        Figure::counter(
            "ringdial_log_unconfirmed",
            "Of them, those that the log did not confirm",
            |counts| counts.0.unconfirmed.get(),
        ),
        Figure::counter("ringdial_log_given_back", "Requests that found no room in the queue", |counts| {
            counts.0.given_back.get()
        }),
        Figure::gauge("ringdial_log_waiting", "Requests that wait for a call", |counts| {
            u64::try_from(counts.0.waiting.get()).ok()
        }),
        Figure::gauge("ringdial_log_waiting_bytes", "Bytes of messages that wait for a call", |counts| {
            u64::try_from(counts.0.waiting_bytes.get()).ok()
        }),
    ];

    fn read(&self) -> Option<Self> {
        Some(self.clone())
    }
}
