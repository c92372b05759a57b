//! What the links of a process count. One handle is shared by all links and the metrics page.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::{Figure, Source};

/// The counters of all links of a process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct LinkCounts {
    inner: Arc<Inner>,
}

/// The counters' values at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkTotals {
    /// Frames written, without the links' own.
    pub frames_out: u64,
    /// Messages written; heartbeats are messages too.
    pub messages_out: u64,
    /// Bytes of messages written.
    pub bytes_out: u64,
    /// Frames handed to the owner.
    pub frames_in: u64,
    /// Messages read.
    pub messages_in: u64,
    /// Bytes of messages read.
    pub bytes_in: u64,
    /// Links opened so far.
    pub opened: u64,
    /// Attempts to open a link that failed.
    pub dial_failures: u64,
    /// Handshakes refused.
    pub refused: u64,
    /// Rings asked of peers.
    pub rings_asked: u64,
    /// Times that frames were handed on without the ring they were sent under.
    pub rings_missed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) open: Gauge,
    pub(super) frames_out: Counter<u64, AtomicU64>,
    pub(super) messages_out: Counter<u64, AtomicU64>,
    pub(super) bytes_out: Counter<u64, AtomicU64>,
    pub(super) frames_in: Counter<u64, AtomicU64>,
    pub(super) messages_in: Counter<u64, AtomicU64>,
    pub(super) bytes_in: Counter<u64, AtomicU64>,
    pub(super) opened: Counter<u64, AtomicU64>,
    pub(super) dial_failures: Counter<u64, AtomicU64>,
    pub(super) refused: Counter<u64, AtomicU64>,
    pub(super) rings_asked: Counter<u64, AtomicU64>,
    pub(super) rings_missed: Counter<u64, AtomicU64>,
}

// === impl LinkCounts ===

impl LinkCounts {
    /// Links open now.
    pub fn open(&self) -> usize {
        usize::try_from(self.inner.open.get()).unwrap_or(0)
    }

    /// The values now.
    pub fn totals(&self) -> LinkTotals {
        let own = &self.inner;
        LinkTotals {
            frames_out: own.frames_out.get(),
            messages_out: own.messages_out.get(),
            bytes_out: own.bytes_out.get(),
            frames_in: own.frames_in.get(),
            messages_in: own.messages_in.get(),
            bytes_in: own.bytes_in.get(),
            opened: own.opened.get(),
            dial_failures: own.dial_failures.get(),
            refused: own.refused.get(),
            rings_asked: own.rings_asked.get(),
            rings_missed: own.rings_missed.get(),
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Source for LinkCounts {
    type Reading = Self;

    const FIGURES: &'static [Figure<Self>] = &[
        Figure::gauge("ringdial_peer_links_open", "Links to peers open now", |counts| {
            u64::try_from(counts.inner.open.get()).ok()
        }),
        Figure::counter("ringdial_peer_frames_out", "Frames written to peers", |counts| {
            counts.inner.frames_out.get()
        }),
        Figure::counter(
            "ringdial_peer_messages_out",
            "Messages (batches of frames) written to peers",
            |counts| counts.inner.messages_out.get(),
        ),
        Figure::counter("ringdial_peer_bytes_out", "Bytes written to peers", |counts| {
            counts.inner.bytes_out.get()
        }),
        Figure::counter("ringdial_peer_frames_in", "Frames read from peers", |counts| {
            counts.inner.frames_in.get()
        }),
        Figure::counter(
            "ringdial_peer_messages_in",
            "Messages (batches of frames) read from peers",
            |counts| counts.inner.messages_in.get(),
        ),
        Figure::counter("ringdial_peer_bytes_in", "Bytes read from peers", |counts| {
            counts.inner.bytes_in.get()
        }),
        Figure::counter("ringdial_peer_links_opened", "Links to peers opened", |counts| {
            counts.inner.opened.get()
        }),
        Figure::counter("ringdial_peer_dial_failures", "Attempts to open a link that failed", |counts| {
            counts.inner.dial_failures.get()
        }),
        Figure::counter("ringdial_peer_handshakes_refused", "Handshakes of peers refused", |counts| {
            counts.inner.refused.get()
        }),
        Figure::counter("ringdial_peer_rings_asked", "Ring records asked of peers", |counts| {
            counts.inner.rings_asked.get()
        }),
        Figure::counter(
            "ringdial_peer_rings_missed",
            "Waits for a ring record that ended without it",
            |counts| counts.inner.rings_missed.get(),
        ),
    ];

    fn read(&self) -> Option<Self> {
        Some(self.clone())
    }
}
