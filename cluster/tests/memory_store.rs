//! The conformance suite on the store in memory, on virtual time.

#![allow(clippy::unwrap_used)]

mod conformance;
#[path = "memory_store/logged.rs"]
mod logged;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdial_cluster::membership::{MembershipStore, Stored};
use ringdial_cluster::store::MemoryStore;
use tokio::time::{Instant, sleep};

use self::conformance::World;
use self::conformance::support::Process;

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
    run_on(async { scenario(&Memory(MemoryStore::new())).await });
}

/// Runs on virtual time, on this thread.
fn run_on(scenario: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scenario);
}

conformance!(crate::run);

/// Nobody waits for the next poll: all look when the capped lease has lapsed.
#[test]
fn a_member_that_most_suspect_is_out_within_four_tenths_of_a_lease() {
    run(|world| {
        Box::pin(async move {
            for offset in [0, 50, 110, 170, 230, 290] {
                let others = [Process::node(world, "a").await, Process::node(world, "b").await];
                let dead = Process::node(world, "c").await;
                others[0].sees(&["a", "b", "c"]).await;
                sleep(Duration::from_millis(offset)).await;
                let generation = dead.generation().unwrap();
                drop(dead);
                let died = Instant::now();
                others.iter().for_each(|process| process.keeper.suspect("c", generation));
                for process in &others {
                    process.sees(&["a", "b"]).await;
                }
                assert!(died.elapsed() < LEASE * 4 / 10, "{:?}", died.elapsed());
                // Half of the members may be taken out within two leases.
                sleep(2 * LEASE).await;
                for process in others {
                    process.keeper.leave().await.unwrap();
                }
            }
        })
    });
}
