//! The ring as a value that everybody reads: who holds which slot in this version.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key::{RingKey, SLOTS, Slot};
use super::member::{Member, MemberIndex};
use super::places::{MEMBERS_MAX, Places};
use super::version::{Signature, Version};

/// The table's entry for a slot that nobody holds.
pub(super) const NOBODY: u16 = u16::MAX;

/// The table: for each slot the index of its holder.
pub(super) type Holders = [u16; SLOTS];

/// How a change of members changes the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Exactly proportional shares, exactly minimal moves; depends on the history of changes.
    #[default]
    Balanced,
    /// The classic ring: hashed virtual nodes, shares that scatter, no history.
    Hashed,
}

/// One version of a service's ring. Immutable; cloning shares table and members.
#[derive(Clone, PartialEq, Eq)]
pub struct Ring {
    pub(super) service: Arc<str>,
    pub(super) version: Version,
    pub(super) signature: Signature,
    pub(super) key: RingKey,
    pub(super) policy: Policy,
    pub(super) log_generation: u64,
    pub(super) places: Arc<Places>,
    pub(super) holders: Arc<Holders>,
    /// The published table, where this one is read past the dead.
    pub(super) published: Option<Arc<Holders>>,
}

// === impl Policy ===

impl Policy {
    /// The policy's name in documents and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Hashed => "hashed",
        }
    }
}

// === impl Ring ===

impl Ring {
    /// The first ring of a service: term 1, number 0, no members, log generation 1. `service` is a name that
    /// [`is_valid_service`](super::is_valid_service) takes; a record of a ring with another name cannot be
    /// opened.
    pub fn genesis(service: &str, key: RingKey, policy: Policy) -> Self {
        let holders = Arc::new([NOBODY; SLOTS]);
        Self {
            service: service.into(),
            version: Version { term: 1, number: 0 },
            signature: signature(key, &holders),
            key,
            policy,
            log_generation: 1,
            places: Arc::default(),
            holders,
            published: None,
        }
    }

    /// The service whose ring this is.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Which version this is.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The table's checksum.
    pub const fn signature(&self) -> Signature {
        self.signature
    }

    /// The key that takes keys to slots.
    pub const fn key(&self) -> RingKey {
        self.key
    }

    /// How the table was made.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// How often the service's log may have lost its end, from 1: grows with every put back.
    pub const fn log_generation(&self) -> u64 {
        self.log_generation
    }

    /// The member that holds a slot: the home of the keys in it. `None` only while there are no members.
    #[inline]
    pub fn home(&self, slot: Slot) -> Option<&Member> {
        self.places.get(self.holders[slot.index()]).map(|place| &place.member)
    }

    /// The index of the member that holds a slot.
    #[inline]
    pub fn holder(&self, slot: Slot) -> Option<MemberIndex> {
        let index = self.holders[slot.index()];
        (index != NOBODY).then_some(MemberIndex(index))
    }

    /// The first holder clockwise from a slot, the slot's own included, that is not to be skipped: the next
    /// node for those that cannot use the home. `skip` is asked once per holder. `None` if it skips all, as soon as all
    /// were asked.
    pub fn next_home(&self, slot: Slot, skip: impl Fn(&Member) -> bool) -> Option<&Member> {
        let mut asked = [0u64; MEMBERS_MAX / 64];
        // Of those that were not asked yet.
        let mut slots_left = SLOTS as u32;
        let (before, from) = self.holders.split_at(slot.index());
        for &index in from.iter().chain(before) {
            let place = self.places.get(index)?;
            let (word, bit) = (usize::from(index) / 64, 1 << (index % 64));
            if asked[word] & bit == 0 {
                if !skip(&place.member) {
                    return Some(&place.member);
                }
                asked[word] |= bit;
                slots_left = slots_left.saturating_sub(place.slots);
                if slots_left == 0 {
                    return None;
                }
            }
        }
        None
    }

    /// The member with an index.
    pub fn member_at(&self, index: MemberIndex) -> Option<&Member> {
        self.places.get(index.0).filter(|place| place.vacated.is_none()).map(|place| &place.member)
    }

    /// The member with an id.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.member_at(self.index_of(id)?)
    }

    /// The index of the member with an id.
    pub fn index_of(&self, id: &str) -> Option<MemberIndex> {
        self.places.find(id).map(MemberIndex)
    }

    /// The members in the order of their indices, draining ones too.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.places.live().map(|(_, place)| &place.member)
    }

    /// How many members there are, draining ones too.
    pub fn member_count(&self) -> usize {
        self.places.live_count()
    }

    /// How many slots a member holds; 0 for an id that is not a member's.
    pub fn slot_count(&self, id: &str) -> u32 {
        self.places.find(id).and_then(|index| self.places.get(index)).map_or(0, |place| place.slots)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("service", &self.service)
            .field("version", &self.version.as_u64())
            .field("signature", &self.signature)
            .field("policy", &self.policy)
            .field("members", &self.places.live_count())
            .finish_non_exhaustive()
    }
}

/// The checksum of a table under a ring key.
pub(super) fn signature(key: RingKey, holders: &Holders) -> Signature {
    Signature::new(key.hash(&bytes_of(holders)))
}

/// A table as u16 little-endian.
pub(super) fn bytes_of(holders: &Holders) -> Vec<u8> {
    let mut bytes = vec![0; SLOTS * 2];
    for (bytes, index) in bytes.chunks_exact_mut(2).zip(holders) {
        bytes.copy_from_slice(&index.to_le_bytes());
    }
    bytes
}
