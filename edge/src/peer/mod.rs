//! The links between processes: one WebSocket per ordered pair, with batches of opaque frames in both directions.
//!
//! The process that uses another as a home dials it, and everything that belongs to this use flows on that link:
//! requests out, answers and deliveries back. So a process has an outbound link to each target ([`PeerLinks`]) and an
//! inbound one from each process that uses it ([`PeerListener`]).
//!
//! - `handshake`: the dialler's token names issuer, target and a nonce; the listener proves the secret over the nonce
//!   before any frame is read.
//! - `batch`: the layout of a message: the sender's ring version and many frames.
//! - `queue`: the bounded queue in front of a link's writer; sending never waits.
//! - `follow`: the pure rule that makes batches wait for the ring that they were written under.
//! - `link`: reader and writer of an open link, heartbeats, silence.
//! - `signs`: the pure rule by which a peer's process seems dead.
//!
//! Nothing here retries or stores a frame: what was queued on a link is lost with it, and its owner is told.

mod backoff;
pub mod batch;
mod counts;
mod dial;
mod events;
pub mod follow;
mod handshake;
mod link;
mod links;
mod listener;
mod queue;
mod seen;
mod settings;
mod signs;

pub use counts::{LinkCounts, LinkTotals};
pub use dial::DialError;
pub use events::{CloseReason, Direction, LinkId, PeerEvents, RingSource};
pub use handshake::{PATH, PROOF_HEADER, PROTOCOL};
pub use links::{PeerLinks, PeerTarget};
pub use listener::PeerListener;
pub use queue::{FRAME_COST, LinkQueue, LinkSender, SendError, queue};
pub use settings::{FRAME_BYTES_MAX, LinkSettings, MESSAGE_BYTES_MAX, PeerConfig};
pub use signs::Signs;

#[cfg(test)]
mod tests;
