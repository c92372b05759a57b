//! The checker's cluster keeps the protocol itself: tickets, replays, gaps, keys.

use serde_json::Value;

use super::*;

fn world() -> World {
    cluster::tokens::install_crypto();
    World::new(&Secrets::new("a secret of the tests, of thirty-two bytes", &[]).unwrap())
}

fn ticket(world: &mut World) -> String {
    match world.look_up(&LookupRequest::default(), None, 0, 1_000) {
        Told::Granted { body, .. } => body["ticket"].as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn connected(world: &mut World, hello: &str) -> ConnId {
    let ticket = ticket(world);
    let conn = world.opened(NODES[0], Some(&ticket), false, 0, 1_000);
    world.heard(conn, hello, 0);
    conn
}

/// The frames for a connection since the last call, without those of later versions.
fn frames(world: &mut World, conn: ConnId) -> Vec<Value> {
    let texts = world.take_output().into_iter().filter_map(|(to, item)| match item {
        Item::Text(text) if to == conn => serde_json::from_str(&text).ok(),
        _ => None,
    });
    texts.filter(|frame: &Value| frame["op"] != "x_later").collect()
}

fn ops(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["op"].as_str()).collect()
}

#[test]
fn a_ticket_opens_one_connection_to_its_node() {
    let mut world = world();
    let once = ticket(&mut world);
    let uses = |world: &World| {
        let of = |event: &crate::conformance::record::Event| match event.what {
            What::Opened { ticket, .. } => Some(ticket),
            _ => None,
        };
        world.record.events().iter().filter_map(of).collect::<Vec<_>>()
    };
    world.opened(NODES[1], Some(&once), false, 0, 1_000);
    world.opened(NODES[0], Some(&once), false, 0, 1_000);
    world.opened(NODES[0], Some(&once), false, 0, 1_000);
    world.opened(NODES[0], None, false, 0, 1_000);
    world.opened(NODES[0], Some(&once), true, 0, 1_000);
    assert_eq!(
        uses(&world),
        [TicketUse::Wrong, TicketUse::Fresh, TicketUse::Used, TicketUse::Missing, TicketUse::NoSubprotocol]
    );
}

#[test]
fn who_comes_back_gets_what_was_missed() {
    let mut world = world();
    let first = connected(&mut world, r#"{"op":"hello"}"#);
    let inbox = world.inbox();
    let welcome = frames(&mut world, first).remove(0);
    assert_eq!(welcome["topics"][&inbox]["offset"], 0);
    let epoch = welcome["topics"][&inbox]["epoch"].as_str().unwrap().to_owned();
    world.publish(&inbox, 0);
    assert_eq!(ops(&frames(&mut world, first)), ["message"]);
    world.cut(first, 0);
    world.publish(&inbox, 0);
    let hello = serde_json::json!({ "op": "hello", "resume": { &inbox: { "epoch": epoch, "offset": 1 } } });
    let again = connected(&mut world, &hello.to_string());
    let told = frames(&mut world, again);
    assert_eq!(ops(&told), ["welcome", "message"]);
    assert_eq!((&told[1]["offset"], &told[1]["replayed"]), (&2.into(), &true.into()));
    world.cut(again, 0);
    // What was trimmed, and a life that is over, are told by a gap before the first message.
    world.trim(&inbox, 3, 0);
    world.publish(&inbox, 0);
    let trimmed = connected(&mut world, &hello.to_string());
    let told = frames(&mut world, trimmed);
    assert_eq!(ops(&told), ["welcome", "gap", "message"]);
    assert_eq!(
        (&told[1]["after"], &told[1]["before"], &told[2]["offset"]),
        (&1.into(), &6.into(), &6.into())
    );
    world.lose(&inbox, 0);
    assert_eq!(ops(&frames(&mut world, trimmed)), ["gap"]);
    world.publish(&inbox, 0);
    let lost = connected(&mut world, &hello.to_string());
    let told = frames(&mut world, lost);
    assert_eq!(told[0]["topics"][&inbox]["recovered"], false);
    assert_eq!((&told[1]["reason"], &told[2]["offset"]), (&"log_lost".into(), &1.into()));
}

#[test]
fn a_pending_topic_brings_nothing_before_it_is_recovered() {
    let mut world = world();
    world.script.pending = Some(NODES[0]);
    let conn = connected(&mut world, r#"{"op":"hello","resume":{"u:client":{"offset":0}}}"#);
    let inbox = world.inbox();
    assert_eq!(frames(&mut world, conn)[0]["topics"][&inbox]["recovered"], "pending");
    world.publish(&inbox, 0);
    assert_eq!(ops(&frames(&mut world, conn)), Vec::<&str>::new());
    world.recover(conn, &inbox, 0);
    assert_eq!(ops(&frames(&mut world, conn)), ["recovered", "message"]);
}

#[test]
fn a_key_is_acknowledged_with_its_first_offset() {
    let mut world = world();
    let conn = connected(&mut world, r#"{"op":"hello"}"#);
    frames(&mut world, conn);
    for (reference, key, offset) in [(1, "a", 1), (2, "b", 2), (3, "a", 1)] {
        let send = format!(
            r#"{{"op":"send","ref":{reference},"key":"{key}","to":{{"user":"conformance"}},"data":{{"echo":1}}}}"#
        );
        world.heard(conn, &send, 0);
        let told = frames(&mut world, conn);
        assert_eq!((&told[0]["ref"], &told[0]["offset"]), (&reference.into(), &offset.into()), "{told:?}");
    }
}

#[test]
fn what_was_held_is_answered_before_bye() {
    let mut world = world();
    world.script.silent = Some(NODES[0]);
    let conn = connected(&mut world, r#"{"op":"hello"}"#);
    frames(&mut world, conn);
    world.heard(conn, r#"{"op":"send","ref":"x","to":{"user":"conformance"},"data":{"echo":1}}"#, 0);
    assert_eq!(frames(&mut world, conn), Vec::<Value>::new());
    world.heard(conn, r#"{"op":"detach"}"#, 0);
    let told = frames(&mut world, conn);
    assert_eq!((ops(&told), &told[0]["ref"]), (vec!["ack", "bye"], &"x".into()));
}

#[test]
fn a_scene_begins_with_nothing_of_the_one_before() {
    let mut world = world();
    world.begin(Scene::Begin, Script::default(), 0);
    let first = connected(&mut world, r#"{"op":"hello"}"#);
    let inbox = world.inbox();
    world.publish(&inbox, 0);
    world.begin(Scene::AtOnce, Script::default(), 0);
    world.cut(first, 0);
    frames(&mut world, first);
    let all = serde_json::json!({ "op": "hello", "resume": { &inbox: { "offset": 0 } } });
    let second = connected(&mut world, &all.to_string());
    let told = frames(&mut world, second);
    assert_eq!((ops(&told), &told[0]["topics"][&inbox]["offset"]), (vec!["welcome"], &1.into()));
    assert_eq!(told[0]["topics"][&inbox]["recovered"], true);
    world.publish(&inbox, 0);
    assert_eq!(frames(&mut world, second)[0]["offset"], 2);
}
