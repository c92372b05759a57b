//! Durable messages: in the log before anybody hears of them, also when the log is away, slow, or silent about it.

use serde_json::{Value, json};

use super::sinks::Memory;
use super::world::World;
use crate::core::SessionKey;

/// Two nodes: alice and bob are at home at the first, bob's session sits at the second.
fn apart() -> (World, SessionKey, Memory, Memory, String) {
    let mut world = World::new(2);
    let (alice, bob) = (world.user_of(0, 0), world.user_of(0, 1));
    let (key, to_alice) = world.connect(0, &alice);
    let (_, to_bob) = world.connect(1, &bob);
    world.settle();
    to_alice.take();
    to_bob.take();
    (world, key, to_alice, to_bob, bob)
}

fn keyed(to: &str, key: &str, data: u64) -> String {
    json!({ "op": "send", "ref": data, "to": { "user": to }, "key": key, "data": data }).to_string()
}

fn codes(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["code"].as_str().unwrap_or("ack")).collect()
}

#[test]
fn nobody_hears_of_a_message_before_the_log_has_said_that_it_is_there() {
    let (mut world, key, alice, bob, name) = apart();
    world.post(0, key, &name, 7);
    world.settle_links();
    assert_eq!((alice.ops().len(), bob.ops().len()), (0, 0));
    assert!(world.carry_out(0, 0));
    world.settle_links();
    assert_eq!((alice.ops().len(), bob.ops().len()), (0, 0), "stored, but who knows?");
    world.settle();
    let acks = alice.take();
    assert_eq!((&acks[0]["ref"], &acks[0]["offset"], &acks[0]["online"]), (&json!(7), &json!(1), &json!(1)));
    assert_eq!(bob.data(), [7]);
}

#[test]
fn what_comes_while_the_log_is_away_waits_four_seconds_and_fails_with_what_is_behind_it() {
    let (mut world, key, alice, bob, name) = apart();
    world.store.set_reachable(false);
    world.post(0, key, &name, 1);
    world.settle();
    for _ in 0..19 {
        world.pass(200);
        world.settle();
    }
    world.post(0, key, &name, 2);
    world.post(0, key, &name, 3);
    assert_eq!(alice.ops(), [""; 0], "after 3.8 s");
    for _ in 0..3 {
        world.pass(200);
        world.settle();
    }
    let answers = alice.take();
    let references: Vec<_> = answers.iter().map(|answer| answer["ref"].as_u64()).collect();
    assert_eq!((references, codes(&answers)), (vec![Some(1), Some(2), Some(3)], vec!["log_unavailable"; 3]));
    assert!(answers.iter().all(|answer| answer["temporary"] == true));
    (4..6).for_each(|number| world.post(0, key, &name, number));
    world.store.set_reachable(true);
    world.pass(200);
    world.settle();
    assert_eq!((alice.ops(), bob.data()), (vec!["ack".to_owned(); 2], vec![4, 5]));
    assert_eq!((alice.closed(), bob.closed()), (None, None));
}

#[test]
fn what_the_log_took_without_saying_so_is_passed_on_though_nothing_follows() {
    let (mut world, key, alice, bob, name) = apart();
    world.store.set_answers_lost(true);
    world.post(0, key, &name, 5);
    for _ in 0..25 {
        world.settle();
        world.pass(200);
    }
    assert_eq!(codes(&alice.take()), ["log_unavailable"]);
    world.store.set_answers_lost(false);
    world.pass(200);
    world.settle();
    assert_eq!(bob.data(), [5], "once, however often it was tried");
}

#[test]
fn a_session_that_comes_while_the_log_is_away_is_welcomed_and_told_later() {
    let mut world = World::new(1);
    world.store.set_reachable(false);
    let (_, memory) = world.connect(0, "bob");
    world.settle();
    let welcome = memory.take();
    assert_eq!(welcome[0]["topics"]["u:bob"], json!({ "recovered": "pending" }));
    world.store.set_reachable(true);
    world.pass(200);
    world.settle();
    let recovered = memory.take();
    assert_eq!((&recovered[0]["op"], &recovered[0]["recovered"]), (&json!("recovered"), &json!(true)));
    assert_eq!((&recovered[0]["topic"], &recovered[0]["offset"]), (&json!("u:bob"), &json!(0)));
}

