//! The ring of a service: 65,536 slots, each held by a member, in an immutable and versioned table.
//!
//! Pure: a [`Ring`] is a value, and every change is a function from one ring to the next. Who may change it,
//! and how the change is published, is the business of membership and of the stores. A key's way home is one
//! hash and one read: [`RingKey::slot`], then [`Ring::home`].

mod arcs;
mod balanced;
mod body;
mod bypass;
mod change;
mod document;
mod error;
mod hashed;
mod key;
mod member;
mod places;
mod record;
mod version;
mod view;

pub use arcs::{Arcs, SlotArc};
pub use document::{ALGORITHM, public_document};
pub use error::{RecordError, RingError};
pub use key::{RingKey, SLOTS, Slot};
pub use member::{
    Member, MemberIndex, MemberState, PEER_BYTES_MAX, SERVICE_BYTES_MAX, URL_BYTES_MAX, is_valid_peer,
    is_valid_service, is_valid_url,
};
pub use places::{INDEX_REST_VERSIONS, MEMBERS_MAX};
pub use record::{Head, RECORD_BYTES_MAX, Record, RecordKey};
pub use version::{Signature, Version};
pub use view::{Policy, Ring};

#[cfg(test)]
mod tests;
