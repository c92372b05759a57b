//! What every process of a Ringdial cluster must agree on: the ring, membership, tickets and the wire protocol.
//!
//! Decisions are pure functions of values; the only socket this crate opens is Redis's.

pub mod grant;
pub mod homes;
pub mod limits;
pub mod log;
pub mod membership;
pub mod ring;
pub mod secret;
pub mod store;
pub mod tokens;
pub mod wire;
