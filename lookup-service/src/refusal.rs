//! Why a request was refused: one enum, one table to status, stable code and remedy.

use std::time::Duration;

use cluster::limits::ID_BYTES_MAX;
use cluster::tokens::AppTokenError;
use edge::problem::Problem;
use http::StatusCode;

use crate::request::{AVOID_MAX, BODY_BYTES_MAX};

/// When to come back to a service that has no nodes, or whose ring is not known yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request was refused. The text says what to do about it and quotes nothing that the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The query string cannot be read.
    #[error("the query cannot be read: percent-encode UTF-8, and give `id` and `service` once at most")]
    BadQuery,
    /// The body cannot be read.
    #[error(
        "the body is not what it should be: a JSON object with the strings `id` and `service` and the string or array of strings `avoid`, all optional"
    )]
    BadJson,
    /// An id outside the limits.
    #[error("`id` has 1 to {ID_BYTES_MAX} bytes of UTF-8 without control characters")]
    BadId,
    /// No token that would name the user, and no id.
    #[error("`id` is missing: ids are taken without tokens here, so the request names the user")]
    IdRequired,
    /// An `avoid` outside the limits. Whether there is such a node is not asked.
    #[error(
        "each `avoid` has 1 to {ID_BYTES_MAX} bytes of UTF-8 without control characters: give the `node` of an earlier answer"
    )]
    BadAvoid,
    /// More than [`AVOID_MAX`].
    #[error("`avoid` is given more than {AVOID_MAX} times: give the nodes tried last")]
    TooManyAvoided,
    /// No token.
    #[error("the request needs the application's token: Authorization: Bearer <JWT>")]
    TokenMissing,
    /// A token that is not believed.
    #[error("{0}")]
    Token(AppTokenError),
    /// Another user's id.
    #[error("`id` is not the token's `sub`: leave it out, or use a token whose scope names act_for_others")]
    NotYours,
    /// No such service here.
    #[error(
        "this address does not answer for that `service`: check the name, or look up where that service is"
    )]
    UnknownService,
    /// The ticket would be too long.
    #[error(
        "the token's claims do not fit a ticket: sign it with fewer or smaller ones (permissions, groups, attributes)"
    )]
    ClaimsTooLarge,
    /// The store has not been reached yet.
    #[error("the ring of this service has not been read yet: try again")]
    RingNotRead,
    /// Nobody there to send the user to.
    #[error("the service has no nodes at present: try again")]
    NoNodes,
    /// No such path.
    #[error("there is nothing at this path: see /lookup and /ring")]
    NotFound,
    /// The path is there, the method is not.
    #[error("this path takes {0}")]
    Method(&'static str),
    /// Over [`BODY_BYTES_MAX`].
    #[error("the body is over {BODY_BYTES_MAX} bytes: send `id`, `service` and `avoid` and nothing else")]
    BodyTooLarge,
    /// The body did not arrive.
    #[error("the body broke off: send it again")]
    BodyBroken,
    /// Not JSON.
    #[error("the body is not called JSON: send Content-Type: application/json")]
    MediaType,
    /// A bug.
    #[error("something went wrong here; this is a bug, please report it")]
    Internal,
}

// === impl Refusal ===

impl Refusal {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadQuery => "bad_query",
            Self::BadJson => "bad_json",
            Self::BadId => "bad_id",
            Self::IdRequired => "id_required",
            Self::BadAvoid => "bad_avoid",
            Self::TooManyAvoided => "too_many_avoided",
            Self::TokenMissing => "token_missing",
            Self::Token(error) => error.code(),
            Self::NotYours => "not_yours",
            Self::UnknownService => "unknown_service",
            Self::ClaimsTooLarge => "claims_too_large",
            Self::RingNotRead => "ring_not_read",
            Self::NoNodes => "no_nodes",
            Self::NotFound => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyBroken => "body_broken",
            Self::MediaType => "unsupported_media_type",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadQuery
            | Self::BadJson
            | Self::BadId
            | Self::IdRequired
            | Self::BadAvoid
            | Self::TooManyAvoided
            | Self::ClaimsTooLarge
            | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::NotYours => StatusCode::FORBIDDEN,
            Self::UnknownService | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RingNotRead | Self::NoNodes => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The problem document.
    pub fn problem(self) -> Problem {
        let problem = Problem::new(self.status(), self.code(), self.to_string());
        match self {
            Self::RingNotRead | Self::NoNodes => problem.retry_after(RETRY_AFTER),
            Self::BodyBroken | Self::Token(AppTokenError::NotYet) => problem.temporary(),
            _ => problem,
        }
    }
}

impl From<AppTokenError> for Refusal {
    fn from(error: AppTokenError) -> Self {
        Self::Token(error)
    }
}
