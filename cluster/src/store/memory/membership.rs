//! The membership of one service in memory: each operation is one look under the lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::{Service, Shared};
use crate::membership::{
    Glimpse, LeaseChange, LeaseHolder, MembershipStore, Pulse, Renewal, Sayer, Stored, Swapped,
};
use crate::store::StoreError;

pub(super) struct MemoryMembership {
    shared: Arc<Shared>,
    kept: Arc<Mutex<Service>>,
    service: String,
    lease: Duration,
}

// === impl MemoryMembership ===

impl MemoryMembership {
    pub(super) fn new(
        shared: Arc<Shared>,
        kept: Arc<Mutex<Service>>,
        service: &str,
        lease: Duration,
    ) -> Self {
        Self { shared, kept, service: service.to_owned(), lease }
    }

    /// The service's state, the time and the lease's length. Yields first, so that concurrent callers interleave here
    /// as they do with a store that is elsewhere.
    async fn enter(&self) -> Result<(MutexGuard<'_, Service>, u64, u64), StoreError> {
        tokio::task::yield_now().await;
        self.shared.reach()?;
        let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX / 4);
        Ok((self.kept.lock(), self.shared.now_ms(), lease))
    }
}

#[async_trait]
impl MembershipStore for MemoryMembership {
    fn service(&self) -> &str {
        &self.service
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    fn absence_may_be_loss(&self) -> bool {
        self.shared.flushed.load(Ordering::Relaxed)
    }

    async fn read(&self) -> Result<Stored, StoreError> {
        let (kept, ..) = self.enter().await?;
        Ok(kept.stored.clone())
    }

    async fn poll(&self, observer: Option<&str>) -> Result<Pulse, StoreError> {
        let (mut kept, now, lease) = self.enter().await?;
        kept.leases.alive(now, lease);
        let (leases, lapsed) = kept.leases.count(now);
        Ok(Pulse {
            glimpse: glimpse(&kept.stored),
            leases,
            lapsed,
            suspects: kept.leases.suspects(),
            due: kept.leases.due(now).map(Duration::from_millis),
            observers: kept.leases.observers(observer, now, lease),
            stalled: kept.leases.stalled(),
            mended: 0,
        })
    }

    async fn renew(&self, holder: LeaseHolder<'_>) -> Result<Renewal, StoreError> {
        let (mut kept, now, lease) = self.enter().await?;
        kept.leases.alive(now, lease);
        let held = kept.leases.renew(holder, now, lease);
        if held && kept.leases.clear(holder.id) {
            kept.tell();
        }
        Ok(Renewal { held, glimpse: glimpse(&kept.stored) })
    }

    async fn next_generation(&self, above: u64) -> Result<u64, StoreError> {
        let (mut kept, now, _) = self.enter().await?;
        Ok(kept.leases.next_generation(above, now))
    }

    async fn lapsed(&self, line: &[u8], members: &[LeaseHolder<'_>]) -> Result<Vec<String>, StoreError> {
        let (mut kept, now, lease) = self.enter().await?;
        let stalled = kept.leases.alive(now, lease);
        if !matches!(&kept.stored, Stored::Record(record) if record.starts_with(line)) {
            return Ok(Vec::new());
        }
        kept.leases.repair(members, now, lease);
        if stalled {
            return Ok(Vec::new());
        }
        Ok(kept.leases.claim_lapsed(members.len() as u64, now, lease))
    }

    async fn suspect(
        &self,
        by: Sayer<'_>,
        dead: &[LeaseHolder<'_>],
        alive: &[LeaseHolder<'_>],
    ) -> Result<u64, StoreError> {
        let (mut kept, now, lease) = self.enter().await?;
        kept.leases.alive(now, lease);
        let (mut told, mut capped) = (false, 0);
        for suspect in dead {
            let said = kept.leases.suspect(by, *suspect, now, lease);
            told |= said.newly || said.capped;
            capped += u64::from(said.capped);
        }
        for suspect in alive {
            told |= kept.leases.trust(by, *suspect);
        }
        if told {
            kept.tell();
        }
        Ok(capped)
    }

    async fn take_turn(&self) -> Result<bool, StoreError> {
        let (mut kept, now, lease) = self.enter().await?;
        Ok(kept.leases.take_turn(now, lease))
    }

    async fn swap(
        &self,
        expected: &Stored,
        record: &Bytes,
        leases: LeaseChange<'_>,
    ) -> Result<Swapped, StoreError> {
        let (mut kept, now, lease) = self.enter().await?;
        kept.leases.alive(now, lease);
        if kept.stored != *expected {
            return Ok(Swapped::Changed);
        }
        match leases {
            LeaseChange::Keep => {}
            LeaseChange::Grant { holder, only_lapsed } => {
                if only_lapsed && kept.leases.is_running(holder.id, now) {
                    return Ok(Swapped::Refused);
                }
                kept.leases.grant(holder, now, lease);
            }
            LeaseChange::End { id } => kept.leases.end(id),
            LeaseChange::Reap { ids, members } => {
                if !kept.leases.reap(ids, members, now, lease) {
                    return Ok(Swapped::Refused);
                }
            }
            LeaseChange::Reset { holders } => kept.leases.reset(holders, now, lease),
        }
        kept.leases.end_turn();
        kept.store(record.clone());
        Ok(Swapped::Done)
    }

    fn notices(&self) -> watch::Receiver<u64> {
        self.kept.lock().notices.subscribe()
    }
}

fn glimpse(stored: &Stored) -> Glimpse {
    match stored {
        Stored::Absent => Glimpse::Absent,
        Stored::Record(record) => Glimpse::of_record(record),
        Stored::Oversized { bytes } => Glimpse::Record { line: Bytes::new(), bytes: *bytes },
        Stored::WrongType => Glimpse::WrongType,
    }
}
