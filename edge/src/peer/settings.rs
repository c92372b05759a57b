//! The bounds and times of links, and what all links of a process share.

use std::sync::Arc;
use std::time::Duration;

use cluster::tokens::{PeerName, PeerTokens};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::batch::{FRAME_HEAD_BYTES, HEADER_BYTES};
use super::counts::LinkCounts;
use super::events::{PeerEvents, RingSource};
use super::follow::Asks;

/// A link message in bytes. Larger ones end the link, so all processes must agree on it.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A frame in bytes: it fits a message by itself.
pub const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX - HEADER_BYTES - FRAME_HEAD_BYTES;

/// Bounds and times of each link. Peers may differ in them, as long as nobody's heartbeat is slower than another's
/// patience.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// After this long without a write the writer sends a heartbeat.
    pub heartbeat: Duration,
    /// After this long without a message the link is closed. At least twice `heartbeat`.
    pub silence: Duration,
    /// Longest time for one write; then the link is closed.
    pub write_timeout: Duration,
    /// Longest time that frames wait for the ring they were sent under.
    pub ring_wait: Duration,
    /// Bytes that may wait in front of a link's writer, each frame counted with [`super::FRAME_COST`] on top.
    pub queue_bytes_max: usize,
    /// Bytes at which a message is full; only a single larger frame exceeds it.
    pub batch_bytes: usize,
    /// Bytes of frames that may wait for a ring; then the link is not read until they were handed on.
    pub held_bytes_max: usize,
    /// Longest time to open a link: resolution, TCP, TLS, handshake.
    pub dial_timeout: Duration,
    /// Upper bound of the first and of every later pause between attempts: full jitter, doubling.
    pub backoff: (Duration, Duration),
}

/// What the links of a process share. Clones share it too: give the same one to [`super::PeerListener`] and
/// [`super::PeerLinks`].
#[derive(Clone)]
pub struct PeerConfig {
    /// The name of this process now.
    pub me: watch::Receiver<PeerName>,
    /// Signs and checks the proofs.
    pub tokens: Arc<PeerTokens>,
    /// Told what happens.
    pub events: Arc<dyn PeerEvents>,
    /// Where the ring's versions come from.
    pub ring: Arc<dyn RingSource>,
    /// Bounds and times.
    pub settings: LinkSettings,
    /// Counted into; keep a clone for the metrics page.
    pub counts: LinkCounts,
    /// Ends every link.
    pub shutdown: CancellationToken,
    pub(super) asks: Arc<Mutex<Asks>>,
}

// === impl PeerConfig ===

impl PeerConfig {
    /// With the default bounds and times and fresh counters.
    pub fn new(
        me: watch::Receiver<PeerName>,
        tokens: Arc<PeerTokens>,
        events: Arc<dyn PeerEvents>,
        ring: Arc<dyn RingSource>,
        shutdown: CancellationToken,
    ) -> Self {
        let (settings, counts, asks) = (LinkSettings::default(), LinkCounts::default(), Arc::default());
        Self { me, tokens, events, ring, settings, counts, shutdown, asks }
    }
}

// === impl LinkSettings ===

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            silence: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
            ring_wait: Duration::from_secs(1),
            queue_bytes_max: 4 * 1024 * 1024,
            batch_bytes: 256 * 1024,
            held_bytes_max: 4 * 1024 * 1024,
            dial_timeout: Duration::from_secs(3),
            backoff: (Duration::from_millis(50), Duration::from_secs(1)),
        }
    }
}
