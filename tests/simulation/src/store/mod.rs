//! The way to the store: the real store in memory, behind a network that delays, cuts and loses, and a process that may be
//! stopped at any point of a call.

mod log;
mod membership;

use std::sync::Arc;

use cluster::store::StoreError;
use tokio::time::{Duration, timeout};

use crate::shared::{Life, STORE, Shared, StoreHealth};

pub(crate) use self::log::LogWay;
pub(crate) use self::membership::{MembershipWay, Reaps};

/// How long a process waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// One process' connection to the store.
#[derive(Clone)]
pub(crate) struct Way {
    life: Life,
    shared: Arc<Shared>,
}

impl Way {
    /// Of this process.
    pub(crate) fn new(life: Life, shared: Arc<Shared>) -> Self {
        Self { life, shared }
    }

    /// Brings a request to the store; an error if it does not get there in time.
    async fn there(&self) -> Result<(), StoreError> {
        let place = self.life.place;
        self.shared.awake(place).await;
        if self.shared.state().net.store == StoreHealth::Gone {
            tokio::time::sleep(Duration::from_millis(1)).await;
            return self.refused().await;
        }
        self.shared.travel().await;
        let takes = self.shared.until(|net| net.open(place, STORE) && net.store != StoreHealth::Stalled);
        if timeout(PATIENCE, takes).await.is_err() {
            return self.timed_out().await;
        }
        if self.shared.state().net.store == StoreHealth::Gone { self.refused().await } else { Ok(()) }
    }

    /// Brings the answer back; an error if it does not get here in time.
    async fn back(&self) -> Result<(), StoreError> {
        let place = self.life.place;
        self.shared.travel().await;
        if timeout(PATIENCE, self.shared.until(|net| net.open(STORE, place))).await.is_err() {
            return self.timed_out().await;
        }
        self.shared.awake(place).await;
        Ok(())
    }

    async fn timed_out(&self) -> Result<(), StoreError> {
        self.shared.awake(self.life.place).await;
        Err(StoreError::TimedOut { address: "simulated".to_owned(), after_ms: 1_000 })
    }

    async fn refused(&self) -> Result<(), StoreError> {
        self.shared.awake(self.life.place).await;
        let cause = "connection refused".to_owned();
        Err(StoreError::Unreachable { address: "simulated".to_owned(), cause })
    }
}
