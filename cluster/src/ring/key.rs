//! The fixed half of the ring: a keyed hash takes a key to its point, and the point's top 16 bits are its
//! slot.
//!
//! A key sits in the same slot for as long as the ring key lives; only the holders of slots change.

use std::fmt;

use siphasher::sip::SipHasher13;

use super::error::RingError;
use crate::chance;

/// Number of slots (virtual nodes at equal distances) on every ring.
pub const SLOTS: usize = 65_536;

/// The 16-byte key of SipHash-1-3 for one cluster. Random, made once, and published in the ring document so
/// that anyone who may read the document can verify a placement; it is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RingKey([u8; 16]);

/// One of the [`SLOTS`] virtual nodes. Ordered clockwise from the ring's origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

// === impl RingKey ===

impl RingKey {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A new random key. Fails with [`RingError::NoRandomness`] where the operating system gives none.
    pub fn random() -> Result<Self, RingError> {
        let mut bytes = [0; 16];
        chance::fill(&mut bytes).map_err(|_| RingError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The key of 32 hexadecimal digits, as documents show it.
    pub fn from_hex(text: &str) -> Option<Self> {
        // `from_str_radix` alone would also take a leading `+`.
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(value.to_be_bytes()))
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// SipHash-1-3 of `bytes` under this key.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        // The halves, because this constructor is inlined and the one from 16 bytes is not.
        let value = u128::from_le_bytes(self.0);
        SipHasher13::new_with_keys(value as u64, (value >> 64) as u64).hash(bytes)
    }

    /// The point of a key on the ring. The key carries its prefix: `u:` and a user id, or `g:` and a group
    /// name; it is hashed as it stands, without normalisation.
    #[inline]
    pub fn point(&self, key: &str) -> u64 {
        self.hash(key.as_bytes())
    }

    /// The slot of a key, prefix included: where its point falls.
    #[inline]
    pub fn slot(&self, key: &str) -> Slot {
        Slot::of(self.point(key))
    }
}

impl fmt::Display for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingKey({self})")
    }
}

// === impl Slot ===

impl Slot {
    /// The slot with this number.
    #[inline]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The slot that a point falls in: its top 16 bits.
    #[inline]
    pub const fn of(point: u64) -> Self {
        Self((point >> 48) as u16)
    }

    /// The slot's number, 0 to 65,535.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The slot's number as an index into a table of [`SLOTS`] entries.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// splitmix64's finaliser on `x + 0x9e3779b97f4a7c15` (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators, 2014). A bijection, so that different slots never tie.
#[inline]
pub(crate) const fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
