//! What tells two rings apart: the version says which is newer, the signature whether they are the same.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The version of a ring, compared by term, then number. The number grows by one with every change; the term
/// only when a ring is put back into a store that had lost it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version {
    /// How often the ring was put back, from 1.
    pub term: u32,
    /// How often it was changed, from 0. Goes on growing across terms.
    pub number: u32,
}

/// The checksum of a ring's table: SipHash-1-3 under the ring key of the holders as u16 little-endian
/// indices, 65,535 for a slot without holder. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(u64);

// === impl Version ===

impl Version {
    /// The version as one number: term * 2^32 + number.
    pub const fn as_u64(self) -> u64 {
        (self.term as u64) << 32 | self.number as u64
    }

    /// The version that [`Version::as_u64`] gave as `value`.
    pub const fn from_u64(value: u64) -> Self {
        Self { term: (value >> 32) as u32, number: value as u32 }
    }

    /// The version of the next change. After the last number of a term comes the next term.
    pub const fn next(self) -> Self {
        Self::from_u64(self.as_u64().saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_u64().fmt(f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.as_u64())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_u64)
    }
}

// === impl Signature ===

impl Signature {
    /// The signature with this value.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The signature's value.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The signature of exactly 16 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| D::Error::custom("a signature is 16 lower-case hexadecimal digits"))
    }
}
