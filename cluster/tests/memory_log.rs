//! The log's conformance suite on the store in memory, on virtual time.

#![allow(clippy::unwrap_used)]

mod log;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ringdial_cluster::log::Log;
use ringdial_cluster::store::{LogCopy, MemoryStore};
use tokio::sync::watch;

use self::log::World;
use self::log::support::SERVICE;

struct Memory {
    store: MemoryStore,
    copy: Mutex<Option<LogCopy>>,
}

#[async_trait]
impl World for Memory {
    fn log(&self) -> Arc<dyn Log> {
        self.store.log(SERVICE, log::config()).unwrap()
    }

    async fn flush(&self) {
        self.store.flush();
    }

    async fn copy(&self) {
        *self.copy.lock().unwrap() = Some(self.store.copy_log(SERVICE));
    }

    async fn restore(&self) {
        self.store.restore_log(SERVICE, self.copy.lock().unwrap().as_ref().unwrap());
    }

    async fn set_answers_lost(&self, lost: bool) {
        self.store.set_answers_lost(lost);
    }
}

fn run<F>(scenario: F)
where
    F: for<'a> FnOnce(&'a dyn World) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
{
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = async { Memory { store: MemoryStore::new(), copy: Mutex::default() } };
    runtime.block_on(async { scenario(&world.await).await });
}

log_conformance!(crate::run);

#[test]
fn a_store_that_is_gone_says_so() {
    run(|_| {
        Box::pin(async {
            let store = MemoryStore::new();
            let log = store.log(SERVICE, log::config()).unwrap();
            store.set_reachable(false);
            let error = log::support::open(&*log, log::support::home("u:a")).await.unwrap_err();
            assert_eq!((error.code(), error.temporary()), ("log_unavailable", true));
            store.set_reachable(true);
            assert_eq!(log::support::touch(&*log, "u:a").await, None, "nothing was done");
            assert_eq!(store.log("no service", log::config()).err().unwrap().code(), "store_config_invalid");
        })
    });
}

#[test]
fn an_interrupted_log_is_told_of() {
    run(|_| {
        Box::pin(async {
            let store = MemoryStore::new();
            let log = store.log(SERVICE, log::config()).unwrap();
            let mut interruptions = log.interruptions();
            let copy = store.copy_log(SERVICE);
            let told = |interruptions: &mut watch::Receiver<u64>| {
                let told = interruptions.has_changed().unwrap();
                interruptions.mark_unchanged();
                told
            };
            let open = log::support::open(&*log, log::support::home("u:a")).await;
            assert!(open.is_ok() && !told(&mut interruptions), "nothing happened");
            store.set_reachable(false);
            store.set_reachable(false);
            assert!(!told(&mut interruptions), "not while it is gone");
            store.set_reachable(true);
            assert!(told(&mut interruptions), "back");
            store.set_reachable(true);
            assert!(!told(&mut interruptions), "it was not gone");
            store.flush();
            assert!(told(&mut interruptions), "flushed");
            store.restore_log(SERVICE, &copy);
            assert!(told(&mut interruptions), "restored");
            assert!(!log.interruptions().has_changed().unwrap(), "who asks now knows of all that was");
        })
    });
}
