//! Encoding and signature checks for HS256 tokens: the one place where the library is called.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Serialize, de::DeserializeOwned};

use crate::secret::{KeySet, NamedKey};

/// Why the outer form of a token was refused, before any claim was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodecError {
    Malformed,
    Algorithm,
    UnknownKey,
    Signature,
    Critical,
}

/// Chooses the cryptographic provider for the whole process. Call it first in `main`; calling it again does nothing.
pub fn install_crypto() {
    // An error only says that a provider is installed already.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// Keys prepared for signing and verifying tokens of one `typ`.
#[derive(Clone)]
pub(super) struct Signer {
    header: Header,
    signing: EncodingKey,
    verifying: Vec<(String, DecodingKey)>,
    validation: Validation,
}

impl Signer {
    pub(super) fn new(keys: &KeySet, typ: &str) -> Self {
        let current = keys.signing();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(current.kid.clone());
        Self {
            header,
            signing: EncodingKey::from_secret(current.key.bytes()),
            verifying: keys
                .iter()
                .map(|NamedKey { kid, key }| (kid.clone(), DecodingKey::from_secret(key.bytes())))
                .collect(),
            validation: signature_only(),
        }
    }

    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Option<String> {
        encode(&self.header, claims, &self.signing).ok()
    }

    /// Checks form, `typ`, `kid` and signature; every claim is the caller's to check.
    pub(super) fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<T, CodecError> {
        let header = checked_header(token)?;
        if header.typ != self.header.typ {
            return Err(CodecError::Malformed);
        }
        let kid = header.kid.as_deref().ok_or(CodecError::UnknownKey)?;
        let (_, key) = self.verifying.iter().find(|(name, _)| name == kid).ok_or(CodecError::UnknownKey)?;
        decode_signed(token, key, &self.validation)
    }
}

/// A validation that leaves every claim to the caller.
pub(super) fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// The header, refused when it names another algorithm or extensions that we don't know (RFC 7515, 4.1.11).
pub(super) fn checked_header(token: &str) -> Result<Header, CodecError> {
    let header = decode_header(token).map_err(|_| CodecError::Malformed)?;
    if header.alg != Algorithm::HS256 {
        return Err(CodecError::Algorithm);
    }
    if header.crit.is_some() {
        return Err(CodecError::Critical);
    }
    Ok(header)
}

pub(super) fn decode_signed<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<T, CodecError> {
    use jsonwebtoken::errors::ErrorKind;
    decode::<T>(token, key, validation).map(|data| data.claims).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => CodecError::Signature,
        ErrorKind::InvalidAlgorithm => CodecError::Algorithm,
        _ => CodecError::Malformed,
    })
}
