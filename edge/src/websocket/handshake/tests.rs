//! Each rule of the handshake, broken once.

use http::Request;

use super::*;

fn parts(change: impl FnOnce(&mut Parts)) -> Parts {
    let request = Request::get("/ws")
        .header("host", "n1.example")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "WebSocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "ringdial.v1, ticket.abc-_.x")
        .body(());
    let (mut parts, ()) = request.unwrap().into_parts();
    change(&mut parts);
    parts
}

fn with(name: &'static str, value: &'static str) -> Parts {
    parts(|parts| {
        parts.headers.insert(name, HeaderValue::from_static(value));
    })
}

fn twice(name: &'static str) -> Parts {
    parts(|parts| {
        let value = parts.headers[name].clone();
        parts.headers.append(name, value);
    })
}

fn without(name: &'static str) -> Parts {
    parts(|parts| {
        parts.headers.remove(name);
    })
}

#[test]
fn the_rfcs_own_example_gets_the_rfcs_own_answer() {
    let handshake = accept(&parts(|_| {})).unwrap();
    assert_eq!(handshake.protocols(), ["ringdial.v1", "ticket.abc-_.x"]);
    let response: Response<()> = handshake.response(Some("ringdial.v1"));
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response.headers()["sec-websocket-protocol"], "ringdial.v1");
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["connection"], "Upgrade");
}

#[test]
fn nothing_is_echoed_that_was_not_offered() {
    let handshake = accept(&parts(|_| {})).unwrap();
    for chosen in [None, Some("chat"), Some("ringdial.v1, ticket.abc-_.x")] {
        let response: Response<()> = handshake.response(chosen);
        assert!(!response.headers().contains_key("sec-websocket-protocol"), "{chosen:?}");
    }
}

#[test]
fn tokens_may_be_on_several_lines_and_in_any_case() {
    let spread = parts(|parts| {
        parts.headers.insert("connection", HeaderValue::from_static("close"));
        parts.headers.append("connection", HeaderValue::from_static(" foo ,UPGRADE"));
        parts.headers.append("sec-websocket-protocol", HeaderValue::from_static("more"));
    });
    assert_eq!(accept(&spread).unwrap().protocols(), ["ringdial.v1", "ticket.abc-_.x", "more"]);
    assert!(accept(&without("sec-websocket-protocol")).unwrap().protocols().is_empty());
}

#[test]
fn each_broken_rule_has_its_error() {
    use HandshakeError as E;
    let cases = [
        (parts(|parts| parts.method = Method::POST), E::Method),
        (parts(|parts| parts.version = Version::HTTP_10), E::Version),
        (parts(|parts| parts.version = Version::HTTP_2), E::Version),
        (without("host"), E::Host),
        (twice("host"), E::Host),
        (without("upgrade"), E::NotAnUpgrade),
        (with("upgrade", "websockets"), E::NotAnUpgrade),
        (without("connection"), E::NotAnUpgrade),
        (with("connection", "keep-alive"), E::NotAnUpgrade),
        (without("sec-websocket-version"), E::ProtocolVersion),
        (with("sec-websocket-version", "8"), E::ProtocolVersion),
        (twice("sec-websocket-version"), E::ProtocolVersion),
        (without("sec-websocket-key"), E::Key),
        (twice("sec-websocket-key"), E::Key),
        (with("sec-websocket-key", "c2hvcnQ="), E::Key),
        (with("sec-websocket-key", "not base64 at all!!!!!!!"), E::Key),
        (with("sec-websocket-protocol", "a b"), E::Protocols),
        (with("sec-websocket-protocol", "a, a"), E::Protocols),
        (
            parts(|parts| {
                parts.headers.insert("sec-websocket-protocol", HeaderValue::from_bytes(b"\xff").unwrap());
            }),
            E::Protocols,
        ),
    ];
    for (request, error) in cases {
        assert_eq!(accept(&request).unwrap_err(), error, "{request:?}");
    }
}

#[test]
fn a_refusal_says_what_to_send_instead() {
    let response: Response<Bytes> = HandshakeError::ProtocolVersion.response();
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert_eq!(response.headers()["upgrade"], "websocket");
    let response: Response<Bytes> = HandshakeError::Method.response();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &HeaderValue::from_static("GET"))
    );
    let response: Response<Bytes> = HandshakeError::Key.response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}
