//! Short ways to say what the scenarios do.

use std::time::{Duration, Instant};

use ringdial_cluster::log::{
    Append, Appended, Batch, Cursor, Epoch, Fence, Log, LogError, Message, Open, Opened, Page, Position,
    Read, ReadRequest, Retention, Topic,
};
use ringdial_cluster::ring::{Slot, Version};

pub const SERVICE: &str = "dc";
/// Longer than a loaded machine takes for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A topic of a slot that its name gives.
pub fn topic(name: &str) -> Topic<'_> {
    let slot = name.bytes().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(byte)));
    Topic { name, slot: Slot::new(slot) }
}

pub fn fence(version: u64, generation: u64) -> Fence {
    Fence { version: Version::from_u64(version), generation }
}

/// A home of version 1 and generation 1 that knows nothing.
pub fn home(name: &str) -> Open<'_> {
    Open { topic: topic(name), fence: fence(1, 1), known: None, fresh: Epoch::random().unwrap() }
}

pub fn keyed<'a>(from: &'a str, key: &'a str, data: &'a str) -> Message<'a> {
    Message { from, key: Some(key), data: data.as_bytes() }
}

pub fn plain(data: &str) -> Message<'_> {
    Message { from: "alice", key: None, data: data.as_bytes() }
}

/// Keeps more than any scenario appends, for longer than it takes.
pub fn plenty() -> Retention {
    Retention::new(10_000, Duration::from_secs(600)).unwrap()
}

pub async fn open(log: &dyn Log, open: Open<'_>) -> Result<Opened, LogError> {
    log.open(&[open]).await.remove(0)
}

pub async fn append(
    log: &dyn Log,
    open: Open<'_>,
    retention: Retention,
    messages: &[Message<'_>],
) -> Result<Batch, LogError> {
    let mut answers = log.append(&[Append { open, retention, messages }]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Appends one message that must be taken.
pub async fn add(log: &dyn Log, open: Open<'_>, message: Message<'_>) -> Appended {
    append(log, open, plenty(), &[message]).await.unwrap().results[0].clone().unwrap()
}

pub async fn touch(log: &dyn Log, name: &str) -> Option<Position> {
    log.touch(&[topic(name)]).await.remove(0).unwrap()
}

pub async fn read(log: &dyn Log, name: &str, epoch: Option<Epoch>, cursor: Cursor) -> Read {
    read_some(log, name, epoch, cursor, 1_000, 1 << 20).await
}

pub async fn read_some(
    log: &dyn Log,
    name: &str,
    epoch: Option<Epoch>,
    cursor: Cursor,
    count_max: usize,
    bytes_max: usize,
) -> Read {
    let request = ReadRequest { topic: topic(name), epoch, cursor, count_max, bytes_max };
    log.read(&request).await.unwrap()
}

pub fn page(read: Read) -> Page {
    match read {
        Read::Page(page) => page,
        other => panic!("no page: {other:?}"),
    }
}

/// Everything that a topic holds.
pub async fn all(log: &dyn Log, name: &str) -> Page {
    page(read(log, name, None, Cursor::After(0)).await)
}

pub fn offsets(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.offset).collect()
}

/// What was appended, as offset and whether it was there before.
pub fn fates(batch: &Batch) -> Vec<Result<(u64, bool), &'static str>> {
    let one = |result: &Result<Appended, LogError>| match result {
        Ok(appended) => {
            assert_eq!(appended.position.epoch, batch.opened.position.epoch);
            Ok((appended.position.offset, appended.repeated))
        }
        Err(error) => Err(error.code()),
    };
    batch.results.iter().map(one).collect()
}

/// Waits until `met` says so, with a deadline in the time that the log keeps.
pub async fn until<F: Future<Output = bool>>(what: &str, met: impl Fn() -> F) {
    let started = (Instant::now(), tokio::time::Instant::now());
    while !met().await {
        assert!(
            started.1.elapsed() < PATIENCE && started.0.elapsed() < PATIENCE,
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
