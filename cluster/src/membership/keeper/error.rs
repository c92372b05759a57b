//! Why a process could not become, or remain, a member.

use thiserror::Error;

use crate::ring::RingError;
use crate::store::StoreError;

/// The keeper could not do what was asked of it.
#[derive(Clone, Debug, Error)]
pub enum KeeperError {
    /// The store did not answer as it must, for as long as was to be waited.
    #[error("{cause} (waited {waited_ms} ms)")]
    Store {
        /// The last failure.
        cause: StoreError,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// Another node with this id is alive, at other addresses.
    #[error("the node id {id:?} is in use by the node at {url} (peer address {peer})")]
    IdInUse {
        /// The id.
        id: String,
        /// The other node's public url.
        url: String,
        /// The other node's peer address.
        peer: String,
    },
    /// A younger process registered with this id and these addresses.
    #[error("the node {id:?} was replaced by a younger process with the same id and addresses")]
    Replaced {
        /// The id.
        id: String,
    },
    /// The ring does not take this member.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The store holds a ring that this process cannot open, and nobody brought another one.
    #[error("the store holds a ring of this service that cannot be opened ({code})")]
    Foreign {
        /// Why it cannot be opened.
        code: &'static str,
    },
    /// The keeper was shut down before it was done.
    #[error("membership was shut down")]
    Stopped,
}

// === impl KeeperError ===

impl KeeperError {
    /// The error's stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Store { cause, .. } => cause.code(),
            Self::IdInUse { .. } => "id_in_use",
            Self::Replaced { .. } => "id_replaced",
            Self::Ring(error) => error.code(),
            Self::Foreign { .. } => "ring_foreign",
            Self::Stopped => "membership_stopped",
        }
    }

    /// Whether trying again can help without anybody changing the configuration.
    pub const fn temporary(&self) -> bool {
        match self {
            Self::Store { cause, .. } => cause.temporary(),
            Self::Ring(error) => matches!(error, RingError::Full | RingError::NoRandomness),
            Self::IdInUse { .. } | Self::Replaced { .. } | Self::Foreign { .. } | Self::Stopped => false,
        }
    }

    /// What an operator can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Store { cause, .. } => cause.remedy(),
            Self::IdInUse { .. } => {
                "give each node an id of its own, or wait until the other one's lease has lapsed"
            }
            Self::Replaced { .. } => "run one process per node id; stop the older one",
            Self::Ring(RingError::Full | RingError::TooLarge) => "split the service, or take nodes out",
            Self::Ring(_) => "correct the node's id, url, peer address or weight",
            Self::Foreign { .. } => {
                "give all processes the same --secret and release; if nobody uses that ring, delete its key in the store"
            }
            Self::Stopped => "start the process again",
        }
    }
}

impl From<StoreError> for KeeperError {
    fn from(cause: StoreError) -> Self {
        Self::Store { cause, waited_ms: 0 }
    }
}
