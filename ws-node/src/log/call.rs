//! One call to the log: some requests of a kind, carried out and answered.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cluster::log::{
    Append, Cursor, Epoch, Fence, Log, LogError, MESSAGES_PER_APPEND_MAX, Message, Open, Position,
    ReadRequest, Retention, TOPICS_PER_CALL_MAX, Topic,
};
use cluster::ring::Slot;
use cluster::store::StoreError;
use futures_util::FutureExt;

use crate::core::log_port::{LogAnswer, NewEntry};

/// What a topic in a call costs the log, in messages: about as much as opening it does.
const TOPIC_COST: usize = 4;
/// Bytes of data that cost as much as a message.
const COST_BYTES: usize = 4_096;
/// What each message counts beside its bytes.
const ENTRY_BYTES: usize = 64;

/// Requests that go to the log together.
pub(super) enum Call {
    Open(Vec<Opening>),
    Append(Vec<Appending>),
    Read(Reading),
    Look(Looking),
}

pub(super) struct Opening {
    pub(super) topic: Arc<str>,
    pub(super) slot: Slot,
    pub(super) fence: Fence,
    pub(super) known: Option<Position>,
}

pub(super) struct Appending {
    pub(super) opening: Opening,
    pub(super) retention: Retention,
    pub(super) messages: Vec<NewEntry>,
}

pub(super) struct Reading {
    pub(super) reader: u64,
    pub(super) topic: Arc<str>,
    pub(super) slot: Slot,
    pub(super) epoch: Option<Epoch>,
    pub(super) cursor: Cursor,
    pub(super) count_max: usize,
    pub(super) bytes_max: usize,
}

pub(super) struct Looking {
    pub(super) look: u64,
    pub(super) topics: Vec<(Arc<str>, Slot)>,
}

// === impl Call ===

impl Call {
    /// An answer to each request, whatever the log does.
    pub(super) async fn run(self, log: &dyn Log) -> Vec<LogAnswer> {
        match self {
            Self::Open(openings) => open(log, openings).await,
            Self::Append(appendings) => append(log, appendings).await,
            Self::Read(reading) => vec![read(log, reading).await],
            Self::Look(looking) => vec![look(log, looking).await],
        }
    }
}

impl Call {
    /// The same answer to each request: the log was not asked.
    pub(super) fn give_up(self, error: &LogError) -> Vec<LogAnswer> {
        let opened =
            |opening: Opening| LogAnswer::Opened { topic: opening.topic, result: Err(error.clone()) };
        let appended = |appending: Appending| LogAnswer::Appended {
            topic: appending.opening.topic,
            result: Err(error.clone()),
        };
        match self {
            Self::Open(openings) => openings.into_iter().map(opened).collect(),
            Self::Append(appendings) => appendings.into_iter().map(appended).collect(),
            Self::Read(Reading { reader, topic, .. }) => {
                vec![LogAnswer::Read { reader, topic, result: Err(error.clone()) }]
            }
            Self::Look(Looking { look, topics }) => {
                let results = topics.into_iter().map(|(topic, _)| (topic, Err(error.clone()))).collect();
                vec![LogAnswer::Looked { look, results }]
            }
        }
    }
}

// === impl Opening ===

impl Opening {
    fn open(&self, fresh: Epoch) -> Open<'_> {
        let topic = Topic { name: &self.topic, slot: self.slot };
        Open { topic, fence: self.fence, known: self.known, fresh }
    }
}

// === impl Appending ===

impl Appending {
    fn append<'a>(&'a self, fresh: Epoch, messages: &'a [Message<'a>]) -> Append<'a> {
        Append { open: self.opening.open(fresh), retention: self.retention, messages }
    }

    /// What it costs the log, in messages.
    pub(super) fn cost(&self) -> usize {
        if self.messages.len() > MESSAGES_PER_APPEND_MAX {
            // The log refuses it, and would refuse whatever went along.
            return usize::MAX;
        }
        TOPIC_COST + self.messages.len() + self.data_bytes() / COST_BYTES
    }

    pub(super) fn data_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.data.len()).sum()
    }

    /// What it counts in the queue.
    pub(super) fn bytes(&self) -> usize {
        let one = |message: &NewEntry| ENTRY_BYTES + message.key.len() + message.data.len();
        self.messages.iter().map(one).sum()
    }
}

async fn open(log: &dyn Log, openings: Vec<Opening>) -> Vec<LogAnswer> {
    let results = match Epoch::random() {
        Ok(fresh) => {
            let opens: Vec<_> = openings.iter().map(|opening| opening.open(fresh)).collect();
            guarded(log.open(&opens)).await
        }
        Err(error) => vec![Err(error); openings.len()],
    };
    let mut results = results.into_iter();
    let answer = |opening: Opening| LogAnswer::Opened { topic: opening.topic, result: next(&mut results) };
    openings.into_iter().map(answer).collect()
}

async fn append(log: &dyn Log, appendings: Vec<Appending>) -> Vec<LogAnswer> {
    // One for all topics: epochs are told apart within a topic only.
    let results = match Epoch::random() {
        Ok(fresh) => {
            let messages: Vec<_> = appendings.iter().map(|appending| messages(&appending.messages)).collect();
            let both = appendings.iter().zip(&messages);
            let appends: Vec<_> =
                both.map(|(appending, messages)| appending.append(fresh, messages)).collect();
            guarded(log.append(&appends)).await
        }
        Err(error) => vec![Err(error); appendings.len()],
    };
    let mut results = results.into_iter();
    let answer = |appending: Appending| LogAnswer::Appended {
        topic: appending.opening.topic,
        result: next(&mut results),
    };
    appendings.into_iter().map(answer).collect()
}

async fn read(log: &dyn Log, reading: Reading) -> LogAnswer {
    let Reading { reader, topic, slot, epoch, cursor, count_max, bytes_max } = reading;
    let request = ReadRequest { topic: Topic { name: &topic, slot }, epoch, cursor, count_max, bytes_max };
    let result = guarded(async { vec![log.read(&request).await] }).await;
    LogAnswer::Read { reader, result: next(&mut result.into_iter()), topic }
}

async fn look(log: &dyn Log, looking: Looking) -> LogAnswer {
    let mut results = Vec::with_capacity(looking.topics.len());
    for topics in looking.topics.chunks(TOPICS_PER_CALL_MAX) {
        let names: Vec<_> = topics.iter().map(|(name, slot)| Topic { name, slot: *slot }).collect();
        let mut touched = guarded(log.touch(&names)).await.into_iter();
        results.extend(topics.iter().map(|(name, _)| (Arc::clone(name), next(&mut touched))));
    }
    LogAnswer::Looked { look: looking.look, results }
}

fn messages(entries: &[NewEntry]) -> Vec<Message<'_>> {
    entries
        .iter()
        .map(|entry| Message { from: &entry.from, key: Some(&entry.key), data: &entry.data })
        .collect()
}

/// A log that panics, which it must not, gives no answer; the core waits for one before it goes on with a topic.
async fn guarded<T>(call: impl Future<Output = Vec<T>>) -> Vec<T> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_default()
}

fn next<T>(results: &mut impl Iterator<Item = Result<T, LogError>>) -> Result<T, LogError> {
    results.next().unwrap_or_else(|| {
        let cause = "no answer: a mistake in this program, which its log tells more of".to_owned();
        Err(StoreError::Unexpected { address: "the log".to_owned(), cause }.into())
    })
}
