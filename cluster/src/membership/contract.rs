//! What a store does for the membership of one service: keep a sealed record, leases, and issue generations.
//!
//! Few operations, each atomic, so that every implementation behaves alike. A store neither opens records nor knows who
//! is right: it compares, swaps and keeps time. All times are the store's own clock's.
//!
//! Two guards live inside the store, where no process's clock or view can go round them:
//! - *stall*: it remembers the last sign of life (a poll, a renewal, a look for lapsed leases). When more than half a
//!   lease passed without one, nobody could renew, so every lease is extended to one lease from now.
//! - *half*: within two leases at most half of the members, rounded up, are reaped.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::store::StoreError;

/// Longest part of a record that a [`Glimpse`] carries, in bytes: enough for any header line.
pub const GLIMPSE_BYTES_MAX: usize = 512;

/// The membership of one service in a store.
///
/// Every operation returns within a bounded time. After [`StoreError::Unreachable`] or [`StoreError::TimedOut`] a write
/// may have been carried out all the same: the caller reads again.
#[async_trait]
pub trait MembershipStore: Send + Sync + 'static {
    /// The service whose membership this is.
    fn service(&self) -> &str;

    /// How long a lease lasts.
    fn lease(&self) -> Duration;

    /// Whether an absent record may have been lost, so that somebody may still put it back. `false` only for a store
    /// that is known to have been empty from its beginning.
    fn absence_may_be_loss(&self) -> bool;

    /// What is stored, whole.
    async fn read(&self) -> Result<Stored, StoreError>;

    /// A sign of life; answers with what can be known cheaply.
    async fn poll(&self) -> Result<Pulse, StoreError>;

    /// Extends the lease of this incarnation of a member to one lease from now, unless it has lapsed or was ended.
    /// A sign of life.
    async fn renew(&self, holder: LeaseHolder<'_>) -> Result<Renewal, StoreError>;

    /// A generation higher than any that was issued, than the store's time in milliseconds, and than `above`: it goes
    /// on growing when the store forgets.
    async fn next_generation(&self, above: u64) -> Result<u64, StoreError>;

    /// The members whose leases lapsed and that may be reaped now, fewest that the half guard allows.
    ///
    /// `line` is the header line of the caller's view, `members` its members. With another record in the store the
    /// answer is empty: the caller's view is not the store's. A member without a lease gets one; a lease without a
    /// member ends. The answer is given to one caller only, who has a sixth of a lease to act on it. A sign of life.
    async fn lapsed(&self, line: &[u8], members: &[LeaseHolder<'_>]) -> Result<Vec<String>, StoreError>;

    /// Asks for the turn to change the record: only advice, so that a crowd of registrants need not race each other. It
    /// lasts a fifteenth of a lease, or until the record is changed.
    async fn take_turn(&self) -> Result<bool, StoreError>;

    /// Replaces what is stored by `record`, if it is still `expected`, changes leases, and tells everybody.
    async fn swap(
        &self,
        expected: &Stored,
        record: &Bytes,
        leases: LeaseChange<'_>,
    ) -> Result<Swapped, StoreError>;

    /// A counter that grows when the record may have changed: somebody said so, or notices may have been missed. Only a
    /// hint, as notices get lost; the poll is what can be relied on.
    fn notices(&self) -> watch::Receiver<u64>;

    /// Whether notices arrive, as far as is known. While they do not, polling alone tells of changes.
    fn notices_arrive(&self) -> bool {
        true
    }
}

/// What is stored under a service's ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// Nothing.
    Absent,
    /// These bytes, at most [`RECORD_BYTES_MAX`](crate::ring::RECORD_BYTES_MAX) of them.
    Record(Bytes),
    /// More bytes than any record has; they were not fetched.
    Oversized {
        /// How many.
        bytes: u64,
    },
    /// Something that is no string of bytes.
    WrongType,
}

/// What is stored, without the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Glimpse {
    /// Nothing.
    Absent,
    /// A record.
    Record {
        /// Its first line with the line end, or its first [`GLIMPSE_BYTES_MAX`] bytes if there is no line end in them.
        line: Bytes,
        /// Length of the whole, in bytes.
        bytes: u64,
    },
    /// Something that is no string of bytes.
    WrongType,
}

/// What a poll learns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulse {
    /// What is stored.
    pub glimpse: Glimpse,
    /// Number of leases, lapsed ones too.
    pub leases: u64,
    /// Number of leases that lapsed.
    pub lapsed: u64,
}

/// What a renewal learns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// Whether the lease was still running and now runs on.
    pub held: bool,
    /// What is stored.
    pub glimpse: Glimpse,
}

/// One incarnation of a member, as leases know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseHolder<'a> {
    /// The member's id.
    pub id: &'a str,
    /// Its generation.
    pub generation: u64,
}

/// How a swap changes leases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseChange<'a> {
    /// Not at all.
    Keep,
    /// A new lease for one member, in place of the one that an older incarnation may have.
    Grant {
        /// Who gets it.
        holder: LeaseHolder<'a>,
        /// Refuse if the id's present lease has not lapsed.
        only_lapsed: bool,
    },
    /// The member leaves: its lease ends.
    End {
        /// The member's id.
        id: &'a str,
    },
    /// Lapsed members are taken out. Refused unless all of them are lapsed still and the half guard allows it.
    Reap {
        /// Their ids.
        ids: &'a [String],
        /// Number of members before.
        members: u64,
    },
    /// A ring is put back, or made: these members have a fresh lease each, and nobody else has one.
    Reset {
        /// All members.
        holders: &'a [LeaseHolder<'a>],
    },
}

/// What became of a swap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Swapped {
    /// It was done.
    Done,
    /// Something else is stored: read again.
    Changed,
    /// The record was as expected, but the leases forbid it. Nothing was changed.
    Refused,
}

// === impl Glimpse ===

impl Glimpse {
    /// The glimpse of a stored string: what [`Glimpse::Record`] says of its line.
    pub fn of_record(record: &Bytes) -> Self {
        let head = &record[..record.len().min(GLIMPSE_BYTES_MAX)];
        let end = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
        Self::Record { line: record.slice(..end), bytes: record.len() as u64 }
    }
}
