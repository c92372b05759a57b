//! What can go wrong with the log, as homes and readers need to know it.

use thiserror::Error;

use crate::ring::Version;
use crate::store::StoreError;

/// An operation on the log, or one message of it, failed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LogError {
    /// Another home has written, or opened the topic, under a newer version of the ring. Nothing was done.
    #[error("the ring is at version {highest} or later, by which another node may be this topic's home")]
    StaleHome {
        /// The highest version that the log has seen for this topic.
        highest: Version,
    },
    /// The key was used before, by the same sender in the same topic, with other data. Nothing was appended.
    #[error("the key was used for another message, at an offset that may be trimmed")]
    KeyReused,
    /// Not known to be stored: it may have been carried out all the same. To repeat it safely a message needs a key.
    #[error("the log did not confirm: {0}")]
    Unavailable(#[from] StoreError),
    /// More than the log takes. Nothing was done.
    #[error("{what}: {size} is more than {max}")]
    TooLarge {
        /// What is too large, and in which unit.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A request that makes no sense. Nothing was done.
    #[error("bad request to the log: {cause}")]
    Invalid {
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

// === impl LogError ===

impl LogError {
    /// The error's stable code, also the label of its metric.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::StaleHome { .. } => "stale_home",
            Self::KeyReused => "key_reused",
            Self::Unavailable(_) => "log_unavailable",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid { .. } => "log_request_invalid",
            Self::NoRandomness => "no_randomness",
        }
    }

    /// Whether the same request may succeed later. Of [`Self::StaleHome`]: by the topic's new home.
    pub const fn temporary(&self) -> bool {
        match self {
            Self::StaleHome { .. } | Self::NoRandomness => true,
            // Whoever configured the store wrongly can put it right while homes go on trying.
            Self::Unavailable(_) => true,
            Self::KeyReused | Self::TooLarge { .. } | Self::Invalid { .. } => false,
        }
    }

    /// What can be done about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::StaleHome { .. } => "bring the view of the ring up to date and send to the topic's home",
            Self::KeyReused => "give each message a key of its own; repeat a message only as it was",
            Self::Unavailable(store) => store.remedy(),
            Self::TooLarge { .. } => "split it, or keep the data elsewhere and send a reference",
            Self::Invalid { .. } => "this is a mistake in the calling program: report it",
            Self::NoRandomness => "look at the system's random device",
        }
    }
}
