//! Registering, leaving and draining: changes of the ring by the member itself, each a compare-and-set that the loser of a
//! race tries again on what it then reads.

use super::MemberSpec;
use super::error::KeeperError;
use super::status::count;
use super::sync::Settled;
use super::worker::Worker;
use crate::membership::{Held, LeaseChange, LeaseHolder, Stored, Swapped};
use crate::ring::{Member, MemberState, Ring, RingKey};
use crate::store::StoreError;

// === impl Worker ===

impl Worker {
    /// Registers under a new generation. Done when the answer is [`Settled::InStore`]; otherwise there is no ring to
    /// register in.
    pub(super) async fn register(&mut self) -> Result<Settled, KeeperError> {
        loop {
            self.wait_for_turn(10).await?;
            let (stored, settled) = self.read_and_settle().await?;
            let (base, new) = match settled {
                Settled::InStore(held) => ((*held.ring).clone(), false),
                Settled::Creatable => (self.genesis()?, true),
                Settled::Again => continue,
                settled => return Ok(settled),
            };
            let Some(spec) = self.spec.clone() else { return Ok(Settled::Again) };
            if let Some(held) = self.try_register(&spec, &stored, &base, new).await? {
                self.generation = self.attempted.take();
                self.board.set_generation(self.generation);
                self.hindered = None;
                count(&self.board.tally.registrations);
                tracing::info!(
                    service = %self.board.service, node = %spec.id, generation = self.generation,
                    version = %held.ring.version(), "registered"
                );
                return Ok(Settled::InStore(held));
            }
        }
    }

    /// One attempt on the ring `base` that was read as `stored`. `None` if the race was lost.
    async fn try_register(
        &mut self,
        spec: &MemberSpec,
        stored: &Stored,
        base: &Ring,
        new: bool,
    ) -> Result<Option<Held>, KeeperError> {
        let present = base.member(&spec.id);
        if let (Some(present), Stored::Record(record)) = (present, stored) {
            // An earlier attempt of ours succeeded without our being told.
            if Some(present.generation) == self.attempted {
                return Ok(Some(Held { ring: base.clone().into(), record: record.clone() }));
            }
            if self.generation.is_some_and(|generation| present.generation > generation) {
                return Err(KeeperError::Replaced { id: spec.id.clone() });
            }
        }
        let generation = self.issue_generation(base).await?;
        let next = base.join(member(spec, generation))?;
        let next = if self.draining { next.drain(&spec.id) } else { next };
        let held = Held::seal(next, &self.board.keys);
        let holder = LeaseHolder { id: &spec.id, generation };
        let elsewhere = |present: &Member| present.url != spec.url || present.peer != spec.peer;
        let leases = match new {
            true => LeaseChange::Reset { holders: &[holder] },
            false => LeaseChange::Grant { holder, only_lapsed: present.is_some_and(elsewhere) },
        };
        match (self.store.swap(stored, &held.record, leases).await?, present) {
            (Swapped::Done, _) => {
                self.board.adopt(held.clone());
                Ok(Some(held))
            }
            (Swapped::Refused, Some(present)) => Err(KeeperError::IdInUse {
                id: spec.id.clone(),
                url: present.url.clone(),
                peer: present.peer.clone(),
            }),
            _ => Ok(None),
        }
    }

    /// The generation to register under: the same one for all attempts of a registration, unless a ring has come up that
    /// knows a higher one.
    async fn issue_generation(&mut self, base: &Ring) -> Result<u64, StoreError> {
        let highest =
            base.members().map(|member| member.generation).max().max(self.generation).unwrap_or_default();
        if let Some(attempted) = self.attempted.filter(|attempted| *attempted > highest) {
            return Ok(attempted);
        }
        let generation = self.store.next_generation(highest).await?;
        self.attempted = Some(generation);
        // Before anybody can read it in the ring.
        self.board.add_incarnation(generation);
        Ok(generation)
    }

    fn genesis(&self) -> Result<Ring, KeeperError> {
        let key = RingKey::random()?;
        Ok(Ring::genesis(&self.board.service, key, self.policy))
    }

