//! Good lookups, through a real listener.

mod support;

use cluster::tokens::{TicketTarget, Tickets};
use lookup_service::{Callers, Config};
use serde_json::json;

use support::published::Published;
use support::{Lookup, config, jwt, jwt_with, now_s, secrets};

#[tokio::test]
async fn get_and_post_answer_alike() {
    let lookup = Lookup::with_nodes(3).await;
    let ring = lookup.sees("default", 3).await;
    let got = lookup.get("/lookup?id=alice&service=default").token(&jwt("alice")).send().await;
    let posted =
        lookup.post("/lookup", r#"{"id":"alice","service":"default"}"#).token(&jwt("alice")).send().await;
    let bare = lookup.ask("POST", "/lookup").token(&jwt("alice")).send().await;
    for answer in [got, posted, bare] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        let grant = answer.json();
        let node = grant["node"].as_str().unwrap();
        assert_eq!(node, ring.home("alice", &[]));
        assert_eq!((grant["id"].as_str(), grant["service"].as_str()), (Some("alice"), Some("default")));
        assert_eq!(grant["url"], format!("ws://{node}.default.example.com/ws"));
        let ticket = grant["ticket"].as_str().unwrap();
        assert_eq!(grant["protocols"], json!(["ringdial.v1", format!("ticket.{ticket}")]));
        assert_eq!(grant["expires_in_ms"], 30_000);
        assert_eq!(grant["ring"], json!({ "version": ring.version, "signature": ring.signature }));
        assert_eq!(grant["retry"], json!({ "base_ms": 500, "max_ms": 30_000 }));
        assert_eq!(grant.as_object().unwrap().len(), 9, "{grant}");
    }
}

#[tokio::test]
async fn the_ticket_carries_what_the_token_grants_and_no_more() {
    let lookup = Lookup::with_nodes(1).await;
    let exp = now_s() + 60;
    let claims = json!({ "sub": "alice", "exp": exp, "tier": "gold", "email": "a@example.com", "permissions": ["all"] });
    let answer = lookup.get("/lookup?avoid=n7").token(&jwt_with(claims)).send().await.json();
    // Which generation the store issued is not told outside; a ticket names it.
    let body = answer["ticket"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(
        &base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, body).unwrap(),
    )
    .unwrap();
    let (node, generation) = claims["aud"].as_str().unwrap().split_once('#').unwrap();
    let target = TicketTarget { node, generations: &[generation.parse().unwrap()], service: "default" };
    let tickets = Tickets::new(secrets().ticket_keys());
    let ticket = tickets.verify(answer["ticket"].as_str().unwrap(), target, now_s()).unwrap();
    assert_eq!((ticket.sub.as_str(), node, ticket.tok_exp), ("alice", "n1", Some(exp)));
    assert_eq!(ticket.grants.permissions, ["all"]);
    assert_eq!(json!(ticket.grants.attributes), json!({ "tier": "gold" }));
    assert!(ticket.exp <= now_s() + 30 && ticket.exp + 5 > now_s() + 30);
}

#[tokio::test]
async fn every_user_is_where_the_published_ring_says_and_avoid_goes_clockwise() {
    let lookup = Lookup::with_nodes(4).await;
    let ring: Published = lookup.sees("default", 4).await;
    for user in ["alice", "grüße", "用户一", " ", "a/b?c&d=e+f", "😀", "x"] {
        let home = ring.home(user, &[]).to_owned();
        let second = ring.home(user, &[&home]).to_owned();
        assert_eq!(lookup.look_up(user, "").await["node"], home, "{user}");
        assert_eq!(lookup.look_up(user, &format!("avoid={home}")).await["node"], second, "{user}");
        let third = lookup.look_up(user, &format!("avoid={home}&avoid={second}")).await;
        assert_eq!(third["node"], ring.home(user, &[&home, &second]), "{user}");
        let all = lookup.look_up(user, "avoid=n1&avoid=n2&avoid=n3&avoid=n4").await;
        assert_eq!(all["node"], home, "{user}: an avoid that leaves no node is ignored");
        let body = json!({ "avoid": [home, second] }).to_string();
        let posted = lookup.post("/lookup", &body).token(&jwt(user)).send().await;
        assert_eq!(posted.json()["node"], third["node"], "{user}");
        let one = json!({ "id": user, "avoid": home }).to_string();
        assert_eq!(
            lookup.post("/lookup", &one).token(&jwt(user)).send().await.json()["node"],
            second,
            "{user}"
        );
    }
}

