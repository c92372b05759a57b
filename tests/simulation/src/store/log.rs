//! The log over a [`Way`]. What it does is written into the [`LogBook`](crate::logbook::LogBook), which judges it.

use std::sync::Arc;

use async_trait::async_trait;
use cluster::log::{Append, Batch, Log, LogError, Open, Opened, Position, Read, ReadRequest, Topic};
use cluster::store::StoreError;
use tokio::sync::watch;

use super::Way;
use crate::shared::Ear;

/// The service's log as one process reaches it.
pub(crate) struct LogWay {
    way: Way,
    inner: Arc<dyn Log>,
}

impl LogWay {
    /// Over this way.
    pub(crate) fn new(way: Way, inner: Arc<dyn Log>) -> Self {
        Self { way, inner }
    }

    /// Fails while answers get lost.
    async fn back(&self) -> Result<(), StoreError> {
        if self.way.shared.state().net.answers_lost {
            tokio::time::sleep(super::PATIENCE).await;
            return self.way.timed_out().await;
        }
        self.way.back().await
    }

    fn judge(&self, judge: impl FnOnce(&mut crate::logbook::LogBook) -> Result<(), String>) {
        let judged = judge(&mut self.way.shared.state().log);
        if let Err(wrong) = judged {
            self.way.shared.fail(wrong);
        }
    }
}

#[async_trait]
impl Log for LogWay {
    fn service(&self) -> &str {
        self.inner.service()
    }

    async fn open(&self, topics: &[Open<'_>]) -> Vec<Result<Opened, LogError>> {
        if let Err(error) = self.way.there().await {
            return all(topics.len(), &error);
        }
        let done = self.inner.open(topics).await;
        self.judge(|book| {
            topics.iter().zip(&done).try_for_each(|(open, result)| match result {
                Ok(opened) => book.opened(self.way.life, open, opened.position),
                Err(_) => Ok(()),
            })
        });
        match self.back().await {
            Ok(()) => done,
            Err(error) => all(topics.len(), &error),
        }
    }

    async fn append(&self, appends: &[Append<'_>]) -> Vec<Result<Batch, LogError>> {
        if let Err(error) = self.way.there().await {
            return all(appends.len(), &error);
        }
        let done = self.inner.append(appends).await;
        self.judge(|book| {
            appends.iter().zip(&done).try_for_each(|(append, result)| match result {
                Ok(batch) => book.appended(self.way.life, append, batch),
                Err(_) => Ok(()),
            })
        });
        match self.back().await {
            Ok(()) => done,
            Err(error) => all(appends.len(), &error),
        }
    }

    async fn read(&self, request: &ReadRequest<'_>) -> Result<Read, LogError> {
        self.way.there().await?;
        let read = self.inner.read(request).await;
        self.back().await?;
        read
    }

    async fn touch(&self, topics: &[Topic<'_>]) -> Vec<Result<Option<Position>, LogError>> {
        if let Err(error) = self.way.there().await {
            return all(topics.len(), &error);
        }
        let done = self.inner.touch(topics).await;
        match self.back().await {
            Ok(()) => done,
            Err(error) => all(topics.len(), &error),
        }
    }

    fn interruptions(&self) -> watch::Receiver<u64> {
        self.way.shared.listen(Ear::Interruptions, self.way.life.place)
    }
}

fn all<T>(count: usize, error: &StoreError) -> Vec<Result<T, LogError>> {
    (0..count).map(|_| Err(error.clone().into())).collect()
}
