//! A node goes away: its sessions are asked to move, who comes meanwhile too, and who stays too long is closed.

use std::sync::Arc;

use cluster::wire::codes::CloseCode;

use super::sinks::Memory;
use super::world::World;

/// Where `moved` frames lead, and why; everything else is passed over.
fn moves(memory: &Memory) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let frames = memory.take();
    let moved = frames.iter().filter(|frame| frame["op"] == "moved");
    moved.map(|frame| (text(&frame["node"]), text(&frame["reason"]))).collect()
}

fn asked(node: &str) -> Vec<(String, String)> {
    vec![(node.into(), "draining".into())]
}

#[test]
fn when_the_ring_says_so_all_its_sessions_are_asked_and_nobody_elses() {
    let mut world = World::new(3);
    let next = Arc::new(world.ring.drain("n0"));
    let (to_n1, to_n2) = (world.user_from_to(0, 1, &next), world.user_from_to(0, 2, &next));
    let (_, one) = world.connect(0, &to_n1);
    let (_, two) = world.connect(0, &to_n2);
    let other = world.user_of(1, 0);
    let (_, guest) = world.connect(0, &other);
    let (_, elsewhere) = world.connect(1, &other);
    world.settle();
    world.pass(100);
    assert_eq!(moves(&guest), [("n1".into(), "home".into())], "asked before, for another reason");
    (0..3).for_each(|node| world.show(node, &next));
    world.settle();
    world.pass(100);
    assert_eq!((moves(&one), moves(&two), moves(&guest)), (asked("n1"), asked("n2"), vec![]));

    let (_, late) = world.connect(0, &to_n1);
    world.settle();
    world.pass(200);
    assert_eq!(moves(&late), asked("n1"), "who still comes is welcome, and asked");
    world.pass(10_000);
    assert_eq!((moves(&guest), moves(&elsewhere)), (asked("n1"), vec![]));
}

#[test]
fn who_stays_is_asked_each_ten_seconds_and_closed_when_the_offer_is_over() {
    let mut world = World::new(2);
    let next = Arc::new(world.ring.drain("n0"));
    let user = world.user_of(0, 0);
    let (_, memory) = world.connect(0, &user);
    world.settle();
    (0..2).for_each(|node| world.show(node, &next));
    world.settle();
    world.pass(29_000);
    assert_eq!((moves(&memory), memory.closed()), ([asked("n1"), asked("n1"), asked("n1")].concat(), None));
    world.pass(3_000);
    assert_eq!(memory.closed(), Some(CloseCode::Draining));
}

#[test]
fn when_the_ring_does_not_say_so_in_time_they_are_asked_to_go_to_the_next_node() {
    let mut world = World::new(3);
    let user = world.user_of(0, 0);
    let (_, memory) = world.connect(0, &user);
    world.settle();
    let now = world.now();
    world.nodes[0].begin_drain(now);
    world.work_off(0);
    world.pass(1_900);
    assert_eq!(moves(&memory), [], "the ring may say so yet, and then where the home is");
    world.pass(300);
    let slot = world.ring.key().slot(&format!("u:{user}"));
    let next = world.ring.next_home(slot, |member| member.id == "n0").unwrap();
    assert_eq!(moves(&memory), asked(&next.id));
}
