//! The cluster secret and the keys derived from it.
//!
//! One secret is configured; a key per purpose is derived from it with HKDF-SHA256 (RFC 5869), so that a ticket can
//! never be taken for a peer's token nor either for a record's seal. The first one signs, all of them verify, and `kid`
//! tells which. To rotate, let every process *accept* the new secret (as a previous one) before any signs with it.

use std::fmt;

use aws_lc_rs::hkdf;

use crate::membership::RecordKeys;
use crate::ring::RecordKey;

/// The least number of bytes a secret may have.
pub const SECRET_BYTES_MIN: usize = 32;

/// The most previous secrets that are accepted beside the current one.
pub const PREVIOUS_SECRETS_MAX: usize = 4;

const SALT: &[u8] = b"ringdial/1";

/// A 256-bit key derived for one purpose. Its bytes are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DerivedKey([u8; 32]);

/// One key of a [`KeySet`] with the short public name that tokens carry.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// Eight characters derived from the secret; it reveals nothing of it.
    pub kid: String,
    /// The key itself.
    pub key: DerivedKey,
}

/// The keys of one purpose: the first signs, every one verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySet(Vec<NamedKey>);

/// The cluster's secrets: the current one and those it is being rotated away from.
#[derive(Clone)]
pub struct Secrets {
    records: KeySet,
    tickets: KeySet,
    peers: KeySet,
}

/// Why a secret was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Shorter than [`SECRET_BYTES_MIN`].
    #[error(
        "a secret has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed: make one with `openssl rand -base64 48`"
    )]
    TooShort {
        /// How long it was.
        bytes: usize,
    },
    /// More than [`PREVIOUS_SECRETS_MAX`] previous secrets.
    #[error("{count} previous secrets, at most {PREVIOUS_SECRETS_MAX} are taken: drop the oldest")]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// The key derivation failed, which no input should be able to cause.
    #[error("keys could not be derived from the secret")]
    Derivation,
}

impl Secrets {
    /// Derives every key from the `current` secret and the `previous` ones.
    ///
    /// # Errors
    /// A secret under 32 bytes, or more than four previous ones.
    pub fn new(current: &str, previous: &[&str]) -> Result<Self, SecretError> {
        if previous.len() > PREVIOUS_SECRETS_MAX {
            return Err(SecretError::TooMany { count: previous.len() });
        }
        let all: Vec<&str> = std::iter::once(current).chain(previous.iter().copied()).collect();
        if let Some(short) = all.iter().find(|secret| secret.len() < SECRET_BYTES_MIN) {
            return Err(SecretError::TooShort { bytes: short.len() });
        }
        Ok(Self {
            records: KeySet::derive(&all, b"record")?,
            tickets: KeySet::derive(&all, b"ticket")?,
            peers: KeySet::derive(&all, b"peer")?,
        })
    }

    /// Keys that seal what the store holds: the first one seals, every one opens.
    pub fn record_keys(&self) -> RecordKeys {
        let key = |named: &NamedKey| RecordKey::new(*named.key.bytes());
        RecordKeys::new(key(self.records.signing()), self.records.iter().skip(1).map(key))
    }

    /// Keys that sign tickets.
    pub fn ticket_keys(&self) -> &KeySet {
        &self.tickets
    }

    /// Keys that prove one process to another.
    pub fn peer_keys(&self) -> &KeySet {
        &self.peers
    }
}

// === impl KeySet ===

impl KeySet {
    fn derive(secrets: &[&str], purpose: &[u8]) -> Result<Self, SecretError> {
        secrets.iter().map(|secret| NamedKey::derive(secret, purpose)).collect::<Result<_, _>>().map(Self)
    }

    /// The key that signs. There always is one.
    pub fn signing(&self) -> &NamedKey {
        &self.0[0]
    }

    /// The key named `kid`, if this process knows it.
    pub fn find(&self, kid: &str) -> Option<&NamedKey> {
        self.0.iter().find(|named| named.kid == kid)
    }

    /// Every key, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &NamedKey> {
        self.0.iter()
    }
}

// === impl NamedKey ===

impl NamedKey {
    fn derive(secret: &str, purpose: &[u8]) -> Result<Self, SecretError> {
        let key = expand(secret, &[purpose, b" key"])?;
        let name = expand(secret, &[purpose, b" kid"])?;
        let kid = name[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { kid, key: DerivedKey(key) })
    }
}

// === impl DerivedKey ===

impl DerivedKey {
    /// The raw bytes, for the algorithm that uses them.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

impl fmt::Debug for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedKey({})", self.kid)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

fn expand(secret: &str, info: &[&[u8]]) -> Result<[u8; 32], SecretError> {
    let mut out = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret.as_bytes())
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|key| key.fill(&mut out))
        .map_err(|_| SecretError::Derivation)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "the new secret, thirty-two bytes or more";
    const OLD: &str = "the old secret, thirty-two bytes or more";

    #[test]
    fn purposes_get_different_keys() {
        let secrets = Secrets::new(NEW, &[]).unwrap();
        let keys = [&secrets.records, secrets.ticket_keys(), secrets.peer_keys()];
        assert_ne!(keys[0].signing(), keys[1].signing());
        assert_ne!(keys[1].signing(), keys[2].signing());
        assert_ne!(keys[0].signing().kid, keys[1].signing().kid);
    }

    #[test]
    fn rotation_keeps_the_old_key_for_verifying() {
        let before = Secrets::new(OLD, &[]).unwrap();
        let after = Secrets::new(NEW, &[OLD]).unwrap();
        let old = before.ticket_keys().signing();
        assert_eq!(after.ticket_keys().find(&old.kid), Some(old));
        assert_ne!(after.ticket_keys().signing(), old);
    }

    #[test]
    fn short_secrets_are_refused_and_none_is_printed() {
        assert_eq!(Secrets::new("short", &[]).unwrap_err(), SecretError::TooShort { bytes: 5 });
        let shown = format!(
            "{:?} {:?}",
            Secrets::new(NEW, &[]).unwrap(),
            Secrets::new(NEW, &[]).unwrap().peer_keys()
        );
        assert!(!shown.contains("thirty"), "{shown}");
    }
}
