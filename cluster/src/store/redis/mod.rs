//! The store on Redis: the one place that speaks to it. Redis 7, a single primary, plain or TLS.
//!
//! [`link`] keeps one connection up and its subscriptions alive, [`scripts`] are the atomic operations, [`membership`]
//! and [`log`] give them the shapes of the traits. Keys and channel of a service share the hash tag `{service}`, those of
//! a topic `{service/slot}`.

mod config;
mod failure;
mod link;
mod log;
mod membership;
mod scripts;
mod signals;

use std::sync::Arc;
use std::time::Duration;

pub use self::config::RedisConfig;
use self::link::Link;
use self::log::RedisLog;
use self::membership::RedisMembership;
use super::StoreError;
use crate::log::{Log, LogConfig};
use crate::membership::MembershipStore;
use crate::ring::is_valid_service;

/// A Redis server, seen through one connection that is made again for as long as this value or anything made from it
/// lives. Clones share it.
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    config: RedisConfig,
}

// === impl RedisStore ===

impl RedisStore {
    /// Begins to connect, within a tokio runtime, and returns at once: operations wait for the first attempt and fail
    /// while there is no connection.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] and [`StoreError::Unsupported`] where the configuration cannot work.
    pub fn connect(config: &RedisConfig) -> Result<Self, StoreError> {
        Ok(Self { link: Arc::new(Link::start(config)?), config: config.clone() })
    }

    /// The membership of a service, with leases of this length.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `service` cannot name a service.
    pub fn membership(&self, service: &str, lease: Duration) -> Result<Arc<dyn MembershipStore>, StoreError> {
        if !is_valid_service(service) {
            return Err(StoreError::Invalid { cause: format!("{service:?} cannot name a service") });
        }
        Ok(Arc::new(RedisMembership::new(self.link.clone(), service, lease)))
    }

    /// The log of a service, on a connection of its own: however much is appended and read, no lease waits behind it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `service` cannot name a service.
    pub fn log(&self, service: &str, config: LogConfig) -> Result<Arc<dyn Log>, StoreError> {
        if !is_valid_service(service) {
            return Err(StoreError::Invalid { cause: format!("{service:?} cannot name a service") });
        }
        let writes = Link::start(&self.config)?;
        let wait = self.config.wait_replicas;
        // Whoever waits for replicas holds up what comes behind on the connection; that shall not be readers.
        let reads = if wait > 0 { Some(Link::start(&self.config)?) } else { None };
        Ok(Arc::new(RedisLog::new(writes, reads, wait, (service, config))))
    }

    /// Host and port, for logs.
    pub fn address(&self) -> &str {
        self.link.address()
    }
}
