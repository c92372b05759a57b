//! The values that the log is spoken to in: topics, positions, fences, and how long things are kept.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::error::LogError;
use crate::chance;
use crate::ring::{Ring, Slot, Version};

/// A stream of messages with one home.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Topic<'a> {
    /// `u:` and a user id, or `g:` and a group name.
    pub name: &'a str,
    /// The name's slot on the ring: topics of one slot are kept together.
    pub slot: Slot,
}

/// Tells one life of a topic from the next. Random, and compared for equality only. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// A place in a topic: up to and including `offset`. Offset 0 is the place before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The life of the topic.
    pub epoch: Epoch,
    /// Counted from 1 without holes.
    pub offset: u64,
}

/// What a writer believes when it writes as a topic's home. The log refuses a writer with a lower version than one that
/// it has seen, and begins a new epoch at the first sight of a higher generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fence {
    /// The ring's version under which the writer is home.
    pub version: Version,
    /// That ring's log generation.
    pub generation: u64,
}

/// How much of a topic is kept. Entries leave when there are more than `count`, when an append finds them older than
/// `age`, and all of them `age` after the last append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    count: u32,
    age: Duration,
}

/// How long a log remembers what is not an entry. The same for all processes of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// How long a message's key is remembered.
    pub key_age: Duration,
    /// Of how many of a topic's newest messages the keys are remembered, at most.
    pub key_messages: u32,
    /// How long epoch and head are remembered after the last entry has left, or after the last opening or touch.
    pub position_age: Duration,
}

// === impl Epoch ===

impl Epoch {
    /// The epoch with this value.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// A new random epoch.
    ///
    /// # Errors
    /// [`LogError::NoRandomness`] where the operating system gives none.
    pub fn random() -> Result<Self, LogError> {
        let mut bytes = [0; 8];
        chance::fill(&mut bytes).map_err(|_| LogError::NoRandomness)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }

    /// The epoch's value.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The epoch of exactly 16 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("an epoch is 16 lower-case hexadecimal digits"))
    }
}

// === impl Fence ===

impl Fence {
    /// The fence of a writer that goes by this ring.
    pub fn of(ring: &Ring) -> Self {
        Self { version: ring.version(), generation: ring.log_generation() }
    }
}

// === impl Retention ===

impl Retention {
    /// Entries that a topic may keep, at most.
    pub const COUNT_MAX: u32 = 100_000;
    /// The longest that entries may be kept.
    pub const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Keeps `count` entries, 1 to [`Self::COUNT_MAX`], for `age`, 1 ms to [`Self::AGE_MAX`].
    ///
    /// # Errors
    /// [`LogError::Invalid`] outside these limits. A topic that keeps nothing is ephemeral and has no log.
    pub fn new(count: u32, age: Duration) -> Result<Self, LogError> {
        let count_fits = (1..=Self::COUNT_MAX).contains(&count);
        let age_fits = (Duration::from_millis(1)..=Self::AGE_MAX).contains(&age);
        if count_fits && age_fits {
            return Ok(Self { count, age });
        }
        Err(LogError::Invalid { cause: "a topic's log keeps 1 to 100,000 entries for 1 ms to 30 days" })
    }

    /// Most entries kept.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Greatest age of an entry, in milliseconds.
    pub(crate) fn age_ms(self) -> u64 {
        ms(self.age)
    }
}

impl Default for Retention {
    /// 256 entries for 5 minutes.
    fn default() -> Self {
        Self { count: 256, age: Duration::from_secs(5 * 60) }
    }
}

// === impl LogConfig ===

impl LogConfig {
    pub(crate) fn key_age_ms(&self) -> u64 {
        ms(self.key_age).max(1)
    }

    pub(crate) fn position_age_ms(&self) -> u64 {
        ms(self.position_age).max(1)
    }
}

impl Default for LogConfig {
    /// Keys for 5 minutes or of the newest 1,000 messages, positions for 24 hours.
    fn default() -> Self {
        Self {
            key_age: Duration::from_secs(5 * 60),
            key_messages: 1_000,
            position_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Whole milliseconds, so bounded that times can be added to them.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 45)
}
