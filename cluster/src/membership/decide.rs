//! What to make of what a store holds, given the view that this process holds. Pure.
//!
//! Views come out of the store, so it holds at least the view that a process held before it asked. Where it does not, it
//! has lost something, or somebody wrote to it who must not: the process puts its view back under the next term. A
//! process without a view puts back nothing; it waits for those who have one.

use std::sync::Arc;
use std::time::Duration;

use super::{Glimpse, Held, RecordKeys, Stored};
use crate::ring::{Record, RecordError, Ring};

/// What the store turned out to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Nothing.
    Absent,
    /// A ring that one of our keys vouches for.
    Ring(Arc<Ring>),
    /// A record that we cannot open but that another cluster, or another release, may live by.
    Foreign {
        /// Why it cannot be opened: a [`RecordError`]'s code.
        code: &'static str,
    },
    /// Something that is nobody's record.
    Debris {
        /// What it is instead.
        code: &'static str,
    },
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The store holds our view.
    Keep,
    /// The store holds a newer view: take it.
    Adopt,
    /// Write our view back under this term.
    PutBack {
        /// The term to write it under.
        term: u32,
        /// What is wrong with the store.
        why: Loss,
    },
    /// We have no view, and somebody may yet bring one.
    Wait,
    /// We have no view, and neither has anybody: a member that joins makes a new ring.
    Create,
}

/// What is wrong with a store that needs a view put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// It holds no record.
    Empty,
    /// It holds an older one.
    Behind,
    /// It holds something that is no record of ours.
    Unreadable,
    /// It holds another ring of the same version.
    Conflict,
}

/// What a glimpse shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Our own record: nothing has to be read.
    Ours,
    /// A record that says it is newer than our view.
    Newer,
    /// Anything else: a loss, perhaps.
    Other,
}

/// What a glimpse shows.
pub fn look(mine: Option<&Held>, glimpse: &Glimpse) -> Look {
    let (Some(held), Glimpse::Record { line, bytes }) = (mine, glimpse) else { return Look::Other };
    if *bytes == held.record.len() as u64 && line[..] == *held.line() {
        return Look::Ours;
    }
    match Record::head(line) {
        Some(head) if head.version > held.ring.version() => Look::Newer,
        _ => Look::Other,
    }
}

/// How long to rest after reading a ring before a newer one is read: a fifteenth of a lease, and longer the more members
/// read, as the store has to give it to each; a third of a lease at most. Notices of that time are followed together.
pub fn rest(members: usize, lease: Duration) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    (lease / 15)
        .max(Duration::from_millis(2).saturating_mul(members))
        .min(lease / 3)
        .min(Duration::from_secs(1))
}

/// Opens what a store holds.
pub fn open(stored: &Stored, service: &str, keys: &RecordKeys) -> Seen {
    let bytes = match stored {
        Stored::Absent => return Seen::Absent,
        Stored::Record(bytes) => bytes,
        Stored::Oversized { .. } => return Seen::Debris { code: "record_too_large" },
        Stored::WrongType => return Seen::Debris { code: "record_wrong_type" },
    };
    match Record::open(bytes, service, keys.opening()) {
        Ok(ring) => Seen::Ring(Arc::new(ring)),
        Err(error) if is_somebodys(&error, bytes) => Seen::Foreign { code: error.code() },
        Err(error) => Seen::Debris { code: error.code() },
    }
}

/// Judges what was seen. `mine` is the view that was held *before* the store was asked: a newer one, offered by a peer
/// in the meantime, says nothing about the answer. `may_create` is whether this process is to make a new ring if there
/// is none: it is a member's, and has waited long enough for somebody to put one back.
pub fn judge(mine: Option<&Ring>, seen: &Seen, may_create: bool) -> Verdict {
    match (mine, seen) {
        (None, Seen::Ring(_)) => Verdict::Adopt,
        (None, Seen::Foreign { .. }) => Verdict::Wait,
        (None, Seen::Absent | Seen::Debris { .. }) if may_create => Verdict::Create,
        (None, Seen::Absent | Seen::Debris { .. }) => Verdict::Wait,
        (Some(mine), Seen::Absent) => put_back(mine, None, Loss::Empty),
        (Some(mine), Seen::Foreign { .. } | Seen::Debris { .. }) => put_back(mine, None, Loss::Unreadable),
        (Some(mine), Seen::Ring(ring)) if ring.version() > mine.version() => Verdict::Adopt,
        (Some(mine), Seen::Ring(ring)) if ring.version() < mine.version() => {
            put_back(mine, Some(ring), Loss::Behind)
        }
        (Some(mine), Seen::Ring(ring)) if **ring == *mine => Verdict::Keep,
        (Some(mine), Seen::Ring(ring)) => put_back(mine, Some(ring), Loss::Conflict),
    }
}

fn put_back(mine: &Ring, other: Option<&Ring>, why: Loss) -> Verdict {
    let term = other.map_or(0, |ring| ring.version().term).max(mine.version().term);
    Verdict::PutBack { term: term.saturating_add(1), why }
}

/// Whether bytes that could not be opened are a record all the same: signed by a secret that we lack, or of a release
/// that writes records that we cannot read.
fn is_somebodys(error: &RecordError, bytes: &[u8]) -> bool {
    match error {
        RecordError::TooLarge { .. } => false,
        RecordError::Malformed => bytes.starts_with(b"ringdial-ring/"),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