#[test]
fn what_waits_for_a_full_log_is_looked_after_in_pieces() {
    let mut world = World::with(1, super::world::generous());
    let (key, alice) = world.connect(0, "alice");
    world.asked[0].set_full(true);
    let users: Vec<String> = (0..1_200).map(|n| format!("user{n}")).collect();
    users.iter().zip(0..).for_each(|(user, n)| world.post(0, key, user, n));
    world.lazy = true;
    let refused = world.asked[0].refused();
    world.pass(100);
    world.work_off(0);
    assert_eq!(world.asked[0].refused(), refused + 1, "once a tick");
    world.asked[0].set_full(false);
    world.pass(100);
    assert_eq!(world.asked[0].len(), 500, "a piece");
    world.work_off(0);
    assert_eq!(world.asked[0].len(), 1_200);
    world.settle();
    assert!(codes(&alice.take()).iter().all(|code| *code == "ack"));
    // What waits for too long fails in time though the log took nothing before it in its tick.
    world.lazy = false;
    let (other, _) = world.connect(0, "carol");
    world.settle();
    world.asked[0].set_full(true);
    users.iter().zip(0..).for_each(|(user, n)| world.post(0, key, user, n));
    world.pass(2_000);
    world.post(0, other, &users[0], 0);
    world.pass(2_000);
    world.settle_links();
    let failed = alice.take();
    assert_eq!(failed.len(), 1_200);
    assert!(codes(&failed).iter().all(|code| *code == "log_unavailable"));
}

#[test]
fn what_waits_for_the_log_has_a_bound() {
    let mut world = World::with(1, super::world::generous());
    let (key, alice) = world.connect(0, "alice");
    alice.take();
    world.asked[0].set_full(true);
    let large = "x".repeat(60_000);
    let text = |n: u64| json!({ "op": "send", "ref": n, "to": { "user": "bob" }, "data": large }).to_string();
    (0..1_200).for_each(|n| world.say(0, key, &text(n)));
    let refused = alice.take();
    assert!(refused.len() > 50 && refused.len() < 200, "{}", refused.len());
    assert!(codes(&refused).iter().all(|code| *code == "overloaded"));
    world.asked[0].set_full(false);
    world.pass(200);
    world.settle();
    assert_eq!(alice.take().len() + refused.len(), 1_200);
    world.say(0, key, &text(9_999));
    world.settle();
    assert_eq!(codes(&alice.take()), ["ack"], "there is room again");
}

#[test]
fn a_key_is_the_same_send_by_whichever_node_it_comes() {
    let (mut world, first, alice, bob, name) = apart();
    world.say(0, first, &keyed(&name, "k", 1));
    world.settle();
    let user = world.user_of(0, 0);
    let (second, there) = world.connect(1, &user);
    world.settle();
    there.take();
    world.say(1, second, &keyed(&name, "k", 1));
    world.settle();
    let (one, two) = (alice.take(), there.take());
    assert_eq!((&one[0]["offset"], &one[0]["epoch"]), (&two[0]["offset"], &two[0]["epoch"]));
    world.say(1, second, &keyed(&name, "k", 2));
    world.settle();
    assert_eq!(codes(&there.take()), ["key_reused"]);
    assert_eq!(bob.data(), [1]);
}

#[test]
fn of_several_users_those_it_failed_for_are_named() {
    let (mut world, key, alice, bob, name) = apart();
    let carol = world.user_of(1, 0);
    world.say(0, key, &keyed(&name, "k", 1));
    world.settle();
    alice.take();
    let users = json!({ "op": "send", "ref": 2, "to": { "users": [name, carol] }, "key": "k", "data": 2 });
    world.say(0, key, &users.to_string());
    world.settle();
    let failed = json!([{ "user": name, "code": "key_reused" }]);
    assert_eq!(alice.take(), [json!({ "op": "ack", "ref": 2, "failed": failed })]);
    assert_eq!(bob.data(), [1]);
    assert_eq!(world.entries(&format!("u:{carol}")).1, [(1, "2".to_owned())]);
}

#[test]
fn ephemeral_messages_neither_wait_for_the_log_nor_count_in_it() {
    let (mut world, key, _, bob, name) = apart();
    world.post(0, key, &name, 1);
    world.send(0, key, &name, 2);
    world.post(0, key, &name, 3);
    world.settle_links();
    assert_eq!(bob.data(), [2]);
    world.settle();
    assert_eq!(
        bob.take().iter().map(|frame| frame["offset"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
}
