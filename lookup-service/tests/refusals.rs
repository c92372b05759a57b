//! Every error is a problem document with a stable code and the headers that belong to it.

mod support;

use cluster::store::MemoryStore;
use serde_json::{Value, json};

use support::{JWT_SECRET, Lookup, config, jwt, jwt_of, jwt_with, now_s};

#[tokio::test]
async fn bad_requests_are_told_from_each_other() {
    let lookup = Lookup::with_nodes(1).await;
    let long = format!("id={}", "x".repeat(257));
    let many = "avoid=n&".repeat(17);
    for (query, code) in [
        ("id=", "bad_id"),
        ("id=a%0Ab", "bad_id"),
        (&long, "bad_id"),
        ("id=%FF%FE", "bad_query"),
        ("id=%4", "bad_query"),
        ("id=alice&id=alice", "bad_query"),
        ("avoid=", "bad_avoid"),
        (&many, "too_many_avoided"),
    ] {
        let answer = lookup.get(&format!("/lookup?{query}")).token(&jwt("alice")).send().await;
        let problem = answer.problem(400, code);
        assert_eq!(problem["temporary"], false, "{query}");
    }
    for body in ["{\"id\":", "[]", "\"alice\"", "{\"id\": 7}", "{\"avoid\":{}}", "\0"] {
        lookup.post("/lookup", body).token(&jwt("alice")).send().await.problem(400, "bad_json");
    }
    lookup.get("/ring?service=%").send().await.problem(400, "bad_query");
}

#[tokio::test]
async fn bodies_have_a_limit_and_a_kind() {
    let lookup = Lookup::with_nodes(1).await;
    let filled = |length: usize| format!("{{\"later\":\"{}\"}}", "x".repeat(length - 12));
    for (length, status) in [(16_384, 200), (16_385, 413), (1_000_000, 413), (3_000_000, 413)] {
        let body = filled(length);
        assert_eq!(body.len(), length);
        let answer = lookup.post("/lookup", &body).token(&jwt("alice")).send().await;
        assert_eq!(answer.status, status, "{length}: {}", answer.text());
        if status == 413 {
            answer.problem(413, "body_too_large");
        }
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let ask = lookup.ask("POST", "/lookup").header("content-type", kind).body("{}").token(&jwt("alice"));
        ask.send().await.problem(415, "unsupported_media_type");
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let ask = lookup.ask("POST", "/lookup").header("content-type", kind).body("{}").token(&jwt("alice"));
        assert_eq!(ask.send().await.status, 200, "{kind}");
    }
}

