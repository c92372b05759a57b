//! Keeps calls to the log under way, and hands their answers to the node.

use std::sync::Arc;
use std::time::Duration;

use cluster::log::{Log, LogError, Read};
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LogEvents;
use super::call::Call;
use super::counts::Kind;
use super::pace::Pace;
use super::queue::LogQueue;
use crate::core::log_port::LogAnswer;

/// Calls under way at once, at most: enough that the log has the next one while we read the answers to the last.
const OPENS_OUT_MAX: usize = 2;
const APPENDS_OUT_MAX: usize = 4;
const READS_OUT_MAX: usize = 32;
const LOOKS_OUT_MAX: usize = 1;
/// Messages and entries in one batch of answers, about: the node's lock is held for as long as they take.
const BATCH_MAX: usize = 512;
/// How long a request waits behind others while the log does not confirm. Its sender is told in time, as what waits is asked
/// for again before it is given up.
const LATE_AFTER: Duration = Duration::from_secs(2);
/// How often it is logged, at most, that the log does not confirm.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Empties a queue into a log for as long as it is run. Dropping it closes the queue.
pub struct LogWorker {
    queue: LogQueue,
    out: Out,
    pace: Pace,
    health: Health,
}

/// How many calls of each kind are under way.
#[derive(Default)]
struct Out {
    opens: usize,
    appends: usize,
    reads: usize,
    looks: usize,
}

/// A call that has ended.
struct Ended {
    kind: Kind,
    cost: usize,
    took: Duration,
    answers: Vec<LogAnswer>,
}

/// Whether the log confirms what it is asked, for people.
#[derive(Default)]
struct Health {
    /// It was logged that it does not, and not yet that it does again.
    warned: bool,
    last: Option<Instant>,
    /// Why the last call was not confirmed, if it was not.
    failing: Option<LogError>,
}

// === impl LogWorker ===

impl LogWorker {
    pub(super) fn new(queue: LogQueue) -> Self {
        Self { queue, out: Out::default(), pace: Pace::new(), health: Health::default() }
    }

    /// Works until `end`; what is under way or waits then is given up.
    pub async fn run(mut self, log: Arc<dyn Log>, events: Arc<dyn LogEvents>, end: CancellationToken) {
        let mut interruptions = log.interruptions();
        let mut calls = JoinSet::new();
        loop {
            self.begin(&mut calls, &log);
            // One order, so that simulations repeat; each of these comes to rest by itself.
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                () = self.queue.ready() => {}
                Some(Ok(ended)) = calls.join_next() => {
                    let mut answers = self.end_of(ended);
                    answers.extend(self.late(Instant::now()));
                    while let Some(Ok(ended)) = calls.try_join_next() {
                        answers.extend(self.end_of(ended));
                    }
                    // The log has something to do while the node has.
                    self.begin(&mut calls, &log);
                    tell(&*events, answers).await;
                }
                Ok(()) = interruptions.changed() => events.interrupted(),
            }
        }
    }

    /// Begins as many calls as may be and there is something for.
    fn begin(&mut self, calls: &mut JoinSet<Ended>, log: &Arc<dyn Log>) {
        let Self { queue, out, pace, .. } = self;
        while out.opens < OPENS_OUT_MAX
            && let Some(call) = queue.take_opens()
        {
            out.opens += 1;
            begin(calls, log, (Kind::Open, 0), call);
        }
        while out.appends < APPENDS_OUT_MAX
            && let Some((call, cost)) = queue.take_appends(pace.limit())
        {
            out.appends += 1;
            begin(calls, log, (Kind::Append, cost), call);
        }
        while out.reads < READS_OUT_MAX
            && let Some(call) = queue.take_read()
        {
            out.reads += 1;
            begin(calls, log, (Kind::Read, 0), call);
        }
        while out.looks < LOOKS_OUT_MAX
            && let Some(call) = queue.take_look()
        {
            out.looks += 1;
            begin(calls, log, (Kind::Look, 0), call);
        }
    }

    /// Gives up what has waited too long, while the log does not confirm: calls end by their time-out then, and what waits
    /// behind them would wait for many.
    fn late(&self, now: Instant) -> Vec<LogAnswer> {
        let Some(error) = self.health.failing.as_ref() else { return Vec::new() };
        let Some(before) = now.checked_sub(LATE_AFTER) else { return Vec::new() };
        self.queue.take_late(before).into_iter().flat_map(|call| call.give_up(error)).collect()
    }

    fn end_of(&mut self, ended: Ended) -> Vec<LogAnswer> {
        let Ended { kind, cost, took, answers } = ended;
        let failures = || answers.iter().flat_map(failures);
        let (topics, failure) = (answers.iter().map(topics).sum(), failures().next());
        self.queue.counts().of(kind).ended(took, topics, failures().count());
        match kind {
            Kind::Open => self.out.opens -= 1,
            Kind::Append => {
                self.out.appends -= 1;
                self.pace.observe(cost, took, failure.is_none());
            }
            Kind::Read => self.out.reads -= 1,
            Kind::Look => self.out.looks -= 1,
        }
        self.health.observe(failure);
        answers
    }
}

