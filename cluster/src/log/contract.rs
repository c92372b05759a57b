//! What a store does for the log of one service, and the requests and answers it does it in.
//!
//! Every operation names its topics' slots and carries what the caller believes; the log decides in one atomic step for
//! each topic. All times are the store's own clock's, in milliseconds since 1970.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use super::error::LogError;
use super::types::{Epoch, Fence, Position, Retention, Topic};

/// Topics in one call, at most.
pub const TOPICS_PER_CALL_MAX: usize = 1_000;
/// Messages of one topic in one call, at most.
pub const MESSAGES_PER_APPEND_MAX: usize = 500;
/// Bytes of data in one call, at most, over all its topics.
pub const CALL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of one entry's data, at most.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Entries in one page, at most.
pub const READ_COUNT_MAX: usize = 1_000;
/// Bytes of data in one page, at most, unless a single entry is larger.
pub const READ_BYTES_MAX: usize = 1024 * 1024;

/// The log of one service in a store.
///
/// Several topics in a call share one round trip. Their answers come in the order of the call; one topic's failure is
/// not another's. A call names a topic once, and a caller who wants his messages in order waits for the answer before he
/// names the topic again. Every operation returns within a bounded time; after [`LogError::Unavailable`] it may have been
/// carried out all the same.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// The service whose log this is.
    fn service(&self) -> &str;

    /// Makes the caller each topic's home as far as the log is concerned, and tells where the topics stand: from now on
    /// no home of an older ring can append. A topic that never was, was forgotten, comes from an older log generation,
    /// or lacks entries that the caller knows of, begins anew in the epoch that the caller brings.
    ///
    /// # Errors
    /// Each topic: [`LogError::StaleHome`], [`LogError::Unavailable`], [`LogError::TooLarge`], [`LogError::Invalid`].
    async fn open(&self, topics: &[Open<'_>]) -> Vec<Result<Opened, LogError>>;

    /// Opens the topics and appends messages to each, in order. A message whose key is remembered is not appended again.
    ///
    /// # Errors
    /// Each topic: as [`Log::open`]. Each message: [`LogError::KeyReused`], [`LogError::TooLarge`],
    /// [`LogError::Invalid`]; the others of its topic are appended all the same.
    async fn append(&self, appends: &[Append<'_>]) -> Vec<Result<Batch, LogError>>;

    /// A page of a topic's entries. Anybody may read; nothing changes.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Invalid`].
    async fn read(&self, request: &ReadRequest<'_>) -> Result<Read, LogError>;

    /// Where topics stand, without opening them: `None` for one that never was or was forgotten. Epoch and head of the
    /// others are kept for another [`LogConfig::position_age`](super::LogConfig), at least.
    ///
    /// # Errors
    /// Each topic: [`LogError::Unavailable`], [`LogError::TooLarge`], [`LogError::Invalid`].
    async fn touch(&self, topics: &[Topic<'_>]) -> Vec<Result<Option<Position>, LogError>>;

    /// Goes up each time the log is there again after it was not: meanwhile it may have been replaced by an older or an
    /// empty one. Homes then open their topics again with what they know, which tells. A log that loses something and
    /// stays reachable says nothing.
    fn interruptions(&self) -> watch::Receiver<u64>;
}

/// A home comes to a topic.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Which topic.
    pub topic: Topic<'a>,
    /// By what right.
    pub fence: Fence,
    /// The highest position that the caller or anybody who asked him knows of.
    pub known: Option<Position>,
    /// A new random epoch, for the case that the topic needs one.
    pub fresh: Epoch,
}

/// Messages for one topic.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// Topic and right.
    pub open: Open<'a>,
    /// How much of the topic to keep from now on.
    pub retention: Retention,
    /// At most [`MESSAGES_PER_APPEND_MAX`].
    pub messages: &'a [Message<'a>],
}

/// One message to append.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The sender, at most 256 bytes.
    pub from: &'a str,
    /// What makes the append idempotent, 1 to 256 bytes; its scope is the topic and `from`.
    pub key: Option<&'a str>,
    /// Opaque, at most [`ENTRY_BYTES_MAX`].
    pub data: &'a [u8],
}

/// Where a topic stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its epoch and the offset of its newest entry, 0 if there was none.
    pub position: Position,
    /// The lowest offset that the log still holds; head + 1 if it holds none.
    pub first: u64,
}

/// What became of an [`Append`].
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Where the topic stands now.
    pub opened: Opened,
    /// The time of the entries appended by this call.
    pub time_ms: u64,
    /// Each message's fate, in their order.
    pub results: Vec<Result<Appended, LogError>>,
}

/// A message is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Where it is, or was before it was trimmed.
    pub position: Position,
    /// It was there before this call.
    pub repeated: bool,
}

/// Which entries to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'a> {
    /// Of which topic.
    pub topic: Topic<'a>,
    /// Of this epoch only; `None` reads whatever there is.
    pub epoch: Option<Epoch>,
    /// From where, and which way.
    pub cursor: Cursor,
    /// Entries wanted at most; more than [`READ_COUNT_MAX`] are never given.
    pub count_max: usize,
    /// Bytes of data wanted at most; more than [`READ_BYTES_MAX`] are never given. A page has one entry at least.
    pub bytes_max: usize,
}

/// A place between entries, and the direction of reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cursor {
    /// Entries above this offset, ascending.
    After(u64),
    /// Entries below this offset, descending; `u64::MAX` begins at the newest.
    Before(u64),
}

/// What a reader finds.
#[derive(Clone, PartialEq, Debug)]
pub enum Read {
    /// Entries.
    Page(Page),
    /// The topic never was or was forgotten.
    Absent,
    /// The topic is in another epoch: what the reader had seen of it is gone.
    OtherEpoch(Position),
    /// The reader has seen more of this epoch than the log knows of: it was rolled back. Opening the topic with the
    /// position that the reader knows begins a new epoch.
    RolledBack(Position),
}

/// Some entries of a topic, one after the other in the direction of reading.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// Epoch and head.
    pub position: Position,
    /// The lowest offset that the log still holds; head + 1 if it holds none.
    pub first: u64,
    /// The entries.
    pub entries: Vec<Entry>,
    /// What is missing between the cursor and the first of `entries`, or to the end if there are none.
    pub gap: Option<Gap>,
    /// Whether the log holds more in this direction.
    pub more: bool,
}

/// Entries that the log no longer holds: all between two offsets, both exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The offset before the first missing one.
    pub after: u64,
    /// The offset behind the last missing one.
    pub before: u64,
}

/// One message in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its offset.
    pub offset: u64,
    /// When it was appended.
    pub time_ms: u64,
    /// The sender.
    pub from: String,
    /// Its key, if it had one.
    pub key: Option<String>,
    /// As it was appended.
    pub data: Bytes,
}
