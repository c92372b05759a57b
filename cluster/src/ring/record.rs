//! The signed record of a ring, as a store holds it: untrusted bytes until a key has vouched for them.
//!
//! One header line, `ringdial-ring/1 <service> <version> <signature> <mac>`, then a JSON body. The mac is the
//! HMAC-SHA256 (RFC 2104), in hexadecimal, of the header up to the space before it, a newline and the body,
//! so that no field of either can be exchanged, and no record passes for another service's.

use std::fmt::{self, Write};

use aws_lc_rs::hmac;
use bytes::Bytes;

use super::body::Body;
use super::error::RecordError;
use super::member::SERVICE_BYTES_MAX;
use super::version::{Signature, Version};
use super::view::Ring;

/// Most bytes of a record.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Longest header line: format, service, version, signature, mac and what is between them.
const HEADER_BYTES_MAX: usize = FORMAT.len() + SERVICE_BYTES_MAX + 20 + 16 + 64 + 5;

const FORMAT: &str = "ringdial-ring/1";

/// The key that signs and verifies records, derived from the cluster's secret.
#[derive(Clone)]
pub struct RecordKey([u8; 32]);

/// The bytes of a signed record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record(Bytes);

/// What a record's header says, unverified: enough to see that the store holds another record than before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Head {
    /// The version.
    pub version: Version,
    /// The table's signature.
    pub signature: Signature,
    /// The record's HMAC.
    pub mac: [u8; 32],
}

// === impl RecordKey ===

impl RecordKey {
    /// The key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(..)")
    }
}

// === impl Record ===

impl Record {
    /// The record of a ring, signed.
    pub fn seal(ring: &Ring, key: &RecordKey) -> Self {
        let mut head = format!("{FORMAT} {} {} {}", ring.service, ring.version, ring.signature);
        let body = Body::of(ring).to_json();
        let mac = hmac::sign(&key.hmac(), &signed_part(&head, body.as_bytes()));
        let _ = writeln!(head, " {}", Hex(mac.as_ref()));
        Self((head + &body).into())
    }

    /// The ring in a record of `service` that one of `keys` signed. Everything about it is checked, and
    /// nothing of it is used otherwise; what is wrong with a record is wrong for good.
    pub fn open(bytes: &[u8], service: &str, keys: &[RecordKey]) -> Result<Ring, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge { bytes: bytes.len() });
        }
        let header = Header::parse(bytes).ok_or(RecordError::Malformed)?;
        if header.service != service {
            return Err(RecordError::WrongService);
        }
        let signed = signed_part(header.signed, header.body);
        if !keys.iter().any(|key| hmac::verify(&key.hmac(), &signed, &header.head.mac).is_ok()) {
            return Err(RecordError::Unsigned);
        }
        let body: Body = serde_json::from_slice(header.body)?;
        let Head { version, signature, .. } = header.head;
        if (body.service.as_str(), body.version, body.signature) != (service, version, signature) {
            return Err(RecordError::Inconsistent { problem: "header and body differ" });
        }
        body.into_ring()
    }

    /// What the header of a record says, without checking its signature. `None` if there is no such header.
    pub fn head(bytes: &[u8]) -> Option<Head> {
        Header::parse(bytes).map(|header| header.head)
    }

    /// The record's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The record's bytes, to give to a store.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

// === impl Header ===

/// A record taken apart.
struct Header<'a> {
    service: &'a str,
    head: Head,
    /// The header line up to the space before the mac.
    signed: &'a str,
    body: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.iter().take(HEADER_BYTES_MAX).position(|byte| *byte == b'\n')?;
        let line = str::from_utf8(&bytes[..end]).ok()?;
        let (signed, mac) = line.rsplit_once(' ')?;
        let mut fields = signed.split(' ');
        let (format, service, version, signature) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if format != FORMAT || fields.next().is_some() {
            return None;
        }
        let version = version.bytes().all(|byte| byte.is_ascii_digit()).then(|| version.parse().ok())??;
        let signature = Signature::from_hex(signature)?;
        let head = Head { version: Version::from_u64(version), signature, mac: from_hex(mac)? };
        Some(Self { service, head, signed, body: &bytes[end + 1..] })
    }
}

/// What the mac covers.
fn signed_part(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\n", body].concat()
}

/// Bytes, shown as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate().filter(|_| digits) {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    digits.then_some(bytes)
}
