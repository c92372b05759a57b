//! What a listener counts: connections open, accepted, refused; failed TLS handshakes. One handle is shared by
//! the accept loop, by every open connection and by the metrics page.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::{Figure, Source};

/// The counters of one listener; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: Gauge<i64, AtomicI64>,
    accepted: Counter<u64, AtomicU64>,
    refused: Counter<u64, AtomicU64>,
    accept_errors: Counter<u64, AtomicU64>,
    tls_errors: Counter<u64, AtomicU64>,
    header_timeouts: Counter<u64, AtomicU64>,
    request_timeouts: Counter<u64, AtomicU64>,
    cut: Counter<u64, AtomicU64>,
}

/// A connection's place among `connections_max`; freed when dropped.
#[derive(Debug)]
pub struct Permit(Counts);

// === impl Counts ===

impl Counts {
    /// Connections open now, upgraded ones included.
    pub fn open(&self) -> usize {
        usize::try_from(self.inner.open.get()).unwrap_or(0)
    }

    /// Connections closed unread because the limit was reached.
    pub fn refused(&self) -> u64 {
        self.inner.refused.get()
    }

    /// TLS handshakes that failed or took too long.
    pub fn tls_errors(&self) -> u64 {
        self.inner.tls_errors.get()
    }

    /// Connections cut because a request did not finish within the grace.
    pub fn cut(&self) -> u64 {
        self.inner.cut.get()
    }

    /// A place for one more connection; `None`, counted as refused, at `max`. Called by one accept loop only,
    /// so that looking and taking need no lock.
    pub(crate) fn admit(&self, max: usize) -> Option<Permit> {
        if self.open() >= max {
            self.inner.refused.inc();
            return None;
        }
        self.inner.open.inc();
        self.inner.accepted.inc();
        Some(Permit(self.clone()))
    }

    pub(crate) fn accept_error(&self) {
        self.inner.accept_errors.inc();
    }

    pub(crate) fn tls_error(&self) {
        self.inner.tls_errors.inc();
    }

    pub(crate) fn header_timeout(&self) {
        self.inner.header_timeouts.inc();
    }

    pub(crate) fn request_timeout(&self) {
        self.inner.request_timeouts.inc();
    }

    pub(crate) fn cut_off(&self) {
        self.inner.cut.inc();
    }
}

/// Labelled `listener`, and with the part whose listener it is.
impl Source for Counts {
    type Reading = Self;

    const FIGURES: &'static [Figure<Self>] = &[
        Figure::gauge("ringdial_connections_open", "Connections open now", |counts| {
            u64::try_from(counts.inner.open.get()).ok()
        }),
        Figure::counter("ringdial_connections_accepted", "Connections accepted", |counts| {
            counts.inner.accepted.get()
        }),
        Figure::counter(
            "ringdial_connections_refused",
            "Connections closed unread, over the limit",
            Self::refused,
        ),
        Figure::counter(
            "ringdial_accept_errors",
            "Failed accepts, such as no file descriptor left",
            |counts| counts.inner.accept_errors.get(),
        ),
        Figure::counter(
            "ringdial_tls_handshake_errors",
            "TLS handshakes that failed or took too long",
            Self::tls_errors,
        ),
        Figure::counter(
            "ringdial_header_timeouts",
            "Connections closed before a whole request head",
            |counts| counts.inner.header_timeouts.get(),
        ),
        Figure::counter("ringdial_request_timeouts", "Requests answered with 408", |counts| {
            counts.inner.request_timeouts.get()
        }),
        Figure::counter("ringdial_connections_cut", "Connections cut at the end of the grace", Self::cut),
    ];

    fn read(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inner.open.dec();
    }
}
