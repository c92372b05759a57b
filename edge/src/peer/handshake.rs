//! The mutual proof that opens a link, as the listener checks it.
//!
//! ```text
//! GET /peer HTTP/1.1                                 101 Switching Protocols
//! Sec-WebSocket-Protocol: ringdial.peer.v1           Sec-WebSocket-Protocol: ringdial.peer.v1
//! Authorization: Bearer <token: issuer, target,      Ringdial-Proof: <HMAC over nonce, issuer, target>
//!                        nonce, 5 s, single use>
//! ```
//!
//! The proof keeps a process that took over an address, without the secret, from being believed. It does not protect
//! the frames after it: against somebody on the path only TLS helps.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cluster::tokens::{PeerClaims, PeerName, PeerTokenError, PeerTokens};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::seen::NotFresh;
use crate::bearer::bearer;
use crate::problem::Problem;
use crate::websocket::{Handshake, HandshakeError, accept};

/// Where links are opened, on the peer listener.
pub const PATH: &str = "/peer";
/// The subprotocol of links. Its number changes when old and new processes cannot talk to each other any more.
pub const PROTOCOL: &str = "ringdial.peer.v1";
/// The header of the 101 that carries the listener's proof.
pub const PROOF_HEADER: &str = "ringdial-proof";

/// Why a dialler was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this is the peer listener: it has {PATH} and nothing else")]
    NotFound,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("offer the subprotocol {PROTOCOL}; a peer of another version cannot be talked to")]
    Subprotocol,
    #[error("a peer names itself with Authorization: Bearer <token>")]
    TokenMissing,
    #[error(transparent)]
    Token(#[from] PeerTokenError),
    #[error("the peer's token was used before: sign a new one for each attempt")]
    TokenUsed,
    #[error("too many peers at once: try again")]
    TooMany,
    #[error("the dialler has this process' own id: two processes were started with the same id")]
    OwnId,
    #[error("a later generation of this peer is linked: register again")]
    OldGeneration,
    #[error("this process is shutting down")]
    ShuttingDown,
}

/// Checks path, upgrade and token. What only the listener knows (used tokens, open links) is its own to check.
pub(super) fn check(
    request: &Parts,
    me: &PeerName,
    tokens: &PeerTokens,
    now_s: u64,
) -> Result<(Handshake, PeerClaims), Refusal> {
    if request.uri.path() != PATH {
        return Err(Refusal::NotFound);
    }
    let handshake = accept(request)?;
    if !handshake.offers(PROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    let token = request.headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let claims = tokens.verify(token.ok_or(Refusal::TokenMissing)?, me, now_s)?;
    if claims.iss.id == me.id {
        return Err(Refusal::OwnId);
    }
    Ok((handshake, claims))
}

/// Seconds since 1970.
pub(super) fn unix_s() -> u64 {
    // A clock before 1970 makes every token invalid, which is the right answer to it.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

// === impl Refusal ===

impl Refusal {
    /// The stable code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Handshake(error) => error.code(),
            Self::Subprotocol => "peer_other_version",
            Self::TokenMissing => "peer_token_missing",
            Self::Token(error) => error.code(),
            Self::TokenUsed => "peer_token_used",
            Self::TooMany => "peer_too_many",
            Self::OwnId => "peer_own_id",
            Self::OldGeneration => "peer_old_generation",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// 401: the token does not hold. 403: another service. 409: it holds, but names meet that do not belong together,
    /// which ends when the views agree.
    fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Handshake(error) => error.status(),
            Self::Subprotocol => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenUsed => StatusCode::UNAUTHORIZED,
            Self::Token(PeerTokenError::Invalid | PeerTokenError::Expired) => StatusCode::UNAUTHORIZED,
            Self::Token(PeerTokenError::OtherService) => StatusCode::FORBIDDEN,
            Self::Token(PeerTokenError::OtherTarget) | Self::OwnId | Self::OldGeneration => {
                StatusCode::CONFLICT
            }
            Self::TooMany | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The whole answer.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        if let Self::Handshake(error) = self {
            return error.response();
        }
        let problem = Problem::new(self.status(), self.code(), self.to_string());
        let lasting = matches!(
            self,
            Self::NotFound
                | Self::Subprotocol
                | Self::TokenMissing
                | Self::Token(PeerTokenError::OtherService)
        );
        if lasting { problem.full() } else { problem.temporary().full() }
    }
}

impl From<NotFresh> for Refusal {
    fn from(why: NotFresh) -> Self {
        match why {
            NotFresh::Used => Self::TokenUsed,
            NotFresh::TooMany => Self::TooMany,
        }
    }
}
