//! Membership over a [`Way`], and the check of its guard: at most half of the members are reaped within two leases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::membership::{
    LeaseChange, LeaseHolder, MembershipStore, Pulse, Renewal, Sayer, Stored, Swapped,
};
use cluster::store::StoreError;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Way;
use crate::shared::Ear;

/// The reaps of a service: when, how many, of how many.
pub(crate) type Reaps = Arc<Mutex<Vec<(u64, u64, u64)>>>;

/// The membership of the service as one process reaches it.
pub(crate) struct MembershipWay {
    way: Way,
    inner: Arc<dyn MembershipStore>,
    reaps: Reaps,
}

impl MembershipWay {
    /// Over this way; all processes share `reaps`.
    pub(crate) fn new(way: Way, inner: Arc<dyn MembershipStore>, reaps: Reaps) -> Self {
        Self { way, inner, reaps }
    }

    async fn call<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.way.there().await?;
        let done = operation.await?;
        self.way.back().await?;
        Ok(done)
    }

    /// Looks whether the guard held: within two leases at most half of the members before the first reap, rounded up.
    fn reaped(&self, count: u64, members: u64) {
        let shared = &self.way.shared;
        let (now, lease) =
            (shared.now_ms(), u64::try_from(self.inner.lease().as_millis()).unwrap_or(u64::MAX));
        let mut reaps = self.reaps.lock();
        reaps.push((now, count, members));
        let lately: Vec<_> = reaps.iter().filter(|(at, ..)| now - at < 2 * lease).collect();
        let sum: u64 = lately.iter().map(|(_, count, _)| count).sum();
        let before = lately.first().map_or(members, |(_, _, members)| *members);
        drop(lately);
        shared.note(format_args!("{} reaped {count} of {members}", self.way.life));
        if sum > before.div_ceil(2) {
            shared.fail(format_args!("{sum} of {before} members were reaped within two leases"));
        }
    }
}

#[async_trait]
impl MembershipStore for MembershipWay {
    fn service(&self) -> &str {
        self.inner.service()
    }

    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    fn absence_may_be_loss(&self) -> bool {
        self.inner.absence_may_be_loss()
    }

    async fn read(&self) -> Result<Stored, StoreError> {
        self.call(self.inner.read()).await
    }

    async fn poll(&self, observer: Option<&str>) -> Result<Pulse, StoreError> {
        self.call(self.inner.poll(observer)).await
    }

    async fn renew(&self, holder: LeaseHolder<'_>) -> Result<Renewal, StoreError> {
        self.call(self.inner.renew(holder)).await
    }

    async fn next_generation(&self, above: u64) -> Result<u64, StoreError> {
        self.call(self.inner.next_generation(above)).await
    }

    async fn lapsed(&self, line: &[u8], members: &[LeaseHolder<'_>]) -> Result<Vec<String>, StoreError> {
        self.call(self.inner.lapsed(line, members)).await
    }

    async fn suspect(
        &self,
        by: Sayer<'_>,
        dead: &[LeaseHolder<'_>],
        alive: &[LeaseHolder<'_>],
    ) -> Result<u64, StoreError> {
        self.call(self.inner.suspect(by, dead, alive)).await
    }

    async fn take_turn(&self) -> Result<bool, StoreError> {
        self.call(self.inner.take_turn()).await
    }

    async fn swap(
        &self,
        expected: &Stored,
        record: &Bytes,
        leases: LeaseChange<'_>,
    ) -> Result<Swapped, StoreError> {
        self.call(async {
            let swapped = self.inner.swap(expected, record, leases).await?;
            if let (Swapped::Done, LeaseChange::Reap { ids, members }) = (swapped, leases) {
                self.reaped(ids.len() as u64, members);
            }
            Ok(swapped)
        })
        .await
    }

    fn notices(&self) -> watch::Receiver<u64> {
        self.way.shared.listen(Ear::Notices, self.way.life.place)
    }
}
