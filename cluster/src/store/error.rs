//! What can go wrong with a store, as its callers need to know it: a stable code, whether trying again can help, and
//! what an operator can do. The texts name the server's address and never its password.

use thiserror::Error;

/// An operation on the store failed. For a write, `Unreachable` and `TimedOut` leave open whether it was carried out.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StoreError {
    /// No connection to the server, or it broke.
    #[error("the store at {address} cannot be reached: {cause}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the network or the server said.
        cause: String,
    },
    /// The server took the request and did not answer in time.
    #[error("the store at {address} did not answer within {after_ms} ms")]
    TimedOut {
        /// Host and port.
        address: String,
        /// How long the answer was waited for.
        after_ms: u64,
    },
    /// The server is there but takes no requests or no writes at present: loading, a replica, out of memory.
    #[error("the store at {address} is not ready: {cause}")]
    NotReady {
        /// Host and port.
        address: String,
        /// The server's answer.
        cause: String,
    },
    /// The server refuses this user: wrong password, or a right is missing.
    #[error("the store at {address} refuses access: {cause}")]
    Denied {
        /// Host and port.
        address: String,
        /// The server's answer.
        cause: String,
    },
    /// The url, or the server behind it, is of a kind that cannot be used.
    #[error("unsupported store: {cause}")]
    Unsupported {
        /// What was met.
        cause: String,
    },
    /// The configuration makes no sense.
    #[error("bad store configuration: {cause}")]
    Invalid {
        /// What is wrong with it.
        cause: String,
    },
    /// The server answered something that the operation does not know.
    #[error("the store at {address} gave an unexpected answer: {cause}")]
    Unexpected {
        /// Host and port.
        address: String,
        /// What was unexpected.
        cause: String,
    },
}

// === impl StoreError ===

impl StoreError {
    /// The error's stable code, also the label of its metric.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "store_unreachable",
            Self::TimedOut { .. } => "store_timeout",
            Self::NotReady { .. } => "store_not_ready",
            Self::Denied { .. } => "store_denied",
            Self::Unsupported { .. } => "store_unsupported",
            Self::Invalid { .. } => "store_config_invalid",
            Self::Unexpected { .. } => "store_unexpected_answer",
        }
    }

    /// Whether the same request may succeed later without anybody changing the configuration.
    pub const fn temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::NotReady { .. })
    }

    /// What an operator can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "start the Redis server, or correct host and port in --redis",
            Self::TimedOut { .. } => "look at the Redis server's load and at the network to it",
            Self::NotReady { .. } => {
                "wait until the Redis server has loaded its data; point --redis at the primary; look at its memory and disk"
            }
            Self::Denied { .. } => {
                "correct user and password in --redis; the user needs scripts, pub/sub and the keys ringdial:*"
            }
            Self::Unsupported { .. } => {
                "give --redis as redis://host:port or rediss://host:port of a Redis 7 primary"
            }
            Self::Invalid { .. } => "correct --redis: redis://[user:password@]host:port[/database]",
            Self::Unexpected { .. } => {
                "check that the server is a Redis 7 and that nobody else writes keys named ringdial:*"
            }
        }
    }
}
