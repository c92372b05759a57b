//! The stores: where processes meet. One in memory for processes that are one, one on Redis for the others.
//!
//! Both implement [`MembershipStore`](crate::membership::MembershipStore) and [`Log`](crate::log::Log), and pass one
//! conformance suite for each (`tests/conformance`, `tests/log`). What a store holds is untrusted input: it keeps bytes
//! and leases, and whoever reads a record verifies it.

mod error;
mod memory;
mod redis;

pub use self::error::StoreError;
pub use self::memory::{LogCopy, MemoryStore};
pub use self::redis::{RedisConfig, RedisStore};

/// Lease length unless configured otherwise, in milliseconds.
pub const LEASE_MS_DEFAULT: u64 = 3_000;
