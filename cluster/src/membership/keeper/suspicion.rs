//! Suspicions as the keeper holds them: said by the process's links, told to the store, heard from it, and published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::board::Board;
use super::error::KeeperError;
use super::status::{StoreReach, count, count_by};
use super::worker::Worker;
use crate::chance;
use crate::membership::suspects::{Suspect, Suspects, Suspicions};
use crate::membership::{Glimpse, LeaseHolder, Pulse, Sayer};
use crate::ring::{Record, Ring};
use crate::store::StoreError;

/// In how many steps the looks for a capped lease are spread.
const SPREAD_STEPS: u64 = 64;

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

    /// The view is another now.
    pub(super) fn follow(&self, service: &str, view: &Ring, term_before: Option<u32>) {
        let mut said = self.said.lock();
        if term_before != Some(view.version().term) {
            // The ring was put back: the store has lost what it was told as well.
            said.tell_again();
        }
        self.publish(service, Some(view), &mut said);
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

// === impl Worker ===

impl Worker {
    /// Tells the store what it does not know yet; what fails now is told after the next poll.
    pub(super) async fn tell(&mut self) {
        let told = self.tell_untold().await.map_err(KeeperError::from);
        self.take(told);
    }

    pub(super) async fn tell_untold(&self) -> Result<(), StoreError> {
        let untold = self.board.watchlist.said.lock().untold();
        if untold.dead.is_empty() && untold.taken_back.is_empty() {
            return Ok(());
        }
        let by = match (&self.spec, self.generation) {
            (Some(spec), Some(generation)) => Sayer::Member(LeaseHolder { id: &spec.id, generation }),
            _ => Sayer::Observer(&self.name),
        };
        let (dead, alive) = (holders(&untold.dead), holders(&untold.taken_back));
        let capped = self.store.suspect(by, &dead, &alive).await?;
        self.board.watchlist.said.lock().told(&untold, Instant::now());
        if capped > 0 {
            self.board.tally.capped.fetch_add(capped, Ordering::Relaxed);
            let nodes: Vec<&str> = untold.dead.iter().map(|suspect| suspect.id.as_str()).collect();
            tracing::warn!(
                service = %self.board.service, ?nodes, capped,
                "most of the others cannot reach nodes: their leases end sooner"
            );
        }
        Ok(())
    }

    /// Takes in what a poll tells beside the record, before that is looked at.
    pub(super) fn heed(&mut self, pulse: &Pulse) {
        self.board.watchlist.observers.store(pulse.observers, Ordering::Relaxed);
        // All that wait for a lease to lapse need not come at the same moment.
        let spread = chance::number().unwrap_or_default() % SPREAD_STEPS;
        let spread =
            self.store.lease() / 60 * u32::try_from(spread).unwrap_or_default() / SPREAD_STEPS as u32;
        self.due_at = pulse.due.map(|due| Instant::now() + due + spread);
        let Some((stalled, mended)) = self.marks.replace((pulse.stalled, pulse.mended)) else { return };
        let service = &self.board.service;
        if pulse.stalled > stalled {
            count(&self.board.tally.stalls);
            tracing::warn!(service, "the store heard of nobody for half a lease: all leases were extended");
            // No lease is capped any more, and the store caps only when somebody says something.
            self.board.watchlist.said.lock().tell_again();
        }
        if pulse.mended > mended {
            count(&self.board.tally.mended);
            tracing::warn!(
                service,
                remedy = "see that nobody else writes keys named ringdial:*",
                "the store held something foreign in place of leases, and mended it"
            );
        }
    }

    /// Whether somebody suspects this very member.
    pub(super) fn is_suspected(&self, pulse: &Pulse) -> bool {
        let (Some(spec), Some(generation)) = (&self.spec, self.generation) else { return false };
        pulse.suspects.iter().any(|suspect| suspect.id == spec.id && suspect.generation == generation)
    }

    /// What others say counts no longer when the store has been away for a lease: renewals do not show then.
    pub(super) fn unhear(&self) {
        match self.board.status().store {
            StoreReach::Unreachable { since, .. } if since.elapsed() >= self.store.lease() => {
                self.board.with_suspicions(|said, _| said.unheard());
            }
            _ => {}
        }
    }

    /// Publishes who is suspected by the answer to a question of `asked`.
    pub(super) fn weigh(&self, pulse: &Pulse, asked: Instant) {
        let (now, lease) = (Instant::now(), self.store.lease());
        let refuted = self.board.with_suspicions(|said, view| {
            // A store that has lost the ring refutes nothing.
            let kept = match &pulse.glimpse {
                Glimpse::Record { line, .. } => Record::head(line).map(|head| head.version.term),
                Glimpse::Absent | Glimpse::WrongType => None,
            };
            if kept.is_none() || kept != view.map(|ring| ring.version().term) {
                said.tell_again();
            }
            said.heard(pulse.suspects.clone(), asked, now, lease)
        });
        count_by(&self.board.tally.refuted, refuted);
    }
}

fn holders(suspects: &[Suspect]) -> Vec<LeaseHolder<'_>> {
    suspects.iter().map(|suspect| LeaseHolder { id: &suspect.id, generation: suspect.generation }).collect()
}
