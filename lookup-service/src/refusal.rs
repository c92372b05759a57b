//! Why a request was refused: one enum, one table to status, stable code and remedy. Lookups and the back end's API share
//! it.

use std::time::Duration;

use cluster::limits::{HISTORY_LIMIT_MAX, ID_BYTES_MAX};
use cluster::tokens::AppTokenError;
use cluster::wire::codes::ErrorCode;
use edge::problem::Problem;
use http::StatusCode;

use crate::api::MESSAGES_MAX;
use crate::request::AVOID_MAX;

/// When to come back to what is not there now: nodes, the ring, the log.
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
    #[error("an id, or a group's name, has 1 to {ID_BYTES_MAX} bytes of UTF-8 without control characters")]
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
    /// The user's node is being given as many lookups as it may be; after so many milliseconds it is this one's turn.
    #[error(
        "many clients come back at once, and the user's node takes them one after the other: come again after `retry_after_ms`"
    )]
    SlowDown(u32),
    /// No such path.
    #[error("there is nothing at this path: see /openapi.json")]
    NotFound,
    /// The path is there, the method is not.
    #[error("this path takes {0}")]
    Method(&'static str),
    /// Over so many bytes.
    #[error("the body is over {0} bytes: send less at once")]
    BodyTooLarge(usize),
    /// The body did not arrive.
    #[error("the body broke off: send it again")]
    BodyBroken,
    /// Not JSON.
    #[error("the body is not called JSON: send Content-Type: application/json")]
    MediaType,
    /// Nobody can use the back end's API.
    #[error(
        "the back end's API is closed here: the operator has set neither an API key nor how the application's tokens are known"
    )]
    ApiClosed,
    /// Neither key nor token.
    #[error(
        "the request needs an API key, or an application's token with the scope admin: Authorization: Bearer <it>"
    )]
    ApiKeyMissing,
    /// Not one of the keys, and no token either.
    #[error(
        "this is no API key of this process, and no token of the application: check which cluster it is for"
    )]
    ApiKeyUnknown,
    /// A good token of somebody who may not use the API.
    #[error("the token's `scope` does not name admin: sign one that does, or use an API key")]
    NotAdmin,
    /// A path that cannot be read.
    #[error("the path cannot be read: percent-encode the UTF-8 of ids and names")]
    BadPath,
    /// A body that is no message and no batch.
    #[error("the body is neither a message nor {{\"messages\": [...]}}: send a JSON object, each field once")]
    BadMessages,
    /// More than [`MESSAGES_MAX`].
    #[error("a batch has at most {MESSAGES_MAX} messages: split it")]
    TooManyMessages,
    /// A message with something wrong in it.
    #[error("{0}")]
    BadMessage(&'static str),
    /// `data` of more than so many bytes.
    #[error("`data` is over {0} bytes: keep it elsewhere and send a reference")]
    DataTooLarge(usize),
    /// A page that cannot be had.
    #[error(
        "`after` and `before` are offsets, of which one is given at most; `limit` is 1 to {HISTORY_LIMIT_MAX}; `epoch` is 16 hexadecimal digits"
    )]
    BadPage,
    /// No such node.
    #[error("the service has no node with this id: see /v1/nodes")]
    UnknownNode,
    /// The store of the membership did not do what was asked.
    #[error("the store does not answer, so that the ring cannot be changed: try again")]
    StoreUnavailable,
    /// The log cannot be read.
    #[error("the log cannot be read at present: try again")]
    LogUnavailable,
    /// What a node said.
    #[error("{}", .0.message())]
    Node(ErrorCode),
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
            Self::SlowDown(_) => "slow_down",
            Self::NotFound => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyBroken => "body_broken",
            Self::MediaType => "unsupported_media_type",
            Self::ApiClosed => "api_closed",
            Self::ApiKeyMissing => "api_key_missing",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::NotAdmin => "not_admin",
            Self::BadPath => "bad_path",
            Self::BadMessages => "bad_json",
            Self::TooManyMessages => "too_many_messages",
            Self::BadMessage(_) => "bad_message",
            Self::DataTooLarge(_) => "too_large",
            Self::BadPage => "bad_page",
            Self::UnknownNode => "unknown_node",
            Self::StoreUnavailable => "store_unavailable",
            Self::LogUnavailable => "log_unavailable",
            Self::Node(code) => code.code(),
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
            | Self::BodyBroken
            | Self::BadPath
            | Self::BadMessages
            | Self::TooManyMessages
            | Self::BadMessage(_)
            | Self::BadPage => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::Token(_) | Self::ApiKeyMissing | Self::ApiKeyUnknown => {
                StatusCode::UNAUTHORIZED
            }
            Self::NotYours | Self::ApiClosed | Self::NotAdmin => StatusCode::FORBIDDEN,
            Self::UnknownService | Self::NotFound | Self::UnknownNode => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge(_) | Self::DataTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::SlowDown(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::RingNotRead | Self::NoNodes | Self::StoreUnavailable | Self::LogUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Node(code) => status_of(code),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The problem document.
    pub fn problem(self) -> Problem {
        let problem = Problem::new(self.status(), self.code(), self.to_string());
        match self {
            Self::RingNotRead | Self::NoNodes | Self::StoreUnavailable | Self::LogUnavailable => {
                problem.retry_after(RETRY_AFTER)
            }
            Self::SlowDown(wait_ms) => problem.retry_after(Duration::from_millis(wait_ms.into())),
            Self::Node(code) if code.temporary() => problem.retry_after(RETRY_AFTER),
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

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Node(code)
    }
}

/// What a node's word is in HTTP's. Those that are about a connection never come here.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest | ErrorCode::BadId | ErrorCode::TooManyUsers => StatusCode::BAD_REQUEST,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::KeyReused | ErrorCode::TooManyGroups => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ if code.temporary() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}
