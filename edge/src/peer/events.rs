//! What a link tells its owner, and what it asks of the ring's keeper.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cluster::tokens::PeerName;

use super::dial::DialError;
use super::queue::LinkSender;

/// A link, unique in this process for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(u64);

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// This process: it uses the peer as a home.
    Outbound,
    /// The peer: it uses this process as a home.
    Inbound,
}

/// What happens on the links. For one link the order is `opened`, any number of `frames`, `closed`, all from the task
/// that reads it; a link that replaces another of the same peer and direction opens after that one's `closed`.
///
/// The calls hold up the reading of their link and must not block: a thread that blocks may be the one that waits for
/// all sockets and timers of the process, and tokio wakes no other in its place. No lock of the links is held during them, so they
/// may send, on the same link too.
pub trait PeerEvents: Send + Sync + 'static {
    /// Both ends have proven the secret. `sender` reaches the peer until `closed`.
    fn opened(&self, link: LinkId, direction: Direction, peer: &PeerName, sender: LinkSender);

    /// A batch of at least one frame, sent under ring version `ring`. The local ring is at least that, unless it could
    /// not be had within the time allowed. The frames share one read buffer: copy what is kept for long.
    fn frames(&self, link: LinkId, ring: u64, frames: &mut dyn Iterator<Item = Bytes>);

    /// The link is gone. What was queued and not yet written is lost; what was written may have arrived or not.
    fn closed(&self, link: LinkId, why: CloseReason);

    /// An attempt to open an outbound link failed; there will be another one.
    fn dial_failed(&self, _peer: &PeerName, _error: &DialError) {}

    /// The process that this incarnation of a peer was seems dead: its link ended, not by us, and a new connection is
    /// refused. Said again every now and then while it stays so; an outbound `opened` takes it back.
    fn seems_dead(&self, _peer: &PeerName) {}
}

/// The ring as the links need it: versions to compare, and the sealed record to pass on. Called often; must be quick.
pub trait RingSource: Send + Sync + 'static {
    /// The version held now. It never falls behind a version under which this process has sent a frame.
    fn version(&self) -> u64;

    /// The sealed record of that version or a later one; `None` if there is none, or none that peers should believe.
    fn sealed(&self) -> Option<Bytes>;

    /// A record that a peer passed on: untrusted until its seal was checked. Best taken before this returns.
    fn offer(&self, record: &[u8]);
}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseReason {
    /// This process ends.
    #[error("this process is shutting down")]
    Shutdown,
    /// The same peer opened a newer link.
    #[error("the peer opened a newer link")]
    Replaced,
    /// The peer, or this generation of it, is no longer a target.
    #[error("the peer is no longer a target")]
    NotWanted,
    /// This process has a new generation; its outbound links are opened again under it.
    #[error("this process has a new generation")]
    Renamed,
    /// Nothing arrived for [`super::LinkSettings::silence`]: the peer hangs or the network swallows its packets.
    #[error("nothing was heard from the peer for too long")]
    Silent,
    /// A write was not taken within [`super::LinkSettings::write_timeout`].
    #[error("the peer took no data for too long")]
    WriteTimeout,
    /// The peer closed the link with a close frame.
    #[error("the peer closed the link")]
    ClosedByPeer,
    /// The connection broke, or ended without a close frame: the peer's process died or the network failed.
    #[error("the connection broke ({0})")]
    Broken(std::io::ErrorKind),
    /// The peer sent what no peer sends.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
}

// === impl LinkId ===

impl LinkId {
    /// An id that no other link of this process has.
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The id as a number, for those who know nothing of links.
    pub fn number(self) -> u64 {
        self.0
    }

    /// A given id, for links that are simulated.
    pub fn simulated(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Direction ===

impl Direction {
    /// The word in logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

// === impl CloseReason ===

impl CloseReason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Replaced => "link_replaced",
            Self::NotWanted => "link_not_wanted",
            Self::Renamed => "own_generation_changed",
            Self::Silent => "link_silent",
            Self::WriteTimeout => "link_write_timeout",
            Self::ClosedByPeer => "link_closed_by_peer",
            Self::Broken(_) => "link_broken",
            Self::Protocol(_) => "link_protocol",
        }
    }

    /// Whether the peer or the network caused it: a sign that the peer may be dead.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Silent | Self::WriteTimeout | Self::Broken(_) | Self::Protocol(_))
    }

    /// The WebSocket close code that tells the peer (RFC 6455 7.4.1).
    pub(super) fn websocket_code(self) -> u16 {
        match self {
            Self::Shutdown => 1001,
            Self::Protocol(_) => 1002,
            _ => 1000,
        }
    }
}
