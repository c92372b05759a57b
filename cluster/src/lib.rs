//! What every process of a Ringdial cluster must agree on: the ring, membership, the log, tickets and the wire protocol;
//! and how a process uses others as homes of topics.
//!
//! Decisions are pure functions of values; the only socket this crate opens is Redis's.

pub mod chance;
pub mod grant;
pub mod homes;
pub mod limits;
pub mod log;
pub mod maps;
pub mod membership;
pub mod planted;
pub mod ring;
pub mod secret;
pub mod store;
pub mod tokens;
pub mod wire;
