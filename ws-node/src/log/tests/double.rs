//! A log that can be held and made to fail, and a node that remembers what it was told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cluster::log::{Append, Batch, Log, LogError, Open, Opened, Position, Read, ReadRequest, Topic};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::LogEvents;
use crate::core::log_port::LogAnswer;

/// Passes everything on to another log, once it is let.
pub(super) struct Double {
    log: Arc<dyn Log>,
    held: watch::Sender<bool>,
    /// Topics of each call, as they came.
    calls: watch::Sender<Vec<usize>>,
    fault: Mutex<Option<Fault>>,
    /// How long each call takes.
    takes: Mutex<Duration>,
}

enum Fault {
    Panic,
    Silence,
}

/// What a worker told.
#[derive(Default)]
pub(super) struct Told {
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Seen {
    answers: Vec<LogAnswer>,
    batches: Vec<usize>,
    interruptions: usize,
}

// === impl Double ===

impl Double {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        let (held, calls) = (watch::Sender::new(false), watch::Sender::default());
        Self { log, held, calls, fault: Mutex::default(), takes: Mutex::default() }
    }

    /// Lets no call through from now on.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(super) fn release(&self) {
        self.held.send_replace(false);
    }

    /// Waits until there were so many calls.
    pub(super) async fn until_held(&self, count: usize) {
        let mut calls = self.calls.subscribe();
        let enough = calls.wait_for(|calls| calls.len() >= count);
        timeout(Duration::from_secs(60), enough).await.expect("calls").unwrap();
    }

    pub(super) fn calls(&self) -> Vec<usize> {
        self.calls.borrow().clone()
    }

    pub(super) fn forget(&self) {
        self.calls.send_replace(Vec::new());
    }

    /// The next append panics.
    pub(super) fn panic(&self) {
        *self.fault.lock() = Some(Fault::Panic);
    }

    /// The next append has too few answers.
    pub(super) fn say_nothing(&self) {
        *self.fault.lock() = Some(Fault::Silence);
    }

    /// Each call takes so long from now on.
    pub(super) fn take(&self, time: Duration) {
        *self.takes.lock() = time;
    }

    async fn enter(&self, topics: usize) {
        self.calls.send_modify(|calls| calls.push(topics));
        let takes = *self.takes.lock();
        sleep(takes).await;
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
    }
}

#[async_trait]
impl Log for Double {
    fn service(&self) -> &str {
        self.log.service()
    }

    async fn open(&self, topics: &[Open<'_>]) -> Vec<Result<Opened, LogError>> {
        self.enter(topics.len()).await;
        self.log.open(topics).await
    }

    async fn append(&self, appends: &[Append<'_>]) -> Vec<Result<Batch, LogError>> {
        self.enter(appends.len()).await;
        let fault = self.fault.lock().take();
        match fault {
            None => self.log.append(appends).await,
            Some(Fault::Panic) => panic!("as the test wants it"),
            Some(Fault::Silence) => Vec::new(),
        }
    }

    async fn read(&self, request: &ReadRequest<'_>) -> Result<Read, LogError> {
        self.enter(1).await;
        self.log.read(request).await
    }

    async fn touch(&self, topics: &[Topic<'_>]) -> Vec<Result<Option<Position>, LogError>> {
        self.enter(topics.len()).await;
        self.log.touch(topics).await
    }

    fn interruptions(&self) -> watch::Receiver<u64> {
        self.log.interruptions()
    }
}

// === impl Told ===

impl Told {
    /// Waits for so many answers and takes them.
    pub(super) async fn take(&self, count: usize) -> Vec<LogAnswer> {
        self.until(|seen| seen.answers.len() >= count).await;
        self.seen.lock().answers.drain(..count).collect()
    }

    /// How many answers came at a time.
    pub(super) fn batches(&self) -> Vec<usize> {
        self.seen.lock().batches.clone()
    }

    pub(super) fn interruptions(&self) -> usize {
        self.seen.lock().interruptions
    }

    pub(super) async fn until_interrupted(&self, count: usize) {
        let met = self.until(|seen| seen.interruptions >= count);
        timeout(Duration::from_secs(60), met).await.expect("an interruption");
    }

    async fn until(&self, met: impl Fn(&Seen) -> bool) {
        let mut changes = self.changed.subscribe();
        while !met(&self.seen.lock()) {
            changes.changed().await.unwrap();
        }
    }
}

impl LogEvents for Told {
    fn answered(&self, answers: Vec<LogAnswer>) {
        let mut seen = self.seen.lock();
        seen.batches.push(answers.len());
        seen.answers.extend(answers);
        drop(seen);
        self.changed.send_replace(());
    }

    fn interrupted(&self) {
        self.seen.lock().interruptions += 1;
        self.changed.send_replace(());
    }
}
