//! What a core asks of the log, and what it is answered: values only, so the core needs no store.
//!
//! The core guarantees that at most one [`LogRequest::Open`] or [`LogRequest::Append`] of a topic is out at a time; it
//! waits for the answer before it names the topic again. That is the whole of a topic's order.

use std::sync::Arc;

use bytes::Bytes;
use cluster::log::{Batch, Cursor, Epoch, Fence, LogError, Opened, Position, Read, Retention};
use cluster::ring::Slot;

/// Where a core's requests to the log go: a bounded queue that never waits.
pub trait LogSink: Send {
    /// Queues a request; never waits.
    ///
    /// # Errors
    /// Gives the request back if the queue is full.
    fn submit(&self, request: LogRequest) -> Result<(), LogRequest>;
}

/// What a core asks of the log. Each request taken is answered exactly once, unless the node ends before.
#[derive(Clone, PartialEq, Debug)]
pub enum LogRequest {
    /// This node comes to a topic as its home.
    Open {
        /// Which topic.
        topic: Arc<str>,
        /// The topic's slot.
        slot: Slot,
        /// By what right.
        fence: Fence,
        /// The highest position that this node or anybody who asked it knows of.
        known: Option<Position>,
    },
    /// Messages for one topic, in order.
    Append {
        /// Which topic.
        topic: Arc<str>,
        /// The topic's slot.
        slot: Slot,
        /// By what right.
        fence: Fence,
        /// The highest position that this node or anybody who asked it knows of.
        known: Option<Position>,
        /// How much of the topic to keep from now on.
        retention: Retention,
        /// At most [`MESSAGES_PER_APPEND_MAX`](cluster::log::MESSAGES_PER_APPEND_MAX), of
        /// [`CALL_BYTES_MAX`](cluster::log::CALL_BYTES_MAX) bytes of data in all.
        messages: Vec<NewEntry>,
    },
    /// A page of a topic, for whoever reads.
    Read {
        /// Comes back with the answer.
        reader: u64,
        /// Which topic.
        topic: Arc<str>,
        /// The topic's slot.
        slot: Slot,
        /// Of this epoch only; `None` reads whatever there is.
        epoch: Option<Epoch>,
        /// From where, and which way.
        cursor: Cursor,
        /// Entries wanted at most.
        count_max: usize,
        /// Bytes of data wanted at most.
        bytes_max: usize,
    },
    /// Where topics stand, without opening them.
    Look {
        /// Comes back with the answer.
        look: u64,
        /// At most [`TOPICS_PER_CALL_MAX`](cluster::log::TOPICS_PER_CALL_MAX), each once.
        topics: Vec<(Arc<str>, Slot)>,
    },
}

/// One message to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEntry {
    /// The sender.
    pub from: Arc<str>,
    /// What makes the append idempotent in the scope of the topic and `from`.
    pub key: Box<str>,
    /// Opaque.
    pub data: Bytes,
}

/// Where a topic stands, if it is known to the log.
pub type Standing = Result<Option<Position>, LogError>;

/// What became of a [`LogRequest`].
#[derive(Clone, PartialEq, Debug)]
pub enum LogAnswer {
    /// To [`LogRequest::Open`].
    Opened {
        /// Which topic.
        topic: Arc<str>,
        /// Where it stands.
        result: Result<Opened, LogError>,
    },
    /// To [`LogRequest::Append`].
    Appended {
        /// Which topic.
        topic: Arc<str>,
        /// Where it stands, and each message's fate.
        result: Result<Batch, LogError>,
    },
    /// To [`LogRequest::Read`].
    Read {
        /// As in the request.
        reader: u64,
        /// Which topic.
        topic: Arc<str>,
        /// What was found.
        result: Result<Read, LogError>,
    },
    /// To [`LogRequest::Look`].
    Looked {
        /// As in the request.
        look: u64,
        /// Each topic's position, in the order of the request; `None` for one that never was or was forgotten.
        results: Vec<(Arc<str>, Standing)>,
    },
}

// === impl LogRequest ===

impl LogRequest {
    /// How many messages it has the log store.
    pub const fn message_count(&self) -> usize {
        match self {
            Self::Append { messages, .. } => messages.len(),
            Self::Open { .. } | Self::Read { .. } | Self::Look { .. } => 0,
        }
    }
}