impl Drop for LogWorker {
    fn drop(&mut self) {
        self.queue.close();
    }
}

// === impl Health ===

impl Health {
    fn observe(&mut self, failure: Option<&LogError>) {
        self.failing = failure.cloned();
        match failure {
            Some(error) if !self.warned && self.last.is_none_or(|last| last.elapsed() >= WARN_EVERY) => {
                (self.warned, self.last) = (true, Some(Instant::now()));
                tracing::warn!(code = error.code(), remedy = error.remedy(), "{error}");
            }
            None if self.warned => {
                self.warned = false;
                tracing::info!("the log confirms again");
            }
            _ => {}
        }
    }
}

fn begin(calls: &mut JoinSet<Ended>, log: &Arc<dyn Log>, (kind, cost): (Kind, usize), call: Call) {
    let (log, begun) = (Arc::clone(log), Instant::now());
    calls.spawn(async move {
        let answers = call.run(&*log).await;
        Ended { kind, cost, took: begun.elapsed(), answers }
    });
}

/// Hands answers over in batches, so that others come to the node's lock between them.
async fn tell(events: &dyn LogEvents, answers: Vec<LogAnswer>) {
    let (mut batch, mut size) = (Vec::new(), 0);
    for answer in answers {
        let more = weight(&answer);
        if size + more > BATCH_MAX && !batch.is_empty() {
            events.answered(std::mem::take(&mut batch));
            size = 0;
            yield_now().await;
        }
        size += more;
        batch.push(answer);
    }
    if !batch.is_empty() {
        events.answered(batch);
    }
}

fn weight(answer: &LogAnswer) -> usize {
    match answer {
        LogAnswer::Opened { .. } | LogAnswer::Appended { result: Err(_), .. } => 1,
        LogAnswer::Appended { result: Ok(batch), .. } => batch.results.len(),
        LogAnswer::Read { result: Ok(Read::Page(page)), .. } => page.entries.len().max(1),
        LogAnswer::Read { .. } => 1,
        LogAnswer::Looked { results, .. } => results.len(),
    }
}

/// How many topics an answer is about.
fn topics(answer: &LogAnswer) -> usize {
    match answer {
        LogAnswer::Looked { results, .. } => results.len(),
        LogAnswer::Opened { .. } | LogAnswer::Appended { .. } | LogAnswer::Read { .. } => 1,
    }
}

/// Why the log did not confirm, for each topic for which it did not.
fn failures(answer: &LogAnswer) -> impl Iterator<Item = &LogError> {
    let (one, looked) = match answer {
        LogAnswer::Opened { result, .. } => (result.as_ref().err(), &[][..]),
        LogAnswer::Appended { result, .. } => (result.as_ref().err(), &[][..]),
        LogAnswer::Read { result, .. } => (result.as_ref().err(), &[][..]),
        LogAnswer::Looked { results, .. } => (None, &results[..]),
    };
    let all = one.into_iter().chain(looked.iter().filter_map(|(_, result)| result.as_ref().err()));
    all.filter(|error| matches!(error, LogError::Unavailable(_)))
}
