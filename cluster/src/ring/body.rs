//! The JSON body of a ring record: how a ring is written out, and everything that is checked before one is
//! believed.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::error::RecordError;
use super::key::{RingKey, SLOTS};
use super::member::{Member, MemberState, is_valid_peer, is_valid_service, is_valid_url};
use super::places::{MEMBERS_MAX, Place, Places};
use super::version::{Signature, Version};
use super::view::{Holders, NOBODY, Policy, Ring, bytes_of, signature};
use crate::limits;

/// The record of a ring. Fields that a later release adds are ignored.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) service: String,
    pub(super) version: Version,
    pub(super) signature: Signature,
    ring_key: String,
    policy: Policy,
    log_generation: u64,
    /// One for each index, from 0.
    index: Vec<Entry>,
    /// The table: base64 of the holders as u16 little-endian.
    holders: String,
}

/// One index: a member, or with `vacated` the id that had it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Member { id: String, generation: u64, url: String, peer: String, weight: u32, state: MemberState },
    Vacated { id: String, vacated: u32 },
}

/// Bytes of a body beyond its strings: names, punctuation, and numbers at their longest.
const BODY_BYTES: usize = 512 + SLOTS * 2 / 3 * 4 + 8;
/// The same for an entry.
const ENTRY_BYTES: usize = 128;

// === impl Body ===

impl Body {
    pub(super) fn of(ring: &Ring) -> Self {
        Self {
            service: ring.service.to_string(),
            version: ring.version,
            signature: ring.signature,
            ring_key: ring.key.to_string(),
            policy: ring.policy,
            log_generation: ring.log_generation,
            index: ring.places.all().iter().map(Entry::of).collect(),
            holders: BASE64.encode(bytes_of(&ring.holders)),
        }
    }

    /// The body as text. Its types cannot fail to serialise; were it otherwise, an empty body opens as no
    /// ring.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The ring of this body, if every field is within its bounds and agrees with the others.
    pub(super) fn into_ring(self) -> Result<Ring, RecordError> {
        ensure(is_valid_service(&self.service), "`service` is not a service's name")?;
        ensure(self.version.term > 0, "`version` has term 0")?;
        ensure(self.index.len() <= MEMBERS_MAX, "`index` has too many entries")?;
        let key = RingKey::from_hex(&self.ring_key)
            .ok_or(inconsistent("`ring_key` is not 32 hexadecimal digits"))?;
        let list = self.index.into_iter().map(Entry::into_place).collect::<Result<Vec<_>, _>>()?;
        let mut places = Places::of(list).ok_or(inconsistent("two entries of `index` have the same id"))?;
        let holders = decode_holders(&self.holders)?;
        check_holders(&holders, &places)?;
        if signature(key, &holders) != self.signature {
            return Err(RecordError::Checksum);
        }
        places.recount(&holders);
        Ok(Ring {
            service: self.service.into(),
            version: self.version,
            signature: self.signature,
            key,
            policy: self.policy,
            log_generation: self.log_generation,
            places: Arc::new(places),
            holders,
            published: None,
        })
    }
}

/// An upper bound of the bytes of a ring's record, header included.
pub(super) fn bytes_at_most(ring: &Ring) -> usize {
    let entries = ring.places.all().iter().map(|Place { member, vacated, .. }| {
        let addresses = if vacated.is_none() { escaped(&member.url) + escaped(&member.peer) } else { 0 };
        ENTRY_BYTES + escaped(&member.id) + addresses
    });
    BODY_BYTES + 2 * ring.service.len() + entries.sum::<usize>()
}

/// Bytes of a string in JSON, for strings without control characters.
fn escaped(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// Each holder has to be a member that may hold slots, and either all slots are held or, without members,
/// none.
fn check_holders(holders: &Holders, places: &Places) -> Result<(), RecordError> {
    if places.live_count() == 0 {
        return ensure(
            holders.iter().all(|index| *index == NOBODY),
            "`holders` names a member, and there is none",
        );
    }
    let active = places.has_active();
    let may_hold =
        |place: &Place| place.vacated.is_none() && (!active || place.member.state == MemberState::Active);
    let valid: Vec<bool> = places.all().iter().map(may_hold).collect();
    let holds = |index: u16| valid.get(usize::from(index)).copied().unwrap_or(false);
    ensure(holders.iter().all(|index| holds(*index)), "`holders` names an index that may not hold slots")
}

fn decode_holders(text: &str) -> Result<Arc<Holders>, RecordError> {
    let bytes = BASE64.decode(text).map_err(|_| inconsistent("`holders` is not base64"))?;
    ensure(bytes.len() == SLOTS * 2, "`holders` has not 65,536 entries")?;
    let mut holders = Arc::new([NOBODY; SLOTS]);
    for (index, bytes) in Arc::make_mut(&mut holders).iter_mut().zip(bytes.chunks_exact(2)) {
        *index = u16::from_le_bytes([bytes[0], bytes[1]]);
    }
    Ok(holders)
}

fn ensure(holds: bool, problem: &'static str) -> Result<(), RecordError> {
    if holds { Ok(()) } else { Err(inconsistent(problem)) }
}

const fn inconsistent(problem: &'static str) -> RecordError {
    RecordError::Inconsistent { problem }
}

// === impl Entry ===

impl Entry {
    fn of(Place { member, vacated, .. }: &Place) -> Self {
        let Member { id, generation, url, peer, weight, state } = member.clone();
        match *vacated {
            Some(vacated) => Self::Vacated { id, vacated },
            None => Self::Member { id, generation, url, peer, weight, state },
        }
    }

    fn into_place(self) -> Result<Place, RecordError> {
        let (member, vacated) = match self {
            Self::Member { id, generation, url, peer, weight, state } => {
                ensure(is_valid_url(&url), "a member's `url` is not ws:// or wss:// with a host")?;
                ensure(is_valid_peer(&peer), "a member's `peer` is not host:port")?;
                ensure(weight > 0, "a member's `weight` is 0")?;
                (Member { id, generation, url, peer, weight, state }, None)
            }
            Self::Vacated { id, vacated } => (Member::vacated(id), Some(vacated)),
        };
        ensure(limits::is_id(&member.id), "an `id` is not 1 to 256 bytes without control characters")?;
        Ok(Place { member, slots: 0, vacated })
    }
}
