//! What is beside the lookups: the ring document, browsers' rules, pages, the admin listener, the end.

#[path = "../../edge/tests/common/openmetrics.rs"]
mod openmetrics;
mod support;

use bytes::Bytes;
use lookup_service::{Config, Origins, StaticPage};

use support::{Lookup, config, jwt};

#[tokio::test]
async fn the_ring_document_has_a_tag() {
    let mut lookup = Lookup::with_nodes(2).await;
    let first = lookup.get("/ring").send().await;
    let (etag, document) = (first.header("etag").to_owned(), first.json());
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("cache-control"), "no-cache");
    assert_eq!(etag, format!("\"{}-{}\"", document["version"], document["signature"].as_str().unwrap()));
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let unchanged = lookup.get("/ring?service=default").header("if-none-match", &known).send().await;
        assert_eq!(
            (unchanged.status.as_u16(), unchanged.text(), unchanged.header("etag")),
            (304, "", &*etag),
            "{known}"
        );
    }
    assert_eq!(lookup.get("/ring").header("if-none-match", "\"other\"").send().await.status, 200);
    let head = lookup.ask("HEAD", "/ring").send().await;
    assert_eq!((head.status.as_u16(), head.text(), head.header("etag")), (200, "", &*etag));
    assert_eq!(head.header("content-length"), first.body.len().to_string());
    assert!(!first.text().contains("127.0.0.1:9"), "peer addresses are nobody's business");

    lookup.join("default", "n3").await;
    lookup.sees("default", 3).await;
    let changed = lookup.get("/ring").header("if-none-match", &etag).send().await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), etag);
}

#[tokio::test]
async fn pages_of_any_origin_may_look_up() {
    let lookup = Lookup::with_nodes(1).await;
    let preflight = lookup
        .ask("OPTIONS", "/lookup")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .send()
        .await;
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(preflight.header("access-control-allow-headers"), "authorization,content-type");
    assert_eq!(preflight.header("access-control-max-age"), "7200");
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    let good =
        lookup.get("/lookup").token(&jwt("alice")).header("origin", "https://app.example.com").send().await;
    let bad = lookup.get("/lookup").header("origin", "https://app.example.com").send().await;
    let nowhere = lookup.get("/nowhere").header("origin", "https://app.example.com").send().await;
    for (answer, status) in [(good, 200), (bad, 401), (nowhere, 404)] {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-expose-headers"), "etag,retry-after,www-authenticate");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn pages_of_some_origins_may_look_up() {
    let origins = Origins::Only(vec!["https://a.example.com".to_owned(), "https://b.example.com".to_owned()]);
    let lookup = Lookup::start(Config { origins, ..config() }, &["default"]).await;
    for (origin, allowed) in [
        ("https://a.example.com", "https://a.example.com"),
        ("https://b.example.com", "https://b.example.com"),
        ("https://evil.example.com", ""),
        ("null", ""),
    ] {
        for ask in [lookup.get("/ring"), lookup.ask("OPTIONS", "/ring")] {
            let answer = ask.header("origin", origin).send().await;
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
            assert_eq!(answer.header("vary"), "origin", "{origin}");
        }
    }
}

#[tokio::test]
async fn a_host_may_add_pages() {
    let page = StaticPage {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: Bytes::from_static(b"<p>hello"),
        policy: Some("default-src 'none'".parse().unwrap()),
    };
    let lookup = Lookup::start(Config { pages: vec![page], ..config() }, &["default"]).await;
    let shown = lookup.get("/").send().await;
    assert_eq!((shown.status.as_u16(), shown.text()), (200, "<p>hello"));
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(shown.header("content-security-policy"), "default-src 'none'");
    let posted = lookup.ask("POST", "/").send().await;
    posted.problem(405, "method_not_allowed");
    lookup.get("/other").send().await.problem(404, "not_found");
}

#[tokio::test]
async fn the_admin_listener_tells_how_it_is() {
    let lookup = Lookup::with_nodes(2).await;
    lookup.look_up("alice", "").await;
    lookup.look_up("bob", "").await;
    lookup.get("/lookup").send().await;
    lookup.get("/lookup?id=").send().await;
    assert_eq!(lookup.admin("/livez").send().await.status, 200);
    assert_eq!(lookup.admin("/readyz").send().await.status, 200);
    let page = lookup.admin("/metrics").send().await;
    openmetrics::read(page.text()).unwrap_or_else(|fault| panic!("{fault}\n\n{}", page.text()));
    let version = lookup.sees("default", 2).await.version;
    for line in [
        "ringdial_lookups_total{outcome=\"granted\"} 2",
        "ringdial_lookups_total{outcome=\"token_missing\"} 1",
        "ringdial_lookups_total{outcome=\"bad_id\"} 1",
        "ringdial_lookup_seconds_count 4",
        &format!("ringdial_ring_version{{service=\"default\"}} {version}"),
        "ringdial_ring_nodes{service=\"default\"} 2",
        "ringdial_store_reachable{service=\"default\"} 1",
        "ringdial_ignored_records_total{service=\"default\"} 0",
    ] {
        assert!(page.text().lines().any(|found| found == line), "{line} in:\n{}", page.text());
    }
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let lookup = Lookup::with_nodes(1).await;
    let public = lookup.public;
    assert!(lookup.stop().await.is_ok());
    assert!(tokio::net::TcpStream::connect(public).await.is_err());
}
