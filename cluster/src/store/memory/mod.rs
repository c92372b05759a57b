//! The store in memory, shared by the services of one process. Its clock is tokio's, so that tests can pause it.
//!
//! It lives and dies with its process, so an absent record was never lost. Tests and simulations can still play a store
//! that fails: [`MemoryStore::flush`], [`MemoryStore::overwrite`], [`MemoryStore::set_reachable`],
//! [`MemoryStore::set_answers_lost`], [`MemoryStore::restore_log`].

mod leases;
mod log;
mod membership;
mod suspected;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use self::leases::Leases;
use self::log::{MemoryLog, ServiceLog};
use self::membership::MemoryMembership;
use crate::maps::HashMap;

use super::StoreError;
use crate::log::{Log, LogConfig};
use crate::membership::{MembershipStore, Stored};
use crate::ring::is_valid_service;

/// A store in this process's memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// The wall clock at `started`, in milliseconds; from there tokio's clock counts.
    epoch_ms: u64,
    started: Instant,
    reachable: AtomicBool,
    flushed: AtomicBool,
    answers_lost: AtomicBool,
    /// For all logs.
    interruptions: watch::Sender<u64>,
    services: Mutex<HashMap<String, Arc<Mutex<Service>>>>,
    logs: Mutex<HashMap<String, Arc<Mutex<ServiceLog>>>>,
}

/// A service's log as it was at some time.
#[derive(Clone)]
pub struct LogCopy(ServiceLog);

/// What is kept for one service.
struct Service {
    stored: Stored,
    leases: Leases,
    notices: watch::Sender<u64>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty store, its clock set to the wall clock.
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::with_clock_at(u64::try_from(wall.as_millis()).unwrap_or_default())
    }

    /// An empty store whose clock says `epoch_ms` (milliseconds since 1970) now: for runs that must repeat exactly.
    pub fn with_clock_at(epoch_ms: u64) -> Self {
        let shared = Shared {
            epoch_ms,
            started: Instant::now(),
            reachable: AtomicBool::new(true),
            flushed: AtomicBool::new(false),
            answers_lost: AtomicBool::new(false),
            interruptions: watch::Sender::new(0),
            services: Mutex::default(),
            logs: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The membership of a service, with leases of this length.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `service` cannot name a service.
    pub fn membership(&self, service: &str, lease: Duration) -> Result<Arc<dyn MembershipStore>, StoreError> {
        if !is_valid_service(service) {
            return Err(StoreError::Invalid { cause: format!("{service:?} cannot name a service") });
        }
        let kept = self.shared.service(service);
        Ok(Arc::new(MemoryMembership::new(self.shared.clone(), kept, service, lease)))
    }

    /// The log of a service.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `service` cannot name a service.
    pub fn log(&self, service: &str, config: LogConfig) -> Result<Arc<dyn Log>, StoreError> {
        if !is_valid_service(service) {
            return Err(StoreError::Invalid { cause: format!("{service:?} cannot name a service") });
        }
        Ok(Arc::new(MemoryLog::new(self.shared.clone(), self.shared.log(service), service, config)))
    }

    /// A service's log as it is now.
    pub fn copy_log(&self, service: &str) -> LogCopy {
        LogCopy(self.shared.log(service).lock().clone())
    }

    /// Puts a service's log back to an earlier state, as a lagging replica does that takes over. All that anybody is told
    /// is that logs were interrupted.
    pub fn restore_log(&self, service: &str, copy: &LogCopy) {
        *self.shared.log(service).lock() = copy.0.clone();
        self.shared.interrupted();
    }

    /// Whether the log's operations are carried out from now on without an answer, or with one again.
    pub fn set_answers_lost(&self, lost: bool) {
        self.shared.answers_lost.store(lost, Ordering::Relaxed);
    }

    /// Forgets everything, as a store does that restarts without its data. All that anybody is told is that logs were
    /// interrupted.
    pub fn flush(&self) {
        self.shared.flushed.store(true, Ordering::Relaxed);
        for service in self.shared.services.lock().values() {
            let mut service = service.lock();
            service.stored = Stored::Absent;
            service.leases = Leases::default();
        }
        for log in self.shared.logs.lock().values() {
            *log.lock() = ServiceLog::default();
        }
        self.shared.interrupted();
    }

    /// Replaces what is stored for a service, as somebody does who can write the store. Tells nobody.
    pub fn overwrite(&self, service: &str, stored: Stored) {
        self.shared.service(service).lock().stored = stored;
    }

    /// Whether operations succeed from now on, or fail as with a store that is gone.
    pub fn set_reachable(&self, reachable: bool) {
        let was = self.shared.reachable.swap(reachable, Ordering::Relaxed);
        if reachable && !was {
            self.shared.interrupted();
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Shared ===

impl Shared {
    fn now_ms(&self) -> u64 {
        self.epoch_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default()
    }

    fn service(&self, name: &str) -> Arc<Mutex<Service>> {
        self.services
            .lock()
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Mutex::new(Service::new())))
            .clone()
    }

    fn log(&self, service: &str) -> Arc<Mutex<ServiceLog>> {
        self.logs.lock().entry(service.to_owned()).or_default().clone()
    }

    fn interrupted(&self) {
        self.interruptions.send_modify(|count| *count += 1);
    }

    /// Fails while answers are set to be lost.
    fn answer(&self) -> Result<(), StoreError> {
        if !self.answers_lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(StoreError::TimedOut { address: "memory".to_owned(), after_ms: 0 })
    }

    /// Fails while the store is set to be gone.
    fn reach(&self) -> Result<(), StoreError> {
        if self.reachable.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(StoreError::Unreachable { address: "memory".to_owned(), cause: "set to be gone".to_owned() })
    }
}

// === impl Service ===

impl Service {
    fn new() -> Self {
        Self { stored: Stored::Absent, leases: Leases::default(), notices: watch::Sender::new(0) }
    }

    /// Stores a record and tells everybody.
    fn store(&mut self, record: Bytes) {
        self.stored = Stored::Record(record);
        self.tell();
    }

    /// Tells everybody to look.
    fn tell(&self) {
        self.notices.send_modify(|count| *count += 1);
    }
}
