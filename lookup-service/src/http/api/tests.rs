//! The back end's API through its routes: who may ask, what is answered, what is refused.

#[path = "../../../tests/support/described.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the whole, each of which uses a part")]
mod described;
mod world;

use cluster::tokens::AppTokens;
use http::Request;
use serde_json::json;

use self::world::{DATA_BYTES_MAX, KEY, World};
use super::*;
use crate::api::backend::Target;
use crate::api::routes;
use crate::caller::Callers;

#[test]
fn every_route_is_described_and_no_other() {
    let described = described::Described::load();
    let mut told: Vec<_> = described
        .operations()
        .filter(|(path, ..)| path.starts_with("/v1"))
        .map(|(path, method, operation)| {
            (method.to_uppercase(), path.to_owned(), operation["operationId"].as_str().unwrap().to_owned())
        })
        .collect();
    let mut in_code: Vec<_> = routes::operations()
        .map(|(method, path, name)| (method.to_owned(), path.to_owned(), name.to_owned()))
        .collect();
    told.sort();
    in_code.sort();
    assert_eq!(told, in_code);
}

#[tokio::test]
async fn one_message_is_answered_with_what_became_of_it() {
    let world = World::usual().await;
    for (body, status, answer) in [
        (
            r#"{"to":{"user":"bob"},"data":{"a": 1.0},"key":"k"}"#,
            200,
            json!({ "online": 1, "epoch": "00000000000000ff", "offset": 1 }),
        ),
        (r#"{"to":{"group":"g"},"data":null,"ephemeral":true}"#, 200, json!({ "online": 3 })),
        (r#"{"to":{"users":["a","b"]},"data":1}"#, 200, json!({})),
        (r#"{"to":{"all":true},"data":1}"#, 200, json!({})),
        (
            r#"{"to":{"users":["a","away"]},"data":1}"#,
            207,
            json!({ "failed": [{ "user": "away", "code": "unavailable", "temporary": true }] }),
        ),
    ] {
        let told = world.ask("POST", "/v1/messages", body).await;
        assert_eq!((told.status, told.json()), (status, answer), "{body}");
        assert_eq!(told.headers["cache-control"], "no-store");
    }
    let sent = world.nodes.sent.lock().await;
    assert_eq!(
        (sent[0].data.get(), sent[0].key.as_deref(), sent[0].from.as_str()),
        ("{\"a\": 1.0}", Some("k"), "")
    );
    assert_eq!((&sent[3].to, sent[3].ephemeral), (&Target::All, true));
}

#[tokio::test]
async fn a_batch_is_answered_message_by_message() {
    let world = World::usual().await;
    let whole =
        r#"{"messages":[{"to":{"user":"bob"},"data":1},{"to":{"group":"g"},"data":2,"ephemeral":true}]}"#;
    let told = world.ask("POST", "/v1/messages", whole).await;
    let results = json!([{ "online": 1, "epoch": "00000000000000ff", "offset": 1 }, { "online": 3 }]);
    assert_eq!((told.status, told.json()), (200, json!({ "results": results })));

    let body = json!({ "messages": [
        { "to": { "user": "" }, "data": 0 },
        { "to": { "user": "bob" }, "data": 1 },
        { "to": { "user": "away" }, "data": 2 },
        { "to": { "user": "bob" }, "data": 3, "key": "used" },
        { "to": { "user": "bob" }, "data": "x".repeat(DATA_BYTES_MAX) },
        { "to": { "users": ["away", "c"] }, "data": 5 },
    ] });
    let told = world.ask("POST", "/v1/messages", &body.to_string()).await;
    assert_eq!(told.status, 207);
    let results = told.json()["results"].clone();
    let error = |index: usize| {
        let error = &results[index]["error"];
        (error["status"].as_u64(), error["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(error(0), (Some(400), "bad_id".to_owned()));
    assert_eq!(results[1]["offset"], 3);
    assert_eq!(error(2), (Some(503), "unavailable".to_owned()));
    assert_eq!(results[2]["error"]["retry_after_ms"], 1000);
    assert_eq!(error(3), (Some(409), "key_reused".to_owned()));
    assert_eq!(error(4), (Some(413), "too_large".to_owned()));
    assert_eq!(results[5]["failed"][0]["user"], "away");
    assert_eq!(results.as_array().unwrap().len(), 6);
    let data: Vec<String> =
        world.nodes.sent.lock().await[2..].iter().map(|message| message.data.get().to_owned()).collect();
    assert_eq!(data, ["1", "2", "3", "5"], "in order, and only what is good");

    let none = world.ask("POST", "/v1/messages", r#"{"messages":[]}"#).await;
    assert_eq!((none.status, none.json()), (200, json!({ "results": [] })));
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_problem() {
    let world = World::usual().await;
    let many = json!({ "messages": vec![json!({ "to": { "user": "a" }, "data": 1 }); 1001] }).to_string();
    let large = json!({ "to": { "user": "a" }, "data": "x".repeat(DATA_BYTES_MAX) }).to_string();
    let huge = "x".repeat(API_BODY_BYTES_MAX + 1);
    for (body, status, code) in [
        ("{", 400, "bad_json"),
        (r#"{"data":1}"#, 400, "bad_message"),
        (r#"{"to":{"user":"a\n"},"data":1}"#, 400, "bad_id"),
        (r#"{"to":{"user":"away"},"data":1}"#, 503, "unavailable"),
        (r#"{"to":{"user":"bob"},"data":1,"key":"used"}"#, 409, "key_reused"),
        (&many, 400, "too_many_messages"),
        (&large, 413, "too_large"),
        (&huge, 413, "body_too_large"),
    ] {
        let told = world.ask("POST", "/v1/messages", body).await;
        let shown = &body[..body.len().min(50)];
        assert_eq!(told.problem(), (status, code.to_owned()), "{shown}");
        let retry = told.headers.get("retry-after").map(|wait| wait.to_str().unwrap());
        assert_eq!(retry, (status == 503).then_some("1"), "{shown}");
    }
    let plain = Request::post("/v1/messages").header("authorization", format!("Bearer {KEY}"));
    let told = world.send(plain.body(http_body_util::Full::new(Bytes::from_static(b"{}"))).unwrap()).await;
    assert_eq!(told.problem(), (415, "unsupported_media_type".to_owned()));
}

#[tokio::test]
async fn users_and_groups() {
    let world = World::usual().await;
    for (method, path, answer) in [
        ("GET", "/v1/users/bob", json!({ "user": "bob", "online": true, "sessions": 2, "settling": false })),
        (
            "GET",
            "/v1/users/a%2Fb",
            json!({ "user": "a/b", "online": false, "sessions": 0, "settling": false }),
        ),
        ("DELETE", "/v1/users/bob/sessions", json!({ "user": "bob", "sessions": 2 })),
        (
            "GET",
            "/v1/groups/new/presence",
            json!({ "group": "new", "count": 2, "users": ["alice", "bob"], "settling": true }),
        ),
        ("GET", "/v1/groups/large/presence", json!({ "group": "large", "count": 20_000, "settling": false })),
        (
            "PUT",
            "/v1/groups/class%203/members/bob",
            json!({ "group": "class 3", "user": "bob", "sessions": 2 }),
        ),
        ("DELETE", "/v1/groups/g/members/bob", json!({ "group": "g", "user": "bob", "sessions": 2 })),
    ] {
        let told = world.ask(method, path, "").await;
        assert_eq!((told.status, told.json()), (200, answer), "{method} {path}");
    }
    let bob = |group: &str, member| (group.to_owned(), "bob".to_owned(), member);
    assert_eq!(*world.nodes.members.lock().await, [bob("class 3", true), bob("g", false)]);
    for (method, path, status, code) in [
        ("GET", "/v1/users/away", 503, "unavailable"),
        ("DELETE", "/v1/users/away/sessions", 503, "unavailable"),
        ("PUT", "/v1/groups/g/members/full", 409, "too_many_groups"),
        ("GET", "/v1/users/%0A", 400, "bad_id"),
        ("GET", "/v1/users/%zz", 400, "bad_path"),
        ("GET", "/v1/users/bob?service=a&service=b", 400, "bad_query"),
        ("GET", "/v1/users/bob?service=dc", 404, "unknown_service"),
        ("POST", "/v1/users/bob", 405, "method_not_allowed"),
        ("GET", "/v1/users", 404, "not_found"),
    ] {
        assert_eq!(world.ask(method, path, "").await.problem(), (status, code.to_owned()), "{method} {path}");
    }
    let head = world.ask("HEAD", "/v1/users/bob", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(world.ask("PATCH", "/v1/users/bob", "").await.headers["allow"], "GET, HEAD, OPTIONS");
}

mod cluster_calls;

#[tokio::test]
async fn who_may_ask() {
    let secret = b"an application secret of thirty-two bytes";
    let tokens = || Callers::Tokens(Box::new(AppTokens::hs256(secret, None, None, vec![]).unwrap()));
    for (callers, keys, token, status, code) in [
        (Callers::Anyone, vec![], Some(KEY), 403, "api_closed"),
        (Callers::Anyone, vec![KEY], None, 401, "api_key_missing"),
        (Callers::Anyone, vec![KEY], Some("another key of thirty-two bytes!!"), 401, "api_key_unknown"),
        (tokens(), vec![], Some("a.b.c"), 401, "token_malformed"),
        (tokens(), vec![KEY], Some("a.b"), 401, "api_key_unknown"),
        (tokens(), vec![KEY], Some(KEY), 200, ""),
    ] {
        let world = World::new(callers, &keys).await;
        // A stranger learns nothing of services, and what he sends is not looked at.
        let path = if status == 200 { "/v1/nodes" } else { "/v1/nodes?service=dc" };
        let told = world.ask_as(token, "GET", path, "").await;
        assert_eq!(told.problem(), (status, code.to_owned()), "{token:?}");
        assert_eq!(told.headers.contains_key("www-authenticate"), status == 401);
        if status != 200 {
            let sending = world.ask_as(token, "POST", "/v1/messages", "{").await;
            assert_eq!(sending.problem(), (status, code.to_owned()), "{token:?}");
        }
    }
}

#[tokio::test]
async fn requests_are_counted() {
    let world = World::usual().await;
    world.ask("GET", "/v1/users/bob", "").await;
    world.ask("GET", "/v1/users/away", "").await;
    world.ask("GET", "/v1/nowhere", "").await;
    let mut registry = prometheus_client::registry::Registry::default();
    world.app.metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "ringdial_api_requests_total{operation=\"getUser\",outcome=\"ok\"} 1",
        "ringdial_api_requests_total{operation=\"getUser\",outcome=\"unavailable\"} 1",
        "ringdial_api_requests_total{operation=\"none\",outcome=\"not_found\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
}
