//! The log: the stored history of topics, entries with contiguous offsets in an epoch.
//!
//! [`Log`] is what a store does, atomically for each topic: it fences homes, tells repeated messages by their keys, gives
//! offsets, appends, trims, and notices that it was rolled back. [`judge`](rules::judge) and [`page`](page::assemble) are
//! the rules that both implementations share, as pure functions; the scripts in `store/redis/lua` repeat the first, and
//! the conformance suite holds them together.

mod contract;
mod error;
pub(crate) mod page;
mod retentions;
pub(crate) mod rules;
mod types;

pub use self::contract::{
    Append, Appended, Batch, CALL_BYTES_MAX, Cursor, ENTRY_BYTES_MAX, Entry, Gap, Log,
    MESSAGES_PER_APPEND_MAX, Message, Open, Opened, Page, READ_BYTES_MAX, READ_COUNT_MAX, Read, ReadRequest,
    TOPICS_PER_CALL_MAX,
};
pub use self::error::LogError;
pub use self::retentions::{RetentionRule, Retentions};
pub use self::types::{Epoch, Fence, LogConfig, Position, Retention, Topic};