#[tokio::test]
async fn ids_come_percent_encoded() {
    let lookup = Lookup::with_nodes(1).await;
    for (query, user) in
        [("id=a%2Fb%3Fc%26d%3De%2Bf", "a/b?c&d=e+f"), ("id=+", " "), ("id=gr%C3%BC%C3%9Fe", "grüße")]
    {
        assert_eq!(lookup.look_up(user, query).await["id"], user);
    }
}

#[tokio::test]
async fn a_back_end_may_look_up_for_others() {
    let lookup = Lookup::with_nodes(1).await;
    for scope in ["act_for_others", "admin"] {
        let token =
            jwt_with(json!({ "sub": "back end", "exp": now_s() + 60, "scope": format!("x {scope}") }));
        let answer = lookup.get("/lookup?id=alice").token(&token).send().await;
        assert_eq!((answer.status.as_u16(), answer.json()["id"].as_str()), (200, Some("alice")));
    }
}

#[tokio::test]
async fn two_services_never_answer_with_each_others_nodes() {
    let mut lookup = Lookup::start(config(), &["dc", "wecheck"]).await;
    for (service, id) in [("dc", "n1"), ("dc", "n2"), ("wecheck", "n1"), ("wecheck", "n2")] {
        lookup.join(service, id).await;
    }
    let rings = [("dc", lookup.sees("dc", 2).await), ("wecheck", lookup.sees("wecheck", 2).await)];
    for number in 0..50 {
        let user = format!("user-{number}");
        for (service, ring) in &rings {
            let grant = lookup.look_up(&user, &format!("service={service}")).await;
            let home = ring.home(&user, &[]);
            assert_eq!((&grant["service"], &grant["node"]), (&json!(service), &json!(home)));
            assert_eq!(grant["url"], format!("ws://{home}.{service}.example.com/ws"));
            let other = lookup.look_up(&user, &format!("service={service}&avoid=n1&avoid=n2")).await;
            assert_eq!(other["node"], home);
        }
    }
    assert_ne!(rings[0].1.signature, rings[1].1.signature, "each service has a ring key of its own");
    lookup.get("/lookup").token(&jwt("alice")).send().await.problem(404, "unknown_service");
}

#[tokio::test]
async fn ids_without_tokens_when_that_was_asked_for() {
    let mut lookup = Lookup::start(Config { callers: Callers::Anyone, ..config() }, &["default"]).await;
    lookup.join("default", "n1").await;
    lookup.sees("default", 1).await;
    let answer = lookup.get("/lookup?id=alice").send().await;
    assert_eq!((answer.status.as_u16(), answer.json()["id"].as_str()), (200, Some("alice")));
    lookup.get("/lookup").send().await.problem(400, "id_required");
    lookup.get("/lookup").token(&jwt("alice")).send().await.problem(400, "id_required");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_get_tickets_of_their_own() {
    let lookup = std::sync::Arc::new(Lookup::with_nodes(3).await);
    let ring = lookup.sees("default", 3).await;
    let asking: Vec<_> = (0..50)
        .map(|number| {
            // Ten each: the user alone must not be what tells tickets apart.
            let (lookup, user) = (lookup.clone(), format!("user-{}", number % 5));
            tokio::spawn(async move { (lookup.look_up(&user, "").await, user) })
        })
        .collect();
    let mut tickets = std::collections::HashSet::new();
    for asked in asking {
        let (grant, user) = asked.await.unwrap();
        assert_eq!((&grant["id"], &grant["node"]), (&json!(user), &json!(ring.home(&user, &[]))));
        assert!(tickets.insert(grant["ticket"].as_str().unwrap().to_owned()), "a ticket came twice");
    }
}
