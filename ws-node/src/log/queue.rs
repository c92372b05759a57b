//! What waits for the log: bounded in requests and bytes, never waiting.
//!
//! Each kind waits for itself, so that a crowd of readers cannot keep messages from being taken, nor the other way.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::log::{CALL_BYTES_MAX, TOPICS_PER_CALL_MAX};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::call::{Appending, Call, Looking, Opening, Reading};
use super::counts::{Kind, LogCounts};
use crate::core::log_port::{LogRequest, LogSink};

/// What may wait for the log, at most.
#[derive(Clone, Copy, Debug)]
pub struct QueueBounds {
    /// Requests of each kind.
    pub requests: usize,
    /// Bytes of messages, with their senders and keys.
    pub bytes: usize,
}

/// The core's end of the queue. Clones share it. A request that is given back for want of room can be made again when
/// answers have come: there are some to come whenever the queue is full.
#[derive(Clone)]
pub struct LogQueue(Arc<Shared>);

struct Shared {
    bounds: QueueBounds,
    counts: LogCounts,
    waiting: Mutex<Waiting>,
    ready: Notify,
}

/// A request, and since when it waits.
struct Waits<T> {
    since: Instant,
    request: T,
}

#[derive(Default)]
struct Waiting {
    closed: bool,
    /// Of `appends`.
    bytes: usize,
    opens: VecDeque<Waits<Opening>>,
    appends: VecDeque<Waits<Appending>>,
    reads: VecDeque<Waits<Reading>>,
    looks: VecDeque<Waits<Looking>>,
}

// === impl QueueBounds ===

impl Default for QueueBounds {
    /// 65,536 requests of each kind, 64 MiB of messages.
    fn default() -> Self {
        Self { requests: 65_536, bytes: 64 * 1024 * 1024 }
    }
}

// === impl LogQueue ===

impl LogQueue {
    pub(super) fn new(bounds: QueueBounds, counts: LogCounts) -> Self {
        Self(Arc::new(Shared { bounds, counts, waiting: Mutex::default(), ready: Notify::new() }))
    }

    pub(super) fn counts(&self) -> &LogCounts {
        &self.0.counts
    }

    /// Returns when a kind has something waiting that had nothing.
    pub(super) async fn ready(&self) {
        self.0.ready.notified().await;
    }

    /// Takes nothing any more and forgets what waits.
    pub(super) fn close(&self) {
        *self.0.waiting.lock() = Waiting { closed: true, ..Waiting::default() };
    }

    /// As many topics to open as a call may name.
    pub(super) fn take_opens(&self) -> Option<Call> {
        let opens = &mut self.0.waiting.lock().opens;
        let count = opens.len().min(TOPICS_PER_CALL_MAX);
        let taken = (count > 0).then(|| Call::Open(opens.drain(..count).map(Waits::take).collect()));
        self.0.counts.of(Kind::Open).wait(opens.len(), 0);
        taken
    }

    /// The first appends up to `cost_max` together, one at least, and what they cost.
    pub(super) fn take_appends(&self, cost_max: usize) -> Option<(Call, usize)> {
        let mut waiting = self.0.waiting.lock();
        let (mut cost, mut data, mut count) = (0_usize, 0_usize, 0);
        for Waits { request: append, .. } in waiting.appends.iter().take(TOPICS_PER_CALL_MAX) {
            let (cost_then, data_then) = (cost.saturating_add(append.cost()), data + append.data_bytes());
            if count > 0 && (cost_then > cost_max || data_then > CALL_BYTES_MAX) {
                break;
            }
            (cost, data, count) = (cost_then, data_then, count + 1);
        }
        let taken: Vec<_> = waiting.appends.drain(..count).map(Waits::take).collect();
        waiting.bytes -= taken.iter().map(Appending::bytes).sum::<usize>();
        self.0.counts.of(Kind::Append).wait(waiting.appends.len(), waiting.bytes);
        (count > 0).then_some((Call::Append(taken), cost))
    }

    pub(super) fn take_read(&self) -> Option<Call> {
        let reads = &mut self.0.waiting.lock().reads;
        let taken = reads.pop_front().map(|read| Call::Read(read.request));
        self.0.counts.of(Kind::Read).wait(reads.len(), 0);
        taken
    }

