//! What needs no node: the log's pages, the nodes, the ring, draining.

use std::time::Duration;

use cluster::log::{Append, Fence, LogConfig, Message, Open, Retention, Topic};
use serde_json::{Value, json};

use super::world::{KEY, SERVICE, World, position};
use crate::caller::Callers;

/// Appends entries whose data are their offsets.
async fn written(world: &World, group: &str, count: u64) {
    let ring = world.app.services[0].ring().unwrap();
    let name = format!("g:{group}");
    let topic = Topic { name: &name, slot: ring.key().slot(&name) };
    let open = Open { topic, fence: Fence::of(&ring), known: None, fresh: position(0).epoch };
    let texts: Vec<String> = (1..=count).map(|offset| offset.to_string()).collect();
    let message = |text: &'_ String| -> Vec<u8> { text.clone().into_bytes() };
    let data: Vec<Vec<u8>> = texts.iter().map(message).collect();
    let messages: Vec<Message<'_>> =
        data.iter().map(|data| Message { from: "alice", key: None, data }).collect();
    let log = world.store.log(SERVICE, LogConfig::default()).unwrap();
    let append = Append { open, retention: Retention::default(), messages: &messages };
    log.append(&[append]).await.pop().unwrap().unwrap();
}

fn offsets(page: &Value) -> Vec<u64> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["offset"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn history_pages_both_ways() {
    let world = World::usual().await;
    written(&world, "class 3", 300).await;
    let page = async |query: &str| {
        let told = world.ask("GET", &format!("/v1/groups/class%203/history?{query}"), "").await;
        assert_eq!(told.status, 200, "{query}");
        told.json()
    };
    let newest = page("").await;
    assert_eq!(offsets(&newest), (251..=300).rev().collect::<Vec<_>>());
    assert_eq!(
        (&newest["offset"], &newest["first"], &newest["more"]),
        (&json!(300), &json!(45), &json!(true))
    );
    assert_eq!(newest["entries"][0]["data"], 300);
    assert_eq!(newest["entries"][0]["from"], "alice");
    let behind = page("after=7&limit=3").await;
    assert_eq!((offsets(&behind), &behind["gap"]), (vec![45, 46, 47], &json!({ "after": 7, "before": 45 })));
    let last = page("after=299&epoch=00000000000000ff").await;
    assert_eq!((offsets(&last), &last["more"], &last["lost"]), (vec![300], &json!(false), &json!(false)));
    let below = page("before=47&service=default").await;
    assert_eq!((offsets(&below), &below["more"]), (vec![46, 45], &json!(false)));
    assert_eq!(page("epoch=0000000000000001").await["lost"], true);
    let never = world.ask("GET", "/v1/groups/other/history", "").await;
    assert_eq!((never.status, &never.json()["epoch"]), (200, &Value::Null));
    for query in ["after=1&before=2", "limit=1001", "after=x", "epoch=1"] {
        let told = world.ask("GET", &format!("/v1/groups/g/history?{query}"), "").await;
        assert_eq!(told.problem(), (400, "bad_page".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn a_log_that_is_away_is_told() {
    let world = World::usual().await;
    world.store.set_reachable(false);
    let told = world.ask("GET", "/v1/groups/g/history", "").await;
    assert_eq!(told.problem(), (503, "log_unavailable".to_owned()));
    assert_eq!(told.headers["retry-after"], "1");
}

#[tokio::test]
async fn nodes_are_listed_and_drained() {
    let world = World::usual().await;
    let listed = async || world.ask("GET", "/v1/nodes", "").await.json();
    let before = listed().await;
    let ring = world.app.services[0].ring().unwrap();
    assert_eq!(before["ring"]["version"], ring.version().as_u64());
    let node = |all: &Value, id: &str| {
        all["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).unwrap().clone()
    };
    let generation = ring.member("n2").unwrap().generation;
    assert_eq!(
        node(&before, "n2"),
        json!({
            "id": "n2", "url": "ws://n2.example.com/ws", "weight": 100, "state": "active", "suspected": false, "slots": 32_768,
            "sessions": 7, "generation": generation
        })
    );
    assert_eq!(node(&before, "n1").get("sessions"), None, "it has not said");
    for _ in 0..2 {
        let told = world.ask("POST", "/v1/nodes/n2/drain", "").await;
        let drained = told.json();
        assert_eq!(
            (told.status, &drained["state"], &drained["slots"]),
            (202, &json!("draining"), &json!(0)),
            "twice is as good as once"
        );
        assert_eq!(node(&listed().await, "n2"), drained);
    }
    let after = listed().await;
    assert_eq!(node(&after, "n1")["slots"], 65_536);
    assert_eq!(after["ring"]["version"], before["ring"]["version"].as_u64().unwrap() + 1);
    let unknown = world.ask("POST", "/v1/nodes/n9/drain", "").await;
    assert_eq!(unknown.problem(), (404, "unknown_node".to_owned()));
}

#[tokio::test]
async fn draining_needs_the_store() {
    // It is tried for two leases.
    let world = World::with_lease(Duration::from_millis(200), Callers::Anyone, &[KEY]).await;
    world.store.set_reachable(false);
    let told = world.ask("POST", "/v1/nodes/n2/drain", "").await;
    assert_eq!(told.problem(), (503, "store_unavailable".to_owned()));
}

#[tokio::test]
async fn the_ring_is_the_public_one() {
    let world = World::usual().await;
    let (private, public) = (world.ask("GET", "/v1/ring", "").await, world.ask("GET", "/ring", "").await);
    assert_eq!((private.status, private.json()), (200, public.json()));
    assert_eq!(private.headers["etag"], public.headers["etag"]);
    let stranger = world.ask_as(None, "GET", "/v1/ring", "").await;
    assert_eq!(stranger.problem(), (401, "api_key_missing".to_owned()));
}
