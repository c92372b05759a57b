//! The log of one service in memory: each call is one look under the lock.

mod keys;
mod service;
mod topic;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

pub(super) use self::service::ServiceLog;
use super::Shared;
use crate::log::{
    Append, Batch, Log, LogConfig, LogError, Open, Opened, Position, Read, ReadRequest, Topic, rules,
};
use crate::store::StoreError;

pub(super) struct MemoryLog {
    shared: Arc<Shared>,
    kept: Arc<Mutex<ServiceLog>>,
    service: String,
    config: LogConfig,
}

// === impl MemoryLog ===

impl MemoryLog {
    pub(super) fn new(
        shared: Arc<Shared>,
        kept: Arc<Mutex<ServiceLog>>,
        service: &str,
        config: LogConfig,
    ) -> Self {
        Self { shared, kept, service: service.to_owned(), config }
    }

    /// The log's state and the time. Yields first, so that concurrent callers interleave here as they do with a store
    /// that is elsewhere.
    async fn enter(&self) -> Result<(MutexGuard<'_, ServiceLog>, u64), StoreError> {
        tokio::task::yield_now().await;
        self.shared.reach()?;
        let now = self.shared.now_ms();
        let mut kept = self.kept.lock();
        kept.sweep(now);
        Ok((kept, now))
    }

    /// What was done, unless the answer is to be lost.
    fn answer<T>(&self, done: Vec<Result<T, LogError>>) -> Vec<Result<T, LogError>> {
        match self.shared.answer() {
            Ok(()) => done,
            Err(error) => all(done.len(), error.into()),
        }
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn service(&self) -> &str {
        &self.service
    }

    async fn open(&self, topics: &[Open<'_>]) -> Vec<Result<Opened, LogError>> {
        if let Err(error) = rules::check_topics(topics.iter().map(|open| open.topic)) {
            return all(topics.len(), error);
        }
        match self.enter().await {
            Ok((mut kept, now)) => {
                let opened = topics.iter().map(|open| kept.open(open, &self.config, now)).collect();
                self.answer(opened)
            }
            Err(error) => all(topics.len(), error.into()),
        }
    }

    async fn append(&self, appends: &[Append<'_>]) -> Vec<Result<Batch, LogError>> {
        if let Err(error) = rules::check_appends(appends) {
            return all(appends.len(), error);
        }
        match self.enter().await {
            Ok((mut kept, now)) => {
                let appended = appends.iter().map(|append| kept.append(append, &self.config, now)).collect();
                self.answer(appended)
            }
            Err(error) => all(appends.len(), error.into()),
        }
    }

    async fn read(&self, request: &ReadRequest<'_>) -> Result<Read, LogError> {
        rules::check_topic(request.topic)?;
        let (kept, now) = self.enter().await?;
        self.shared.answer()?;
        Ok(kept.read(request, now))
    }

    async fn touch(&self, topics: &[Topic<'_>]) -> Vec<Result<Option<Position>, LogError>> {
        if let Err(error) = rules::check_topics(topics.iter().copied()) {
            return all(topics.len(), error);
        }
        match self.enter().await {
            Ok((mut kept, now)) => {
                let touched = topics.iter().map(|topic| Ok(kept.touch(*topic, &self.config, now))).collect();
                self.answer(touched)
            }
            Err(error) => all(topics.len(), error.into()),
        }
    }

    fn interruptions(&self) -> watch::Receiver<u64> {
        self.shared.interruptions.subscribe()
    }
}

fn all<T>(count: usize, error: LogError) -> Vec<Result<T, LogError>> {
    (0..count).map(|_| Err(error.clone())).collect()
}
