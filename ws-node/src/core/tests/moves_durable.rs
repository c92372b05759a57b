//! Durable messages while homes change, links break and entries are missed.

use std::sync::Arc;

use cluster::homes::SEND_WITHIN_MS;
use cluster::ring::Ring;
use serde_json::json;

use super::sinks::Memory;
use super::world::{World, generous, member};
use crate::core::SessionKey;
use crate::core::home::STORE_BYTES_MAX;
use crate::core::log_port::LogRequest;

/// Three nodes, of which two are in the ring; the next ring moves bob's inbox from the first to the third. The sender and
/// bob sit at the second.
fn growing() -> (World, Arc<Ring>, String, (SessionKey, Memory), Memory) {
    let mut world = World::new(2);
    world.add_node();
    let next = Arc::new(world.ring.join(member(2)).unwrap());
    let bob = world.user_from_to(0, 2, &next);
    let sender = world.user_from_to(1, 1, &next);
    let alice = world.connect(1, &sender);
    let (_, memory) = world.connect(1, &bob);
    world.settle();
    alice.1.take();
    memory.take();
    (world, next, bob, alice, memory)
}

fn rest(world: &mut World) {
    for _ in 0..8 {
        world.settle();
        world.pass(100);
    }
}

#[test]
fn an_append_that_is_out_when_its_home_changes_comes_first() {
    for told_late in [false, true] {
        let (mut world, next, bob, (key, alice), memory) = growing();
        world.post(1, key, &bob, 1);
        world.carry_there(1, 0);
        world.post(1, key, &bob, 2);
        world.carry_there(1, 0);
        if told_late {
            // The old home's append comes before the new home opens, its answer after.
            assert!(world.carry_out(0, 0));
        }
        (0..3).for_each(|node| world.show(node, &next));
        world.carry_there(1, 2);
        world.answer_log(2, usize::MAX);
        world.post(1, key, &bob, 3);
        rest(&mut world);
        assert_eq!((memory.data(), alice.ops()), (vec![1, 2, 3], vec!["ack".to_owned(); 3]), "{told_late}");
        let data: Vec<_> = world.entries(&format!("u:{bob}")).1.into_iter().map(|(_, data)| data).collect();
        assert_eq!(data, ["1", "2", "3"]);
    }
}

#[test]
fn of_two_homes_at_once_the_log_takes_the_newer_one() {
    let (mut world, next, bob, (key, alice), memory) = growing();
    // The old home and the sender's node have not heard of the new ring.
    world.show(2, &next);
    let (local, _) = world.connect(2, &world.user_of(0, 3));
    world.settle();
    world.post(2, local, &bob, 10);
    world.settle();
    world.post(1, key, &bob, 20);
    rest(&mut world);
    assert_eq!((memory.data(), alice.ops()), (vec![], vec![]), "the old home is refused, and waits");
    (0..2).for_each(|node| world.show(node, &next));
    rest(&mut world);
    assert_eq!((memory.data(), alice.ops()), (vec![10, 20], vec!["ack".to_owned()]));
}

#[test]
fn a_home_that_gets_its_topic_back_asks_the_log_what_happened_meanwhile() {
    let (mut world, next, bob, _, memory) = growing();
    let back = Arc::new(next.leave(&["n2"]));
    let (local, _) = world.connect(2, &world.user_of(0, 3));
    world.settle();
    // An append of the first home is out all the time, so that it remembers what it knew.
    let (own, _) = world.connect(0, &world.user_of(0, 4));
    world.settle();
    world.post(0, own, &bob, 1);
    assert!(world.carry_out(0, 0));
    (0..3).for_each(|node| world.show(node, &next));
    world.answer_log(2, usize::MAX);
    world.post(2, local, &bob, 2);
    world.answer_log(2, usize::MAX);
    // What the second home passed on is lost.
    world.cut(1, 2);
    (0..3).for_each(|node| world.show(node, &back));
    rest(&mut world);
    assert_eq!(memory.data(), [1, 2]);
}

#[test]
fn entries_that_a_full_link_dropped_are_found_when_it_has_room() {
    let (mut world, _, bob, _, memory) = growing();
    let (local, _) = world.connect(0, &world.user_of(0, 4));
    world.settle();
    world.pipe_back(1, 0).set_room(0);
    (1..=3).for_each(|data| world.post(0, local, &bob, data));
    world.settle();
    assert_eq!(memory.ops(), [""; 0]);
    world.pipe_back(1, 0).set_room(usize::MAX);
    world.pass(100);
    world.settle();
    assert_eq!(memory.data(), [1, 2, 3]);
}

#[test]
fn while_the_link_to_a_home_is_cut_its_topics_are_looked_at_in_the_log() {
    let (mut world, _, bob, _, memory) = growing();
    let (_, second) = world.connect(1, &bob);
    let (local, _) = world.connect(0, &world.user_of(0, 4));
    world.settle();
    second.take();
    world.cut(1, 0);
    (1..=3).for_each(|data| world.post(0, local, &bob, data));
    world.settle();
    let reads = world.reads;
    for _ in 0..12 {
        world.pass(100);
        world.settle();
    }
    assert_eq!((memory.data(), second.data()), (vec![1, 2, 3], vec![1, 2, 3]));
    assert_eq!(world.reads - reads, 1, "once for both sessions");
    world.open(1, 0);
    world.settle();
    world.post(0, local, &bob, 4);
    world.settle();
    assert_eq!((memory.data(), second.data()), (vec![4], vec![4]));
}

