//! The proof between processes: who dials, whom it means to reach, and that the listener knows the secret too.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::CLOCK_LEEWAY_S;
use super::codec::{CodecError, Signer};
use crate::{secret::KeySet, tokens::random_id};

/// Seconds a dialler's token lives.
const PEER_TOKEN_LIFE_S: u64 = 5;

/// A process in one of its lives: `id#generation`. Two lives of whatever processes have two generations: messages are known
/// by them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PeerName {
    /// The id, unique in the service.
    pub id: String,
    /// The incarnation: issued by the store to a node, made up by a process that is no member.
    pub generation: u64,
}

/// What a dialler's token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerClaims {
    /// Who dials.
    pub iss: PeerName,
    /// Whom it means to reach.
    pub aud: PeerName,
    /// The service both belong to.
    pub svc: String,
    /// End of the token's life, seconds since 1970.
    pub exp: u64,
    /// What the listener's proof must cover.
    pub nonce: String,
    /// Names this token; a listener takes it once.
    pub jti: String,
}

/// Signs and verifies the proofs of one service's processes.
#[derive(Clone)]
pub struct PeerTokens {
    signer: Signer,
    service: String,
    proofs: Vec<hmac::Key>,
}

/// Why a dialler was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerTokenError {
    /// Not signed with a secret of this cluster.
    #[error(
        "the peer's token was not signed with this cluster's secret: give all processes the same --secret"
    )]
    Invalid,
    /// Past its five seconds.
    #[error("the peer's token has expired: its clock and ours differ by more than {CLOCK_LEEWAY_S} s")]
    Expired,
    /// Meant for another process, or an earlier life of this one.
    #[error("the peer meant another process: its view of the ring is old")]
    OtherTarget,
    /// From a process of another service.
    #[error("the peer belongs to another service")]
    OtherService,
}

impl PeerTokens {
    /// Prepares the keys for the processes of `service`.
    pub fn new(keys: &KeySet, service: &str) -> Self {
        let proofs = keys.iter().map(|named| hmac::Key::new(hmac::HMAC_SHA256, named.key.bytes())).collect();
        Self { signer: Signer::new(keys, "peer"), service: service.to_owned(), proofs }
    }

    /// The dialler's token. `nonce` should be fresh from [`random_id`].
    pub fn sign(&self, issuer: &PeerName, target: &PeerName, nonce: &str, now_s: u64) -> String {
        let claims = PeerClaims {
            iss: issuer.clone(),
            aud: target.clone(),
            svc: self.service.clone(),
            exp: now_s + PEER_TOKEN_LIFE_S,
            nonce: nonce.to_owned(),
            jti: random_id(),
        };
        self.signer.sign(&claims).unwrap_or_default()
    }

    /// Checks a dialler's token as the listener `me`. Single use is the listener's to keep.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, token: &str, me: &PeerName, now_s: u64) -> Result<PeerClaims, PeerTokenError> {
        let claims: PeerClaims = self.signer.verify(token)?;
        if now_s > claims.exp + CLOCK_LEEWAY_S || claims.exp > now_s + PEER_TOKEN_LIFE_S + CLOCK_LEEWAY_S {
            return Err(PeerTokenError::Expired);
        }
        if claims.svc != self.service {
            return Err(PeerTokenError::OtherService);
        }
        if claims.aud != *me {
            return Err(PeerTokenError::OtherTarget);
        }
        Ok(claims)
    }

    /// The listener's proof that it knows the secret, over the dialler's nonce and both names.
    pub fn prove(&self, nonce: &str, issuer: &PeerName, target: &PeerName) -> String {
        let tag = hmac::sign(&self.proofs[0], &self.proof_text(nonce, issuer, target));
        URL_SAFE_NO_PAD.encode(tag)
    }

    /// Whether a listener's proof holds, compared in constant time.
    pub fn check_proof(&self, proof: &str, nonce: &str, issuer: &PeerName, target: &PeerName) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(proof) else { return false };
        let text = self.proof_text(nonce, issuer, target);
        self.proofs.iter().any(|key| hmac::verify(key, &text, &tag).is_ok())
    }

    fn proof_text(&self, nonce: &str, issuer: &PeerName, target: &PeerName) -> Vec<u8> {
        // A line each: none of the parts may hold a line break, so no two inputs give one text.
        format!("ringdial peer proof\n{}\n{nonce}\n{issuer}\n{target}", self.service).into_bytes()
    }
}

impl PeerTokenError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "peer_token_invalid",
            Self::Expired => "peer_token_expired",
            Self::OtherTarget => "peer_other_target",
            Self::OtherService => "peer_other_service",
        }
    }
}

impl From<CodecError> for PeerTokenError {
    fn from(_: CodecError) -> Self {
        Self::Invalid
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.id, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secrets;

    fn tokens(secret: &str) -> PeerTokens {
        crate::tokens::install_crypto();
        PeerTokens::new(Secrets::new(secret, &[]).unwrap().peer_keys(), "default")
    }

    fn name(id: &str, generation: u64) -> PeerName {
        PeerName { id: id.into(), generation }
    }

    const SECRET: &str = "a secret for tests, long enough to be taken";
    const OTHER: &str = "another secret, just as long as the first one";

    #[test]
    fn a_token_holds_for_its_target_and_its_moment_only() {
        let (a, b) = (name("a", 1), name("b", 2));
        let token = tokens(SECRET).sign(&a, &b, "nonce", 100);
        assert_eq!(tokens(SECRET).verify(&token, &b, 100).unwrap().iss, a);
        assert_eq!(tokens(SECRET).verify(&token, &name("b", 3), 100), Err(PeerTokenError::OtherTarget));
        assert_eq!(tokens(SECRET).verify(&token, &b, 111), Err(PeerTokenError::Expired));
        assert_eq!(tokens(OTHER).verify(&token, &b, 100), Err(PeerTokenError::Invalid));
    }

    #[test]
    fn a_proof_covers_nonce_names_and_secret() {
        let (a, b) = (name("a", 1), name("b", 2));
        let proof = tokens(SECRET).prove("nonce", &a, &b);
        assert!(tokens(SECRET).check_proof(&proof, "nonce", &a, &b));
        assert!(!tokens(SECRET).check_proof(&proof, "other", &a, &b));
        assert!(!tokens(SECRET).check_proof(&proof, "nonce", &b, &a));
        assert!(!tokens(OTHER).check_proof(&proof, "nonce", &a, &b));
        assert!(!tokens(SECRET).check_proof("", "nonce", &a, &b));
    }
}