    pub(super) fn take_look(&self) -> Option<Call> {
        let looks = &mut self.0.waiting.lock().looks;
        let taken = looks.pop_front().map(|look| Call::Look(look.request));
        self.0.counts.of(Kind::Look).wait(looks.len(), 0);
        taken
    }
}

impl LogQueue {
    /// Whatever has waited since `before`, to be given up: a log that hangs must not let people wait for it in turn.
    pub(super) fn take_late(&self, before: Instant) -> Vec<Call> {
        let mut waiting = self.0.waiting.lock();
        let Waiting { opens, appends, reads, looks, .. } = &mut *waiting;
        let mut late = vec![
            Call::Open(late_of(opens, before).collect()),
            Call::Append(late_of(appends, before).collect()),
        ];
        late.extend(late_of(reads, before).map(Call::Read));
        late.extend(late_of(looks, before).map(Call::Look));
        waiting.bytes = waiting.appends.iter().map(|append| append.request.bytes()).sum();
        for kind in Kind::ALL {
            let (requests, bytes) = waiting.size(kind);
            self.0.counts.of(kind).wait(requests, bytes);
        }
        late
    }
}

impl LogSink for LogQueue {
    fn submit(&self, request: LogRequest) -> Result<(), LogRequest> {
        let kind = kind(&request);
        let mut waiting = self.0.waiting.lock();
        let taken = waiting.take(request, &self.0.bounds);
        let (requests, bytes) = waiting.size(kind);
        self.0.counts.of(kind).wait(requests, bytes);
        drop(waiting);
        let was_empty = taken.inspect_err(|_| self.0.counts.of(kind).given_back())?;
        // What has something waiting is looked at when a call of its kind has ended.
        if was_empty {
            self.0.ready.notify_one();
        }
        Ok(())
    }
}

// === impl Waits ===

impl<T> Waits<T> {
    fn now(request: T) -> Self {
        Self { since: Instant::now(), request }
    }

    fn take(self) -> T {
        self.request
    }
}

/// Those at the front, which have waited longest.
fn late_of<T>(waiting: &mut VecDeque<Waits<T>>, before: Instant) -> impl Iterator<Item = T> {
    let late = waiting.partition_point(|waits| waits.since <= before);
    waiting.drain(..late).map(Waits::take)
}

// === impl Waiting ===

impl Waiting {
    fn size(&self, kind: Kind) -> (usize, usize) {
        match kind {
            Kind::Open => (self.opens.len(), 0),
            Kind::Append => (self.appends.len(), self.bytes),
            Kind::Read => (self.reads.len(), 0),
            Kind::Look => (self.looks.len(), 0),
        }
    }

    /// Whether nothing of this kind waited before; or the request, if there is no room for it.
    fn take(&mut self, request: LogRequest, bounds: &QueueBounds) -> Result<bool, LogRequest> {
        let (waiting, bytes) = self.size(kind(&request));
        if self.closed || waiting >= bounds.requests || bytes >= bounds.bytes {
            return Err(request);
        }
        match request {
            LogRequest::Open { topic, slot, fence, known } => {
                self.opens.push_back(Waits::now(Opening { topic, slot, fence, known }));
            }
            LogRequest::Append { topic, slot, fence, known, retention, messages } => {
                let opening = Opening { topic, slot, fence, known };
                let append = Appending { opening, retention, messages };
                self.bytes += append.bytes();
                self.appends.push_back(Waits::now(append));
            }
            LogRequest::Read { reader, topic, slot, epoch, cursor, count_max, bytes_max } => {
                let read = Reading { reader, topic, slot, epoch, cursor, count_max, bytes_max };
                self.reads.push_back(Waits::now(read));
            }
            LogRequest::Look { look, topics } => self.looks.push_back(Waits::now(Looking { look, topics })),
        }
        Ok(waiting == 0)
    }
}

fn kind(request: &LogRequest) -> Kind {
    match request {
        LogRequest::Open { .. } => Kind::Open,
        LogRequest::Append { .. } => Kind::Append,
        LogRequest::Read { .. } => Kind::Read,
        LogRequest::Look { .. } => Kind::Look,
    }
}
