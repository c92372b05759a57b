//! docs/PROTOCOL.md says what the lookup service refuses, and within which limits.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../../cluster/tests/document/mod.rs"]
mod document;
mod support;

use std::collections::BTreeSet;

use cluster::grant::TICKET_LIFE_S;
use cluster::tokens::AppTokenError;
use cluster::wire::codes::ErrorCode;
use document::{fields, table};
use edge::limits::Limits;
use edge::problem::Problem;
use edge::websocket::HandshakeError;
use http::StatusCode;
use lookup_service::{API_BODY_BYTES_MAX, AVOID_MAX, BODY_BYTES_MAX, MESSAGES_MAX, Refusal};
use support::described::Described;

#[test]
fn problems_with_status_and_whether_they_pass() {
    let told: BTreeSet<_> = table("lookup problems")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    let in_code = |refusal: Refusal| {
        let Problem { code, status, temporary, .. } = refusal.problem();
        (code, status.to_string(), if temporary { "yes" } else { "no" }.to_owned())
    };
    let of_lookups = all(Refusal::BadQuery, after).into_iter().take_while(|refusal| *refusal != FIRST_OF_API);
    assert_eq!(told, of_lookups.map(in_code).collect());
    assert_eq!(told.len(), table("lookup problems").len(), "a code is listed twice");
}

/// The document of the whole interface has the back end's, too, and what the port itself refuses.
#[test]
fn problems_of_the_whole_interface() {
    let mut in_code: BTreeSet<_> = all(Refusal::BadQuery, after)
        .into_iter()
        .map(|refusal| refusal.problem())
        .map(|problem| (problem.status, problem.code))
        .collect();
    in_code.insert((408, "request_timeout".to_owned()));
    assert_eq!(Described::load().codes(), in_code);
}

/// Flags are the operator's; whoever reads a problem can only change the request.
#[test]
fn no_problem_sends_its_reader_to_a_flag() {
    for refusal in all(Refusal::BadQuery, after) {
        let detail = refusal.problem().detail;
        assert!(!detail.contains("--"), "{detail}");
    }
}

#[test]
fn fields_of_a_problem() {
    let told = |present: &[&str]| -> BTreeSet<String> {
        let rows = table("problem").into_iter().filter(|row| present.contains(&row[2].as_str()));
        rows.map(|row| row[0].clone()).collect()
    };
    let of = |refusal: Refusal| fields(&serde_json::to_value(refusal.problem()).unwrap());
    assert_eq!(of(Refusal::SlowDown(1)), told(&["always", "sometimes"]));
    assert_eq!(of(Refusal::NoNodes), told(&["always", "sometimes"]));
    assert_eq!(of(Refusal::BadId), told(&["always"]));
}

#[test]
fn operations_of_the_back_end() {
    let told: BTreeSet<_> =
        table("operations of the back end").into_iter().map(|row| row[0].clone()).collect();
    let described = Described::load();
    let operations = described.operations().filter(|(path, ..)| path.starts_with("/v1/"));
    let described: BTreeSet<_> =
        operations.map(|(path, method, _)| format!("{} {path}", method.to_uppercase())).collect();
    assert_eq!(told, described);
}

#[test]
fn handshakes_that_a_node_refuses() {
    let told: BTreeSet<_> =
        table("handshake problems").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let in_code = |error: HandshakeError| {
        let status: StatusCode = error.status();
        (error.code().to_owned(), status.as_u16().to_string())
    };
    let next = |error| match error {
        HandshakeError::Method => Some(HandshakeError::Version),
        HandshakeError::Version => Some(HandshakeError::Host),
        HandshakeError::Host => Some(HandshakeError::NotAnUpgrade),
        HandshakeError::NotAnUpgrade => Some(HandshakeError::Key),
        HandshakeError::Key => Some(HandshakeError::ProtocolVersion),
        HandshakeError::ProtocolVersion => Some(HandshakeError::Protocols),
        HandshakeError::Protocols => None,
    };
    assert_eq!(told, all(HandshakeError::Method, next).into_iter().map(in_code).collect());
}

