//! Bringing view and store together: read, judge, then take the store's ring or put ours back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::status::count;
use super::worker::Worker;
use crate::chance;
use crate::membership::decide::{self, Look, Loss, Seen, Verdict};
use crate::membership::{Glimpse, Held, LeaseChange, Stored, Swapped};
use crate::store::StoreError;

/// How view and store stand to each other after one look.
pub(super) enum Settled {
    /// The store holds this ring, and the view is at least as new.
    InStore(Held),
    /// The store was changed, by us or by others: look again.
    Again,
    /// There is no ring, and somebody may yet bring one.
    Waiting,
    /// There is no ring, and this process may make one.
    Creatable,
    /// There is a record that cannot be opened and is not ours to replace.
    Foreign(&'static str),
}

// === impl Worker ===

impl Worker {
    /// Reads the whole if a glimpse shows that it is not our record. `mine` is the view from before the glimpse.
    ///
    /// Newer rings that follow each other fast are read together: a crowd of nodes that comes or goes makes a version
    /// each, and everybody would read them all. A loss is seen to at once.
    pub(super) async fn look(&mut self, mine: Option<&Held>, glimpse: &Glimpse) -> Result<(), StoreError> {
        match decide::look(mine, glimpse) {
            Look::Ours => Ok(()),
            Look::Newer if Instant::now() < self.rested_at => {
                self.noticed = true;
                Ok(())
            }
            Look::Newer | Look::Other => {
                let members = mine.map_or(0, |held| held.ring.member_count());
                self.rested_at = Instant::now() + decide::rest(members, self.store.lease());
                self.sync().await.map(drop)
            }
        }
    }

    /// Reads and settles until nothing is left to do.
    pub(super) async fn sync(&mut self) -> Result<Settled, StoreError> {
        for attempt in 0.. {
            let (_, settled) = self.read_and_settle().await?;
            match settled {
                Settled::Again => pause(attempt, self.store.lease()).await,
                settled => return Ok(settled),
            }
        }
        Ok(Settled::Again)
    }

    /// Waits for the turn to change the ring, so that a crowd does it one after the other. It is only advice: after some
    /// leases the change is tried without. A member goes on renewing its lease meanwhile.
    pub(super) async fn wait_for_turn(&mut self, leases: u32) -> Result<(), StoreError> {
        let lease = self.store.lease();
        let give_up_at = Instant::now() + leases * lease;
        let mut renew_at = Instant::now() + lease / 10;
        let mut attempt = 0;
        while !self.store.take_turn().await? && Instant::now() < give_up_at {
            pause(attempt, lease).await;
            attempt += 1;
            if self.board.generation().borrow().is_some() && Instant::now() >= renew_at {
                renew_at = Instant::now() + lease / 10;
                // Whether it still was ours shows when it is renewed next in its time.
                self.renew_once().await?;
            }
        }
        Ok(())
    }

    /// Reads once and does what is to be done about it; also gives what was read, for a swap to expect.
    pub(super) async fn read_and_settle(&mut self) -> Result<(Stored, Settled), StoreError> {
        // Held before the store is asked, see `decide::judge`.
        let mine = self.board.held();
        let stored = self.store.read().await?;
        let seen = decide::open(&stored, &self.board.service, &self.board.keys);
        if let Seen::Foreign { code } | Seen::Debris { code } = seen {
            count(&self.board.tally.ignored_records);
            if self.found.replace(code) != Some(code) {
                tracing::warn!(service = %self.board.service, code, "ignored what the store holds in place of the ring");
            }
        } else {
            self.found = None;
        }
        let may_create =
            self.may_create(mine.is_none() && matches!(seen, Seen::Absent | Seen::Debris { .. }));
        let verdict = decide::judge(mine.as_ref().map(|held| &*held.ring), &seen, may_create);
        let settled = match (verdict, seen, mine) {
            (Verdict::PutBack { term, why }, _, Some(mine)) => {
                self.put_back(&mine, term, why, &stored).await?;
                Settled::Again
            }
            (Verdict::Keep | Verdict::Adopt, Seen::Ring(ring), _) => match &stored {
                Stored::Record(record) => {
                    let held = Held { ring, record: record.clone() };
                    self.board.adopt(held.clone());
                    Settled::InStore(held)
                }
                _ => Settled::Again,
            },
            (Verdict::Create, ..) => Settled::Creatable,
            (_, Seen::Foreign { code }, _) => Settled::Foreign(code),
            _ => Settled::Waiting,
        };
        Ok((stored, settled))
    }

    /// Whether this process is to make a new ring if there is none: it is to be a member, and either nothing can have been
    /// lost or two leases have gone by in which nobody put a ring back.
    fn may_create(&mut self, absent: bool) -> bool {
        if !absent {
            self.absent_since = None;
            return false;
        }
        let since = *self.absent_since.get_or_insert_with(Instant::now);
        let waited = since.elapsed() >= 2 * self.store.lease();
        self.spec.is_some() && (waited || !self.store.absence_may_be_loss())
    }

    /// Puts our view back under a new term, with a fresh lease for each of its members.
    async fn put_back(
        &mut self,
        mine: &Held,
        term: u32,
        why: Loss,
        stored: &Stored,
    ) -> Result<(), StoreError> {
        if why == Loss::Conflict {
            count(&self.board.tally.conflicts);
        }
        let held = Held::seal(mine.ring.with_term(term), &self.board.keys);
        let leases = LeaseChange::Reset { holders: &held.lease_holders() };
        if self.store.swap(stored, &held.record, leases).await? == Swapped::Done {
            count(&self.board.tally.putbacks);
            let (from, to) = (mine.ring.version(), held.ring.version());
            tracing::warn!(service = %self.board.service, ?why, %from, %to, "put the ring back into the store");
            self.board.adopt(held);
        }
        Ok(())
    }
}

/// A short random pause before the next attempt at what others are at too, longer the more there were: a thirtieth of a
/// lease at most.
pub(super) async fn pause(attempt: u32, lease: Duration) {
    let mut byte = [0; 1];
    // Without randomness it takes longer, and still ends.
    let random = chance::fill(&mut byte).map_or(128, |()| u32::from(byte[0]));
    sleep(lease / 300 * attempt.saturating_add(1).min(10) * random / 255).await;
}