    /// Takes this member out of the ring and ends its lease.
    pub(super) async fn leave(&mut self) -> Result<(), KeeperError> {
        let Some(spec) = self.spec.take() else { return Ok(()) };
        self.board.set_generation(None);
        let give_up_at = self.give_up_at();
        loop {
            match self.try_leave(&spec.id).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(cause) => self.bear(cause, give_up_at).await?,
            }
        }
    }

    /// Leaves, should a registration that was cut short have come through.
    pub(super) async fn withdraw(&mut self) {
        if self.attempted.or(self.generation).is_none() {
            return;
        }
        if let Err(error) = self.leave().await {
            tracing::warn!(
                code = error.code(),
                "could not take the registration back, its lease will lapse: {error}"
            );
        }
    }

    /// Whether it is out. A younger incarnation of the id is left in.
    async fn try_leave(&mut self, id: &str) -> Result<bool, StoreError> {
        self.wait_for_turn(1).await?;
        let (stored, settled) = self.read_and_settle().await?;
        let held = match settled {
            Settled::InStore(held) => held,
            Settled::Again => return Ok(false),
            _ => return Ok(true),
        };
        let ours = |member: &Member| [self.generation, self.attempted].contains(&Some(member.generation));
        if !held.ring.member(id).is_some_and(ours) {
            return Ok(true);
        }
        self.change(&stored, held.ring.leave(&[id]), LeaseChange::End { id }).await
    }

    /// Gives up this member's slots, and goes on trying whatever comes of it now.
    pub(super) async fn drain(&mut self) -> Result<(), KeeperError> {
        self.draining = true;
        let give_up_at = self.give_up_at();
        loop {
            match self.try_drain().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(KeeperError::Store { cause, .. }) => self.bear(cause, give_up_at).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether it is draining, or is no member.
    pub(super) async fn try_drain(&mut self) -> Result<bool, KeeperError> {
        let Some(spec) = &self.spec else { return Ok(true) };
        let id = spec.id.clone();
        let active = |ring: &Ring| ring.member(&id).is_some_and(|member| member.state == MemberState::Active);
        if self.board.held().is_none_or(|held| !active(&held.ring)) {
            return Ok(true);
        }
        self.wait_for_turn(1).await?;
        let (stored, settled) = self.read_and_settle().await?;
        match settled {
            Settled::InStore(held) if active(&held.ring) => {
                Ok(self.change(&stored, held.ring.drain(&id), LeaseChange::Keep).await?)
            }
            Settled::Again => Ok(false),
            _ => Ok(true),
        }
    }

    /// Gives up the slots of any member. `false` if there is no such member.
    pub(super) async fn drain_member(&mut self, id: &str) -> Result<bool, KeeperError> {
        let give_up_at = self.give_up_at();
        loop {
            match self.try_drain_member(id).await {
                Ok(Some(known)) => return Ok(known),
                Ok(None) => {}
                Err(cause) => self.bear(cause, give_up_at).await?,
            }
        }
    }

    /// Whether there is such a member; it is draining then. `None` if the race was lost.
    async fn try_drain_member(&mut self, id: &str) -> Result<Option<bool>, StoreError> {
        self.wait_for_turn(1).await?;
        let (stored, settled) = self.read_and_settle().await?;
        let held = match settled {
            Settled::InStore(held) => held,
            Settled::Again => return Ok(None),
            _ => return Ok(Some(false)),
        };
        match held.ring.member(id).map(|member| member.state) {
            None => Ok(Some(false)),
            Some(MemberState::Draining) => Ok(Some(true)),
            Some(MemberState::Active) => {
                let done = self.change(&stored, held.ring.drain(id), LeaseChange::Keep).await?;
                if done {
                    tracing::info!(service = %self.board.service, node = id, "draining, as was asked for");
                }
                Ok(done.then_some(true))
            }
        }
    }

    /// Whether the view says that this incarnation of this member drains.
    pub(super) fn is_drained(&self) -> bool {
        let (Some(spec), Some(held)) = (&self.spec, self.board.held()) else { return false };
        held.ring.member(&spec.id).is_some_and(|member| {
            member.state == MemberState::Draining && Some(member.generation) == self.generation
        })
    }

    /// Whether the ring `next` took the place of `stored`; if so it is the view.
    pub(super) async fn change(
        &mut self,
        stored: &Stored,
        next: Ring,
        leases: LeaseChange<'_>,
    ) -> Result<bool, StoreError> {
        let held = Held::seal(next, &self.board.keys);
        let done = self.store.swap(stored, &held.record, leases).await? == Swapped::Done;
        if done {
            self.board.adopt(held);
        }
        Ok(done)
    }
}

fn member(spec: &MemberSpec, generation: u64) -> Member {
    Member {
        id: spec.id.clone(),
        generation,
        url: spec.url.clone(),
        peer: spec.peer.clone(),
        weight: spec.weight,
        state: MemberState::Active,
    }
}