/// Whoever is refused reads why, although nobody looks at what he sends.
#[tokio::test]
async fn a_stranger_with_much_to_say_reads_why_he_may_not() {
    let lookup = Lookup::with_nodes(1).await;
    let body = "x".repeat(1_000_000);
    for _ in 0..20 {
        lookup.post("/v1/messages", &body).send().await.problem(401, "api_key_missing");
        lookup.post("/v1/nowhere", &body).send().await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn tokens_that_are_not_believed() {
    let lookup = Lookup::with_nodes(1).await;
    let missing = lookup.get("/lookup?id=alice").send().await;
    missing.problem(401, "token_missing");
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"ringdial\"");
    let ticket = lookup.look_up("alice", "").await["ticket"].as_str().unwrap().to_owned();
    let usual = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = |more: Value| {
        let mut claims = json!({ "sub": "alice", "exp": now_s() + 60 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    for (token, code, temporary) in [
        ("nonsense".to_owned(), "token_malformed", false),
        (
            jwt_of(usual.clone(), claims(json!({})), "another secret of thirty-two bytes!!"),
            "token_signature",
            false,
        ),
        (
            jwt_of(json!({ "alg": "HS512", "typ": "JWT" }), claims(json!({})), JWT_SECRET),
            "token_algorithm",
            false,
        ),
        (
            jwt_of(json!({ "alg": "HS256", "crit": ["x"], "x": 1 }), claims(json!({})), JWT_SECRET),
            "token_malformed",
            false,
        ),
        (jwt_with(claims(json!({ "exp": now_s() - 60 }))), "token_expired", false),
        (jwt_with(claims(json!({ "nbf": now_s() + 60 }))), "token_not_yet_valid", true),
        (jwt_with(claims(json!({ "sub": 7 }))), "token_claim", false),
        (ticket, "token_signature", false),
    ] {
        let answer = lookup.get("/lookup").token(&token).send().await;
        let problem = answer.problem(401, code);
        assert_eq!(problem["temporary"], temporary, "{code}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"ringdial\", error=\"invalid_token\"");
        assert!(
            !answer.text().contains(token.rsplit('.').next().unwrap()),
            "{code}: the token is not repeated"
        );
    }
    let basic = lookup.get("/lookup").header("authorization", "Basic YTpi").send().await;
    basic.problem(401, "token_missing");
    lookup.get("/lookup").header("authorization", b"Bearer \xff").send().await.problem(401, "token_missing");
}

#[tokio::test]
async fn not_yours_not_here_not_so() {
    let lookup = Lookup::with_nodes(1).await;
    lookup.get("/lookup?id=bob").token(&jwt("alice")).send().await.problem(403, "not_yours");
    lookup.get("/lookup?service=dc").token(&jwt("alice")).send().await.problem(404, "unknown_service");
    lookup.get("/ring?service=dc").send().await.problem(404, "unknown_service");
    for path in ["/", "/no/such/path", "/lookup/x", "/lookups", "/v1", "/v1/x", "/%", "//lookup"] {
        lookup.get(path).send().await.problem(404, "not_found");
    }
    for (method, path, allowed) in [
        ("DELETE", "/lookup", "GET, POST, OPTIONS"),
        ("HEAD", "/lookup", "GET, POST, OPTIONS"),
        ("BREW", "/lookup", "GET, POST, OPTIONS"),
        ("POST", "/ring", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/messages", "POST, OPTIONS"),
        ("POST", "/docs", "GET, HEAD, OPTIONS"),
    ] {
        let answer = lookup.ask(method, path).send().await;
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        if method != "HEAD" {
            answer.problem(405, "method_not_allowed");
        }
    }
    let permissions: Vec<String> = (0..500).map(|number| format!("permission-{number}")).collect();
    let heavy = jwt_with(json!({ "sub": "alice", "exp": now_s() + 60, "tier": permissions[..300] }));
    lookup.get("/lookup").token(&heavy).send().await.problem(400, "claims_too_large");
}

#[tokio::test]
async fn no_nodes_and_then_one() {
    let mut lookup = Lookup::start(config(), &["default"]).await;
    let problem = lookup
        .until("the store is read", async || {
            let answer = lookup.get("/lookup").token(&jwt("alice")).send().await;
            (answer.json()["code"] == "no_nodes").then(|| answer.problem(503, "no_nodes"))
        })
        .await;
    assert_eq!((&problem["temporary"], &problem["retry_after_ms"]), (&json!(true), &json!(1000)));
    lookup.get("/ring").send().await.problem(503, "no_nodes");
    lookup.join("default", "first").await;
    lookup.sees("default", 1).await;
    assert_eq!(lookup.look_up("alice", "").await["node"], "first");
}

#[tokio::test]
async fn a_crowd_is_told_when_to_come_and_nobody_elses_node_minds() {
    let slow = lookup_service::Config { lookups_per_node: 1, ..config() };
    let mut lookup = Lookup::start(slow, &["default"]).await;
    lookup.join("default", "n1").await;
    lookup.join("default", "n2").await;
    let ring = lookup.sees("default", 2).await;
    let user_of =
        |node: &str| (0..).map(|n| format!("u{n}")).find(|user| ring.home(user, &[]) == node).unwrap();
    let (crowd, other) = (user_of("n1"), user_of("n2"));
    let mut refused = Vec::new();
    for number in 0..13 {
        let path = if number % 2 == 0 { "/lookup?id=" } else { "/lookup?service=default&id=" };
        let answer = lookup.get(&format!("{path}{crowd}")).token(&jwt(&crowd)).send().await;
        if answer.status == 200 {
            assert!(number < 10, "ten at once, and no more");
            continue;
        }
        let problem = answer.problem(429, "slow_down");
        let wait_ms = problem["retry_after_ms"].as_u64().unwrap();
        assert_eq!(problem["temporary"], true);
        assert_eq!(answer.header("retry-after"), wait_ms.div_ceil(1000).to_string());
        assert_eq!(answer.header("cache-control"), "no-store");
        refused.push(wait_ms);
    }
    // Each has a turn after the one before, and comes up to a quarter late; the test's own time counts, too.
    for (wait_ms, turn_ms) in refused.iter().zip([1000, 2000, 3000]) {
        assert!((turn_ms / 2..=turn_ms * 5 / 4 + 1).contains(wait_ms), "{refused:?}");
    }
    assert_eq!(refused.len(), 3);
    assert_eq!(lookup.look_up(&other, "").await["node"], "n2");
    let metrics = lookup.admin("/metrics").send().await;
    assert!(metrics.text().contains("ringdial_lookups_total{outcome=\"slow_down\"} 3"), "{}", metrics.text());
}

#[tokio::test]
async fn a_store_that_never_answers_ends_the_start() {
    let store = MemoryStore::new();
    store.set_reachable(false);
    let mut lookup = Lookup::on(store, config(), &["dc", "default"]);
    let problem = lookup.get("/lookup").token(&jwt("alice")).send().await.problem(503, "ring_not_read");
    assert_eq!(problem["temporary"], true);
    assert_eq!(lookup.admin("/readyz").send().await.status, 503);
    assert_eq!(lookup.admin("/livez").send().await.status, 200);
    let error = lookup.ended().await.unwrap_err();
    assert_eq!(error.code(), "store_unreachable");
    assert!(!error.remedy().is_empty());
}

#[tokio::test]
async fn a_start_that_is_interrupted_is_no_failure() {
    let store = MemoryStore::new();
    store.set_reachable(false);
    let patient = lookup_service::Config { store_wait: std::time::Duration::from_secs(60), ..config() };
    let lookup = Lookup::on(store, patient, &["default"]);
    lookup.get("/lookup").token(&jwt("alice")).send().await.problem(503, "ring_not_read");
    assert!(lookup.stop().await.is_ok());
}

#[tokio::test]
async fn the_last_view_goes_on_when_the_store_is_gone() {
    let lookup = Lookup::with_nodes(2).await;
    let before = lookup.look_up("alice", "").await;
    lookup.store.set_reachable(false);
    let gone = |page: &str| page.contains("ringdial_store_reachable{service=\"default\"} 0");
    lookup
        .until("the store is found gone", async || {
            gone(lookup.admin("/metrics").send().await.text()).then_some(())
        })
        .await;
    let after = lookup.look_up("alice", "").await;
    assert_eq!((&after["node"], &after["ring"]), (&before["node"], &before["ring"]));
    assert_eq!(lookup.admin("/readyz").send().await.status, 200, "the last view serves");
}
