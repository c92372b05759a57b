//! What can be wrong with a change to a ring, and with a record that claims to hold one.

use super::hashed::WEIGHT_MAX;
use super::places::{INDEX_REST_VERSIONS, MEMBERS_MAX};
use super::record::RECORD_BYTES_MAX;

/// Why a member cannot join a ring.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    /// The id is empty, too long, or has control characters.
    #[error("the node id is not valid: give 1 to 256 bytes without control characters")]
    InvalidId,
    /// The public url is not one that a client could open.
    #[error("the node's public url is not valid: give ws:// or wss:// with a host, and no user or fragment")]
    InvalidUrl,
    /// The peer address is not one that a node could dial.
    #[error("the node's peer address is not valid: give host:port")]
    InvalidPeer,
    /// The weight is 0.
    #[error("a node's weight is at least 1: to take a node out, drain it or let it leave")]
    InvalidWeight,
    /// The weight has too many virtual nodes for the `hashed` policy.
    #[error("a node's weight is at most {WEIGHT_MAX} under the policy `hashed`: scale all weights down")]
    WeightTooLarge,
    /// All indices are in use, or too lately vacated to be used again.
    #[error(
        "the ring is full: {MEMBERS_MAX} nodes, counting those that left within the last {INDEX_REST_VERSIONS} \
         versions; split the service, or wait"
    )]
    Full,
    /// The ring's record would be larger than a store may hold.
    #[error("the ring's record would pass {RECORD_BYTES_MAX} bytes: use shorter ids and addresses")]
    TooLarge,
    /// The operating system gave no random bytes for a new ring key.
    #[error("the operating system gives no random bytes: try again")]
    NoRandomness,
}

/// Why bytes from a store are not a ring.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// More bytes than a record may have.
    #[error(
        "the ring record has {bytes} bytes, {RECORD_BYTES_MAX} at most: something else wrote it; delete it"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No header line of this format.
    #[error("the ring record has no `ringdial-ring/1` header: something else wrote it; delete it")]
    Malformed,
    /// A record of another service.
    #[error("the ring record is of another service: check that services do not share store keys")]
    WrongService,
    /// No key that we know signed this.
    #[error("the ring record is not signed with this cluster's secret: give all processes the same secrets")]
    Unsigned,
    /// Signed, but not the JSON that it should be.
    #[error("the ring record's body is not of its format (written by another release?)")]
    Body(#[from] serde_json::Error),
    /// Signed and well-typed, but a field is out of bounds or contradicts another.
    #[error("the ring record is not consistent: {problem} (written by another release?)")]
    Inconsistent {
        /// The field, and what is wrong with it.
        problem: &'static str,
    },
    /// The table is not the one that was signed for.
    #[error(
        "the ring record's table does not have the signature that it states (written by another release?)"
    )]
    Checksum,
}

// === impl RingError ===

impl RingError {
    /// The error's stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidId => "node_id_invalid",
            Self::InvalidUrl => "node_url_invalid",
            Self::InvalidPeer => "node_peer_invalid",
            Self::InvalidWeight => "node_weight_invalid",
            Self::WeightTooLarge => "node_weight_too_large",
            Self::Full => "ring_full",
            Self::TooLarge => "ring_too_large",
            Self::NoRandomness => "no_randomness",
        }
    }
}

// === impl RecordError ===

impl RecordError {
    /// The error's stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "record_too_large",
            Self::Malformed => "record_malformed",
            Self::WrongService => "record_wrong_service",
            Self::Unsigned => "record_unsigned",
            Self::Body(_) => "record_body_invalid",
            Self::Inconsistent { .. } => "record_inconsistent",
            Self::Checksum => "record_checksum",
        }
    }
}
