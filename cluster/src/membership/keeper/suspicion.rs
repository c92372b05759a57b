//! Suspicions as the keeper holds them: said by the process's links, told to the store, heard from it, and published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::board::Board;
use super::status::count;
use crate::membership::suspects::{Suspect, Suspects, Suspicions};
use crate::ring::Ring;

/// What the keeper's task and its handles share of suspicions.
pub(super) struct Watchlist {
    pub(super) said: Mutex<Suspicions>,
    /// Wakes the keeper's task to tell the store.
    pub(super) tell: Notify,
    pub(super) observers: AtomicU64,
    suspects: watch::Sender<Arc<Suspects>>,
}

// === impl Watchlist ===

impl Watchlist {
    pub(super) fn new() -> Self {
        Self {
            said: Mutex::default(),
            tell: Notify::new(),
            observers: AtomicU64::new(1),
            suspects: watch::Sender::default(),
        }
    }

    pub(super) fn suspects(&self) -> watch::Receiver<Arc<Suspects>> {
        self.suspects.subscribe()
    }

    /// Publishes who of the members of `view` is suspected, should that have changed. Called under the lock of the view.
    pub(super) fn publish(&self, service: &str, view: Option<&Ring>, said: &mut Suspicions) {
        let now = said.of(view);
        self.suspects.send_if_modified(|before| {
            for (node, generation) in now.newer_than(before) {
                tracing::warn!(service, node, generation, "a node seems dead: lookups pass over it");
            }
            for (node, generation) in before.newer_than(&now) {
                tracing::info!(service, node, generation, "a node is suspected no longer");
            }
            let changed = now != **before;
            if changed {
                *before = Arc::new(now);
            }
            changed
        });
    }
}

// === impl Board ===

impl Board {
    /// A member seems dead.
    pub(super) fn suspect(&self, id: &str, generation: u64) {
        self.with_suspicions(|said, view| {
            let suspect = Suspect { id: id.to_owned(), generation };
            let known = view.and_then(|ring| ring.member(id)).is_some_and(|it| it.generation == generation);
            if known && said.suspect(suspect, Instant::now()) {
                count(&self.tally.suspicions);
                self.watchlist.tell.notify_one();
            }
        });
    }

    /// It does not after all.
    pub(super) fn trust(&self, id: &str, generation: u64) {
        self.with_suspicions(|said, _| {
            if said.trust(&Suspect { id: id.to_owned(), generation }) {
                self.watchlist.tell.notify_one();
            }
        });
    }

    /// Observers that the store heard of lately; at least 1.
    pub(super) fn observers(&self) -> u64 {
        self.watchlist.observers.load(Ordering::Relaxed).max(1)
    }

    /// Does something to what is said, then publishes who is suspected.
    pub(super) fn with_suspicions<T>(&self, act: impl FnOnce(&mut Suspicions, Option<&Ring>) -> T) -> T {
        let held = self.held.lock();
        let view = held.as_ref().map(|held| &*held.ring);
        let mut said = self.watchlist.said.lock();
        let done = act(&mut said, view);
        self.watchlist.publish(&self.service, view, &mut said);
        done
    }
}