#[test]
fn a_link_that_is_opened_again_brings_what_was_missed() {
    let (mut world, _, bob, _, memory) = growing();
    let (local, _) = world.connect(0, &world.user_of(0, 4));
    world.settle();
    world.cut(1, 0);
    world.post(0, local, &bob, 1);
    world.settle();
    world.open(1, 0);
    world.settle();
    assert_eq!(memory.data(), [1]);
}

#[test]
fn a_full_log_does_not_keep_what_is_at_home_elsewhere() {
    let mut world = World::new(2);
    world.add_node();
    let next = Arc::new(world.ring.join(member(2)).unwrap());
    let (bob, carol) = (world.user_from_to(0, 2, &next), world.user_from_to(0, 0, &next));
    let (key, alice) = world.connect(0, "alice");
    let (_, memory) = world.connect(1, &bob);
    world.settle();
    alice.take();
    memory.take();
    (1..3).for_each(|n| world.post(0, key, &bob, n));
    world.asked[0].set_full(true);
    world.post(0, key, &carol, 9);
    (0..3).for_each(|node| world.show(node, &next));
    world.carry_there(1, 2);
    world.answer_log(2, usize::MAX);
    // The log refuses what was out, for the home is another one.
    assert_eq!(world.answer_log(0, usize::MAX), 1);
    world.pass(100);
    world.settle();
    assert_eq!(memory.data(), [1, 2]);
    assert_eq!(alice.ops(), ["ack", "ack"]);
}

#[test]
fn what_finds_no_room_at_the_next_home_holds_up_what_is_behind_it() {
    let mut world = World::with(2, generous());
    let (bob, carol) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, alice) = world.connect(0, "alice");
    world.settle();
    alice.take();
    world.asked[0].set_full(true);
    let large = "x".repeat(60_000);
    let large = |to: &str| format!(r#"{{"op":"send","ref":1,"to":{{"user":"{to}"}},"data":"{large}"}}"#);
    world.say(0, key, &large(&bob));
    world.post(0, key, &bob, 2);
    let refused = (0..100).map(|_| {
        world.say(0, key, &large(&carol));
        alice.take()
    });
    assert_eq!(refused.flatten().next().unwrap()["code"], "overloaded");
    let next = Arc::new(world.ring.drain("n0"));
    world.show(0, &next);
    let failed = alice.take();
    let told: Vec<_> = failed.iter().map(|frame| (&frame["ref"], &frame["code"])).collect();
    assert_eq!(told, [(&json!(1), &json!("unavailable")), (&json!(2), &json!("unavailable"))]);
}

#[test]
fn what_comes_home_and_finds_no_room_holds_up_what_is_behind_it() {
    let mut world = World::with(2, generous());
    let (bob, carol) = (world.user_of(1, 0), world.user_of(1, 1));
    let (key, alice) = world.connect(0, "alice");
    world.settle();
    alice.take();
    let large = "x".repeat(60_000);
    world.say(0, key, &format!(r#"{{"op":"send","ref":1,"to":{{"user":"{bob}"}},"data":"{large}"}}"#));
    world.post(0, key, &bob, 2);
    world.post(0, key, &carol, 3);
    // They may have been stored by now.
    world.carry_there(0, 1);
    world.nodes[0].store_bytes = STORE_BYTES_MAX - 10_000;
    let next = Arc::new(world.ring.drain("n1"));
    world.show(0, &next);
    let failed = alice.take();
    let told: Vec<_> = failed.iter().map(|frame| (&frame["ref"], &frame["code"])).collect();
    assert_eq!(told, [(&json!(1), &json!("unavailable")), (&json!(2), &json!("unavailable"))]);
    let asked = std::iter::from_fn(|| world.asked[0].take(0));
    let appends = asked.filter(|request| matches!(request, LogRequest::Append { .. }));
    assert_eq!(appends.count(), 1, "there is room for the third");
}

#[test]
fn what_is_given_back_late_goes_nowhere() {
    let mut world = World::with(2, generous());
    let bob = world.user_of(0, 0);
    let (key, alice) = world.connect(0, "alice");
    world.settle();
    alice.take();
    world.asked[0].set_full(true);
    world.post(0, key, &bob, 1);
    world.pass(1_000);
    world.post(0, key, &bob, 2);
    world.pass(SEND_WITHIN_MS - 1_000);
    let next = Arc::new(world.ring.drain("n0"));
    world.show(0, &next);
    let failed = alice.take();
    let told: Vec<_> = failed.iter().map(|frame| (&frame["ref"], &frame["code"])).collect();
    let unavailable = json!("unavailable");
    assert_eq!(told, [(&json!(1), &unavailable), (&json!(2), &unavailable)], "with what is behind it");
}
