//! What a store does for the membership of one service: keep a sealed record, leases, and issue generations.
//!
//! Few operations, each atomic, so that every implementation behaves alike. A store neither opens records nor knows who
//! is right: it compares, swaps and keeps time. All times are the store's own clock's.
//!
//! Two guards live inside the store, where no process's clock or view can go round them:
//! - *stall*: it remembers the last sign of life (a poll, a renewal, a look for lapsed leases). When more than half a
//!   lease passed without one, nobody could renew, so every lease is extended to one lease from now.
//! - *half*: within two leases at most half of the members, rounded up, are reaped.
//!
//! It also remembers who seems dead to whom. That ends with a renewal, as it proves the member alive, with the lease, and
//! when all who said it took it back. Where a majority of the other members says it (the only other one, if there is one),
//! the lease is capped: it ends three tenths of its length after its last renewal.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use super::Suspect;
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

    /// A sign of life; answers with what can be known cheaply. An observer says its name, whatever that is, so that
    /// observers can be counted.
    async fn poll(&self, observer: Option<&str>) -> Result<Pulse, StoreError>;

    /// Extends the lease of this incarnation of a member to one lease from now, unless it has lapsed or was ended.
    /// A sign of life. Nobody suspects the member any more; everybody is told if somebody did.
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

    /// `by` says that `dead` seem dead, and takes back what it said of `alive`. Everybody is told when somebody is
    /// suspected newly, or no longer, and when a lease is capped. What is said of incarnations that hold no lease is
    /// ignored. Answers how many leases were capped. A sign of life.
    async fn suspect(
        &self,
        by: Sayer<'_>,
        dead: &[LeaseHolder<'_>],
        alive: &[LeaseHolder<'_>],
    ) -> Result<u64, StoreError>;

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
    /// The incarnations that are suspected.
    pub suspects: Vec<Suspect>,
    /// When the first capped lease lapses that has not lapsed yet.
    pub due: Option<Duration>,
    /// Number of observers that polled in the last two leases.
    pub observers: u64,
    /// Another number, and a higher one, each time that a stall extended all leases; 0 if the store knows of none.
    pub stalled: u64,
    /// The same for each time that the store found something foreign in the place of what it keeps itself (all but the
    /// record), and threw it away.
    pub mended: u64,
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

/// Who says that a member seems dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sayer<'a> {
    /// A member. It counts for the majority while it holds its lease.
    Member(LeaseHolder<'a>),
    /// Somebody else, by a name of its own. It never counts for the majority.
    Observer(&'a str),
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