#[test]
fn limits_of_requests() {
    let told: Vec<(String, String)> = table("limits of requests")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace(',', "")))
        .collect();
    let port = Limits::default();
    let in_code = [
        ("bytes of a lookup's body", BODY_BYTES_MAX as u64),
        ("bytes of the body of a back end's request", API_BODY_BYTES_MAX as u64),
        ("messages in a back end's request", MESSAGES_MAX as u64),
        ("nodes to avoid", AVOID_MAX as u64),
        ("seconds that a ticket lives", TICKET_LIFE_S),
        ("bytes of a request's head", port.header_bytes_max as u64),
        ("seconds for a request's head", port.header_timeout.as_secs()),
        ("seconds for a request", port.request_timeout.as_secs()),
        ("connections of a port", port.connections_max as u64),
    ];
    assert_eq!(told, in_code.map(|(name, limit)| (name.to_owned(), limit.to_string())));
}

/// From `first` to the one without a next.
fn all<T: Copy>(first: T, next: impl Fn(T) -> Option<T>) -> Vec<T> {
    std::iter::successors(Some(first), |one| next(*one)).collect()
}

/// A chain through all refusals: one that is added has to be added here, or this does not compile.
fn after(refusal: Refusal) -> Option<Refusal> {
    Some(match refusal {
        Refusal::BadQuery => Refusal::BadJson,
        Refusal::BadJson => Refusal::BadId,
        Refusal::BadId => Refusal::IdRequired,
        Refusal::IdRequired => Refusal::BadAvoid,
        Refusal::BadAvoid => Refusal::TooManyAvoided,
        Refusal::TooManyAvoided => Refusal::TokenMissing,
        Refusal::TokenMissing => Refusal::Token(AppTokenError::Malformed),
        Refusal::Token(error) => after_token(error).map_or(Refusal::NotYours, Refusal::Token),
        Refusal::NotYours => Refusal::UnknownService,
        Refusal::UnknownService => Refusal::ClaimsTooLarge,
        Refusal::ClaimsTooLarge => Refusal::RingNotRead,
        Refusal::RingNotRead => Refusal::NoNodes,
        Refusal::NoNodes => Refusal::SlowDown(1),
        Refusal::SlowDown(_) => Refusal::NotFound,
        Refusal::NotFound => Refusal::Method("GET"),
        Refusal::Method(_) => Refusal::BodyTooLarge(BODY_BYTES_MAX),
        Refusal::BodyTooLarge(_) => Refusal::BodyBroken,
        Refusal::BodyBroken => Refusal::MediaType,
        Refusal::MediaType => Refusal::Internal,
        Refusal::Internal => FIRST_OF_API,
        Refusal::ApiClosed => Refusal::ApiKeyMissing,
        Refusal::ApiKeyMissing => Refusal::ApiKeyUnknown,
        Refusal::ApiKeyUnknown => Refusal::NotAdmin,
        Refusal::NotAdmin => Refusal::BadPath,
        Refusal::BadPath => Refusal::BadMessages,
        Refusal::BadMessages => Refusal::TooManyMessages,
        Refusal::TooManyMessages => Refusal::BadMessage("it is wrong"),
        Refusal::BadMessage(_) => Refusal::DataTooLarge(1),
        Refusal::DataTooLarge(_) => Refusal::BadPage,
        Refusal::BadPage => Refusal::UnknownNode,
        Refusal::UnknownNode => Refusal::StoreUnavailable,
        Refusal::StoreUnavailable => Refusal::LogUnavailable,
        Refusal::LogUnavailable => Refusal::Node(OF_NODES[0]),
        Refusal::Node(code) => {
            let next = OF_NODES.iter().position(|one| *one == code).unwrap() + 1;
            Refusal::Node(*OF_NODES.get(next)?)
        }
    })
}

/// Where the refusals of lookups end.
const FIRST_OF_API: Refusal = Refusal::ApiClosed;

/// What nodes say of a back end's requests.
const OF_NODES: [ErrorCode; 6] = [
    ErrorCode::TooManyUsers,
    ErrorCode::KeyReused,
    ErrorCode::TooManyGroups,
    ErrorCode::Unavailable,
    ErrorCode::LogUnavailable,
    ErrorCode::Overloaded,
];

fn after_token(error: AppTokenError) -> Option<AppTokenError> {
    Some(match error {
        AppTokenError::Malformed => AppTokenError::Algorithm,
        AppTokenError::Algorithm => AppTokenError::Signature,
        AppTokenError::Signature => AppTokenError::Claim("sub"),
        AppTokenError::Claim(_) => AppTokenError::Expired,
        AppTokenError::Expired => AppTokenError::NotYet,
        AppTokenError::NotYet => AppTokenError::Issuer,
        AppTokenError::Issuer => AppTokenError::Audience,
        // A secret that is too short is refused with the configuration, never to a caller.
        AppTokenError::Audience | AppTokenError::SecretTooShort => return None,
    })
}
