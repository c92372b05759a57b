//! What the keeper's task and its handles share: the view that is held, and what is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::KeeperError;
use super::status::{KeeperStatus, StoreReach, Tally, count};
use super::suspicion::Watchlist;
use crate::membership::{Held, RecordKeys};
use crate::ring::{Record, RecordError, Ring, Version};
use crate::store::StoreError;

/// How many of its own generations a process remembers: more than it can have had in a ticket's life.
const INCARNATIONS_MAX: usize = 32;

/// What became of a record that a peer offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It was newer and is the view now.
    Adopted,
    /// It is the view already.
    Known,
    /// It is older than the view: the peer is behind.
    Older,
    /// It has the view's version and says something else. Counted; the store will tell who is right.
    Conflict,
}

pub(super) struct Board {
    pub(super) service: String,
    pub(super) keys: RecordKeys,
    pub(super) tally: Tally,
    /// Wakes the keeper's task to look at the store.
    pub(super) look: Notify,
    pub(super) watchlist: Watchlist,
    pub(super) held: Mutex<Option<Held>>,
    view: watch::Sender<Option<Arc<Ring>>>,
    generation: watch::Sender<Option<u64>>,
    /// The version of which a peer was last found to hold another ring, so that it is told once.
    conflicted: Mutex<Option<Version>>,
    incarnations: Mutex<Vec<u64>>,
    failure: watch::Sender<Option<KeeperError>>,
    reach: Mutex<StoreReach>,
    /// Whether the store's notices arrive. Who finds out logs it.
    pub(super) notices: AtomicBool,
}

// === impl Board ===

impl Board {
    pub(super) fn new(service: &str, keys: RecordKeys) -> Self {
        Self {
            service: service.to_owned(),
            keys,
            tally: Tally::default(),
            look: Notify::new(),
            watchlist: Watchlist::new(),
            held: Mutex::default(),
            view: watch::Sender::new(None),
            generation: watch::Sender::new(None),
            conflicted: Mutex::default(),
            incarnations: Mutex::default(),
            failure: watch::Sender::new(None),
            reach: Mutex::new(StoreReach::Unreachable { since: Instant::now(), code: "store_not_tried" }),
            notices: AtomicBool::new(true),
        }
    }

    pub(super) fn held(&self) -> Option<Held> {
        self.held.lock().clone()
    }

    pub(super) fn view(&self) -> watch::Receiver<Option<Arc<Ring>>> {
        self.view.subscribe()
    }

    pub(super) fn generation(&self) -> watch::Receiver<Option<u64>> {
        self.generation.subscribe()
    }

    pub(super) fn failure(&self) -> watch::Receiver<Option<KeeperError>> {
        self.failure.subscribe()
    }

    pub(super) fn status(&self) -> KeeperStatus {
        KeeperStatus {
            store: *self.reach.lock(),
            notices: self.notices.load(Ordering::Relaxed),
            counts: self.tally.counts(),
        }
    }

    /// Makes `held` the view, if it is newer. Of the same ring under another seal only the seal is taken.
    pub(super) fn adopt(&self, new: Held) -> Offered {
        let mut held = self.held.lock();
        let term_before = held.as_ref().map(|held| held.ring.version().term);
        if let Some(old) = &mut *held {
            if new.ring.version() < old.ring.version() {
                return Offered::Older;
            }
            if new.ring.version() == old.ring.version() {
                if new.ring != old.ring {
                    return Offered::Conflict;
                }
                old.record = new.record;
                return Offered::Known;
            }
        }
        let ring = new.ring.clone();
        tracing::debug!(service = %self.service, version = %ring.version(), signature = %ring.signature(), "new view");
        *held = Some(new);
        // Under the lock, so that views are told in the order in which they were taken.
        self.view.send_replace(Some(ring.clone()));
        self.watchlist.follow(&self.service, &ring, term_before);
        Offered::Adopted
    }

    /// Takes a record that a peer offers, if it is signed and newer.
    pub(super) fn offer(&self, record: &[u8]) -> Result<Offered, RecordError> {
        if let Some(known) = self.compare(record) {
            return Ok(known);
        }
        let opened = Record::open(record, &self.service, self.keys.opening());
        let ring = opened.inspect_err(|_| count(&self.tally.ignored_records))?;
        let offered = self.adopt(Held { ring: Arc::new(ring), record: Bytes::copy_from_slice(record) });
        match offered {
            Offered::Adopted => count(&self.tally.offers_adopted),
            Offered::Conflict => {
                count(&self.tally.conflicts);
                let version = self.held().map(|held| held.ring.version());
                if std::mem::replace(&mut *self.conflicted.lock(), version) != version {
                    tracing::warn!(service = %self.service, "a peer holds another ring of the same version");
                }
                self.look.notify_one();
            }
            Offered::Known | Offered::Older => {}
        }
        Ok(offered)
    }

    /// What a record is by its header alone, where that is enough: most offers bring nothing new.
    fn compare(&self, record: &[u8]) -> Option<Offered> {
        let held = self.held.lock();
        let held = held.as_ref()?;
        if held.record == record {
            return Some(Offered::Known);
        }
        let older = Record::head(record)?.version < held.ring.version();
        older.then_some(Offered::Older)
    }

    /// The generations that this process registered under, or is about to, the last ones.
    pub(super) fn incarnations(&self) -> Vec<u64> {
        self.incarnations.lock().clone()
    }

    pub(super) fn add_incarnation(&self, generation: u64) {
        let mut incarnations = self.incarnations.lock();
        if incarnations.len() == INCARNATIONS_MAX {
            incarnations.remove(0);
        }
        incarnations.push(generation);
    }

    pub(super) fn set_generation(&self, generation: Option<u64>) {
        self.generation.send_if_modified(|old| std::mem::replace(old, generation) != generation);
    }

    pub(super) fn fail(&self, error: KeeperError) {
        self.failure.send_replace(Some(error));
    }

    /// Notes how an operation on the store went; logs only when that changes.
    pub(super) fn note(&self, outcome: Result<(), &StoreError>) {
        let mut reach = self.reach.lock();
        let now = Instant::now();
        match (outcome, &mut *reach) {
            (Ok(()), StoreReach::Reachable { .. }) => {}
            (Ok(()), StoreReach::Unreachable { .. }) => {
                tracing::info!(service = %self.service, "the store answers");
                *reach = StoreReach::Reachable { since: now };
            }
            (Err(error), StoreReach::Unreachable { code, .. }) if *code != "store_not_tried" => {
                *code = error.code()
            }
            (Err(error), _) => {
                tracing::warn!(service = %self.service, code = error.code(), remedy = error.remedy(), "keeping the last view: {error}");
                *reach = StoreReach::Unreachable { since: now, code: error.code() };
            }
        }
        if outcome.is_err() {
            count(&self.tally.store_errors);
        }
    }
}
