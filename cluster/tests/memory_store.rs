//! The conformance suite on the store in memory, on virtual time.

#![allow(clippy::unwrap_used)]

mod conformance;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdial_cluster::membership::{MembershipStore, Stored};
use ringdial_cluster::store::MemoryStore;

use self::conformance::World;

struct Memory(MemoryStore);

const LEASE: Duration = Duration::from_secs(3);

#[async_trait]
impl World for Memory {
    fn lease(&self) -> Duration {
        LEASE
    }

    fn store(&self, service: &str) -> Arc<dyn MembershipStore> {
        self.0.membership(service, LEASE).unwrap()
    }

    async fn flush(&self) {
        self.0.flush();
    }

    async fn overwrite(&self, service: &str, stored: Stored) {
        self.0.overwrite(service, stored);
    }

    async fn set_answering(&self, answering: bool) {
        self.0.set_reachable(answering);
    }
}

fn run<F>(scenario: F)
where
    F: for<'a> FnOnce(&'a dyn World) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
{
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { scenario(&Memory(MemoryStore::new())).await });
}

conformance!(crate::run);
