//! Messages: one hop, once, in order; and what the sender is told.

use cluster::homes::SEND_WITHIN_MS;
use serde_json::json;

use super::world::World;

#[test]
fn a_message_is_passed_on_by_its_home_to_every_session_of_the_user() {
    let mut world = World::new(3);
    let (sender, bob) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, &sender);
    let (_, at_home) = world.connect(1, &bob);
    let (_, elsewhere) = world.connect(2, &bob);
    world.settle();
    [&alice, &at_home, &elsewhere].iter().for_each(|memory| drop(memory.take()));
    world.send(0, key, &bob, 7);
    world.settle();
    let message = at_home.take().pop().unwrap();
    assert_eq!(message["topic"], json!(format!("u:{bob}")));
    assert_eq!((&message["from"], &message["data"]), (&json!(sender), &json!(7)));
    assert_eq!(elsewhere.take(), [message]);
    assert_eq!(alice.take(), [json!({ "op": "ack", "ref": 7, "online": 2 })]);
}

#[test]
fn several_users_take_one_frame_a_node_and_one_answer() {
    let mut world = World::new(3);
    let names: Vec<String> = (0..30).map(|n| world.user_of(n % 3, n / 3)).collect();
    let memories: Vec<_> = names.iter().map(|name| world.connect(world.home(name), name).1).collect();
    let (key, alice) = world.connect(0, "alice");
    world.settle();
    memories.iter().for_each(|memory| drop(memory.take()));
    alice.take();
    let users = serde_json::to_string(&[names.clone(), names.clone()].concat()).unwrap();
    world.say(
        0,
        key,
        &format!(r#"{{"op":"send","ref":"r","to":{{"users":{users}}},"ephemeral":true,"data":5}}"#),
    );
    assert_eq!((world.pipe(0, 1).publishes(), world.pipe(0, 2).publishes()), (vec![10], vec![10]));
    world.settle();
    assert_eq!(alice.take(), [json!({ "op": "ack", "ref": "r" })]);
    memories.iter().for_each(|memory| assert_eq!(memory.data(), [5]));
}

#[test]
fn without_a_ref_nobody_is_answered() {
    let mut world = World::new(1);
    let (key, memory) = world.connect(0, "alice");
    memory.take();
    world.say(0, key, r#"{"op":"send","to":{"user":"bob"},"data":1}"#);
    assert_eq!(memory.ops(), [""; 0]);
}

#[test]
fn a_broken_link_repeats_what_was_not_answered_and_nobody_gets_it_twice() {
    let mut world = World::new(2);
    let (sender, bob) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, &sender);
    let (_, memory) = world.connect(1, &bob);
    alice.take();
    (1..=3).for_each(|n| world.send(0, key, &bob, n));
    // The home took them all; its answers are lost with the link.
    world.carry_there(0, 1);
    world.cut(0, 1);
    (4..=5).for_each(|n| world.send(0, key, &bob, n));
    assert_eq!(alice.ops(), [""; 0]);
    world.open(0, 1);
    world.settle();
    assert_eq!(memory.data(), [1, 2, 3, 4, 5]);
    assert_eq!(alice.ops(), ["ack"; 5]);
    assert_eq!(world.nodes[1].counts().repeated, 3);
}

#[test]
fn an_unreachable_home_is_told_after_a_while_and_not_forgotten_by_the_sender() {
    let mut world = World::new(2);
    let (sender, bob) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, &sender);
    alice.take();
    world.cut(0, 1);
    world.send(0, key, &bob, 1);
    world.say(
        0,
        key,
        &format!(
            r#"{{"op":"send","ref":2,"to":{{"users":["{sender}","{bob}"]}},"ephemeral":true,"data":2}}"#
        ),
    );
    world.pass(SEND_WITHIN_MS - 100);
    assert_eq!(alice.data(), [2]);
    world.pass(200);
    let answers = alice.take();
    assert_eq!((&answers[0]["code"], &answers[0]["temporary"]), (&json!("unavailable"), &json!(true)));
    assert_eq!(answers[1]["failed"], json!([{ "user": bob, "code": "unavailable" }]));
}

#[test]
fn a_full_link_is_told_at_once() {
    let mut world = World::new(2);
    let (sender, bob) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, &sender);
    alice.take();
    world.pipe(0, 1).set_room(0);
    world.send(0, key, &bob, 1);
    assert_eq!(alice.take()[0]["code"], "overloaded");
    world.pipe(0, 1).set_room(usize::MAX);
    world.send(0, key, &bob, 2);
    world.settle();
    assert_eq!(alice.ops(), ["ack"]);
}

#[test]
fn what_waits_for_one_home_has_a_bound() {
    let mut world = World::new(2);
    let (sender, bob) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, &sender);
    alice.take();
    world.cut(0, 1);
    let large = "x".repeat(1_000_000);
    for _ in 0..5 {
        world.say(0, key, &format!(r#"{{"op":"send","ref":1,"to":{{"user":"{bob}"}},"data":"{large}"}}"#));
    }
    assert_eq!(alice.take()[0]["code"], "overloaded");
}

#[test]
fn what_a_full_link_did_not_take_goes_out_later_in_order() {
    let mut world = World::new(2);
    let (sender, bob) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, &sender);
    let (_, memory) = world.connect(1, &bob);
    alice.take();
    memory.take();
    world.cut(0, 1);
    (1..=4).for_each(|n| world.send(0, key, &bob, n));
    world.open_with_room(0, 1, 2);
    world.send(0, key, &bob, 5);
    world.carry_there(0, 1);
    world.pipe(0, 1).set_room(usize::MAX);
    assert_eq!(memory.data(), [1, 2]);
    world.pass(100);
    world.settle();
    assert_eq!(memory.data(), [3, 4, 5]);
    assert_eq!(alice.ops(), ["ack"; 5]);
}

#[test]
fn interest_that_a_full_link_did_not_take_is_told_later() {
    let mut world = World::new(2);
    let bob = world.user_of(1, 0);
    let (key, memory) = world.connect(0, &bob);
    world.settle();
    assert_eq!(world.nodes[1].topic_count(), 1);
    memory.take();
    world.pipe(0, 1).set_room(0);
    world.nodes[0].closed(key);
    world.pipe(0, 1).set_room(usize::MAX);
    world.pass(100);
    world.settle();
    assert_eq!((world.nodes[0].topic_count(), world.nodes[1].topic_count()), (0, 0));
}

#[test]
fn a_large_message_to_many_counts_as_several_sends() {
    let mut world = World::new(1);
    let (key, alice) = world.connect(0, "alice");
    alice.take();
    let users: Vec<String> = (0..640).map(|n| format!("u{n}")).collect();
    let (users, data) = (serde_json::to_string(&users).unwrap(), "x".repeat(6_400));
    let text =
        format!(r#"{{"op":"send","ref":1,"to":{{"users":{users}}},"ephemeral":true,"data":"{data}"}}"#);
    world.say(0, key, &text);
    assert_eq!(alice.ops(), ["ack"]);
    world.say(0, key, &text);
    assert_eq!(alice.take()[0]["retry_after_ms"], 1_875);
}
