//! The ring changes under traffic: interest goes first, what is out follows, order and once hold.

use std::sync::Arc;

use cluster::ring::Ring;
use cluster::wire::codes::ErrorCode;
use serde_json::json;

use super::world::{World, member, ring_of};

fn growing() -> (World, Arc<cluster::ring::Ring>) {
    let mut world = World::new(2);
    world.add_node();
    let next = Arc::new(world.ring.join(member(2)).unwrap());
    (world, next)
}

#[test]
fn exactly_those_whose_home_changed_are_asked_to_move() {
    let (mut world, next) = growing();
    let arcs = world.ring.changed(&next);
    let users: Vec<String> =
        (0..200).map(|n| format!("user{n}")).filter(|user| world.home(user) == 0).collect();
    let memories: Vec<_> = users.iter().map(|user| world.connect(0, user).1).collect();
    memories.iter().for_each(|memory| drop(memory.take()));
    (0..3).for_each(|node| world.show(node, &next));
    world.settle();
    world.pass(100);
    let mut moved = 0;
    for (user, memory) in users.iter().zip(&memories) {
        let expected = arcs.contains(next.key().slot(&format!("u:{user}")));
        assert_eq!(memory.ops().len(), usize::from(expected), "{user}");
        moved += usize::from(expected);
    }
    assert!(moved > 10 && moved < users.len() / 2, "{moved} of {}", users.len());
}

#[test]
fn a_session_that_stays_behind_is_still_served_through_its_new_home() {
    let (mut world, next) = growing();
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    let sender = world.user_of(1, 0);
    let (key, _) = world.connect(1, &sender);
    (0..3).for_each(|node| world.show(node, &next));
    world.settle();
    world.ring = next;
    memory.take();
    world.send(1, key, &user, 9);
    world.settle();
    assert_eq!(memory.data(), [9]);
}

#[test]
fn what_the_old_home_refuses_goes_to_the_new_one_before_anything_newer() {
    let (mut world, next) = growing();
    let user = world.user_from_to(0, 2, &next);
    let sender = world.user_from_to(1, 1, &next);
    let (key, alice) = world.connect(1, &sender);
    let (_, memory) = world.connect(0, &user);
    alice.take();
    // The old home and the new one know the new ring, the sender's node does not yet.
    world.show(0, &next);
    world.show(2, &next);
    world.settle();
    (1..=3).for_each(|n| world.send(1, key, &user, n));
    world.carry_there(1, 0);
    world.carry_back(1, 0);
    world.send(1, key, &user, 4);
    world.show(1, &next);
    world.send(1, key, &user, 5);
    world.settle();
    world.pass(300);
    world.settle();
    assert_eq!(memory.data(), [1, 2, 3, 4, 5]);
    assert_eq!(alice.ops(), ["ack"; 5]);
}

#[test]
fn a_refusing_home_takes_nothing_newer_until_it_is_told_to_begin_again() {
    let (mut world, next) = growing();
    let user = world.user_from_to(0, 2, &next);
    let sender = world.user_of(1, 0);
    let (key, alice) = world.connect(1, &sender);
    let (_, memory) = world.connect(0, &user);
    alice.take();
    // The home loses the slot and gets it back between two messages of a sender that saw neither.
    world.send(1, key, &user, 1);
    world.show(0, &next);
    world.carry_there(1, 0);
    let back = Arc::new(next.leave(&["n2"]));
    world.show(0, &back);
    world.send(1, key, &user, 2);
    world.carry_there(1, 0);
    assert_eq!(memory.data(), [0_u64; 0], "the second one waits for the first");
    world.carry_back(1, 0);
    world.send(1, key, &user, 3);
    assert!(world.pipe(1, 0).is_empty(), "the third one waits here");
    world.pass(200);
    world.settle();
    assert_eq!(memory.data(), [1, 2, 3]);
    assert_eq!(alice.ops(), ["ack"; 3]);
}

#[test]
fn a_dead_home_is_followed_by_the_next_one() {
    let mut world = World::new(3);
    let next = Arc::new(world.ring.leave(&["n0"]));
    let user = world.user_from_to(0, 2, &next);
    let (key, alice) = world.connect(1, &world.user_of(1, 0));
    alice.take();
    // The user sits where its next home will be; the present one dies with three messages in its hands.
    let (_, memory) = world.connect(2, &user);
    world.settle();
    memory.take();
    (1..=3).for_each(|n| world.send(1, key, &user, n));
    world.cut(1, 0);
    world.cut(2, 0);
    (1..3).rev().for_each(|node| world.show(node, &next));
    world.send(1, key, &user, 4);
    world.settle();
    assert_eq!(memory.data(), [1, 2, 3, 4]);
    assert_eq!(alice.ops(), ["ack"; 4]);
}

#[test]
fn a_message_that_two_homes_passed_on_arrives_once() {
    let mut world = World::new(3);
    let user = world.user_of(0, 0);
    let (key, alice) = world.connect(1, &world.user_of(1, 0));
    let (_, memory) = world.connect(2, &user);
    world.settle();
    alice.take();
    memory.take();
    world.send(1, key, &user, 1);
    // The old home passes it on, and dies before it could say so.
    world.carry_there(1, 0);
    world.carry_back(2, 0);
    world.cut(1, 0);
    world.cut(2, 0);
    let next = Arc::new(world.ring.leave(&["n0"]));
    (1..3).for_each(|node| world.show(node, &next));
    world.settle();
    assert_eq!(memory.data(), [1]);
    assert_eq!(alice.ops(), ["ack"]);
}

#[test]
fn an_older_ring_is_not_gone_back_to() {
    let mut world = World::new(2);
    let version = world.ring.version();
    world.show(0, &ring_of(1));
    assert_eq!(world.nodes[0].ring().version(), version);
}

#[test]
fn users_on_many_slots_are_sent_on_to_their_several_new_homes() {
    let mut world = World::new(3);
    let users: Vec<String> = (0..60).map(|n| world.user_of(0, n)).collect();
    let (key, alice) = world.connect(1, &world.user_of(1, 0));
    alice.take();
    world.cut(1, 0);
    let list = serde_json::to_string(&users).unwrap();
    world.say(1, key, &format!(r#"{{"op":"send","ref":"r","to":{{"users":{list}}},"data":5}}"#));
    let next = Arc::new(world.ring.leave(&["n0"]));
    world.ring = next.clone();
    world.show(2, &next);
    let memories: Vec<_> = users.iter().map(|user| world.connect(world.home(user), user).1).collect();
    world.show(1, &next);
    world.settle();
    // Those at home at the sender's own node and those at the other one.
    let got = memories.iter().filter(|memory| memory.data() == [5]).count();
    assert_eq!(got, users.len());
    assert_eq!(alice.take()[0]["op"], "ack");
}

#[test]
fn a_call_for_several_users_keeps_its_place_when_only_some_of_them_move() {
    let (mut world, next) = growing();
    let (mover, stayer) = (world.user_from_to(0, 2, &next), world.user_from_to(0, 0, &next));
    let sender = world.user_from_to(1, 1, &next);
    let (key, alice) = world.connect(1, &sender);
    let (_, moving) = world.connect(0, &mover);
    let (_, staying) = world.connect(0, &stayer);
    alice.take();
    world.show(0, &next);
    world.show(2, &next);
    world.settle();
    world.say(
        1,
        key,
        &format!(
            r#"{{"op":"send","ref":1,"to":{{"users":["{mover}","{stayer}"]}},"ephemeral":true,"data":1}}"#
        ),
    );
    world.send(1, key, &stayer, 2);
    world.send(1, key, &mover, 3);
    world.carry_there(1, 0);
    world.carry_back(1, 0);
    world.show(1, &next);
    world.settle();
    world.pass(300);
    world.settle();
    assert_eq!((moving.data(), staying.data()), (vec![1, 3], vec![1, 2]));
    assert_eq!(alice.ops(), ["ack"; 3]);
    assert_eq!(world.nodes.iter().map(|node| node.counts().repeated).sum::<u64>(), 0);
}

#[test]
fn a_ring_change_asks_no_more_sessions_at_once_than_the_rate_allows() {
    let (mut world, next) = growing();
    let moves = |user: &String| {
        let home = next.home(next.key().slot(&format!("u:{user}"))).unwrap();
        world.home(user) == 0 && home.id == "n2"
    };
    let users: Vec<String> = (0..).map(|n| format!("user{n}")).filter(moves).take(450).collect();
    let memories: Vec<_> = users.iter().map(|user| world.connect(0, user).1).collect();
    memories.iter().for_each(|memory| drop(memory.take()));
    world.show(2, &next);
    world.show(0, &next);
    assert!(memories.iter().all(|memory| memory.ops().is_empty()), "their interest does not stand there yet");
    world.settle();
    world.pass(100);
    let asked = || memories.iter().filter(|memory| !memory.ops().is_empty()).count();
    assert_eq!(asked(), 200, "a tenth of a second's share");
    world.pass(100);
    assert_eq!(asked(), 200);
    world.pass(100);
    assert_eq!(asked(), 50);
    world.pass(5_000);
    assert_eq!(asked(), 0, "nobody is asked again so soon");
    world.pass(5_500);
    assert_eq!(asked(), 450, "who stayed is asked again after a while");
}

#[test]
fn a_node_that_goes_away_lets_nobody_in_and_asks_nobody_to_move() {
    let (mut world, next) = growing();
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    memory.take();
    world.nodes[0].set_ending();
    world.show(0, &next);
    world.pass(1_000);
    assert_eq!(memory.ops(), [""; 0]);
    let now = world.now();
    let (admission, sink) = world.admission("late");
    assert!(matches!(world.nodes[0].admit(admission, sink, now), Err((ErrorCode::Draining, _))));
}

#[test]
fn a_ring_that_is_read_past_a_dead_node_leads_to_the_next_one_and_back() {
    let mut world = World::new(3);
    let past = Arc::new(world.ring.bypassing(|member| member.id == "n2"));
    let orphan = world.user_from_to(2, 1, &past);
    let sender = world.user_of(0, 0);
    let (key, alice) = world.connect(0, &sender);
    let (_, memory) = world.connect(0, &orphan);
    (0..2).for_each(|node| world.cut(node, 2));
    (0..2).for_each(|node| world.cut(2, node));
    world.settle();
    let _ = alice.take();
    world.send(0, key, &orphan, 1);
    world.settle();
    assert_eq!((alice.ops(), memory.data()), (vec![], vec![]), "its home is dead");

    let now = world.now();
    (0..2).for_each(|node| world.nodes[node].ring_read(past.clone(), now));
    (0..2).for_each(|node| world.work_off(node));
    world.settle();
    world.pass(100);
    world.send(0, key, &orphan, 2);
    world.settle();
    // The first one came there before the interest stood.
    assert_eq!((alice.ops(), memory.data()), (vec!["ack".to_owned(); 2], vec![2]), "by way of n1");

    let ring = world.ring.clone();
    (0..2).for_each(|node| world.nodes[node].ring_read(ring.clone(), now));
    assert!((0..2).all(|node| {
        world.nodes[node].ring().home(ring.key().slot(&format!("u:{orphan}"))).unwrap().id == "n2"
    }));
}

#[test]
fn who_stands_in_for_a_dead_home_stores_nothing_before_it_is_home() {
    let mut world = World::new(3);
    let past = Arc::new(world.ring.bypassing(|member| member.id == "n2"));
    let next = Arc::new(world.ring.leave(&["n2"]));
    let home =
        |ring: &Ring, user: &String| ring.home(ring.key().slot(&format!("u:{user}"))).unwrap().id.clone();
    let fits =
        |user: &String| world.home(user) == 2 && home(&past, user) == "n1" && home(&next, user) == "n1";
    let orphan = (0..).map(|n| format!("user{n}")).find(fits).unwrap();
    let sender = world.user_of(0, 0);
    let (key, alice) = world.connect(0, &sender);
    (0..2).for_each(|node| world.cut(node, 2));
    (0..2).for_each(|node| world.cut(2, node));
    let now = world.now();
    (0..2).for_each(|node| world.nodes[node].ring_read(past.clone(), now));
    (0..2).for_each(|node| world.work_off(node));
    world.settle();
    let _ = alice.take();

    // The log answers again, and nobody knows yet that the store is back.
    let stored = |world: &World| world.entries(&format!("u:{orphan}")).1.len();
    world.post(0, key, &orphan, 1);
    for _ in 0..39 {
        world.pass(100);
        world.settle();
    }
    assert_eq!((alice.take(), stored(&world)), (vec![], 0));
    world.pass(200);
    world.settle();
    let frames = alice.take();
    assert_eq!((&frames[0]["op"], &frames[0]["code"]), (&json!("error"), &json!("log_unavailable")));

    world.post(0, key, &orphan, 2);
    world.settle();
    assert_eq!((alice.take(), stored(&world)), (vec![], 0));
    (0..2).for_each(|node| world.show(node, &next));
    world.pass(100);
    world.settle();
    assert_eq!((alice.ops(), stored(&world)), (vec!["ack".to_owned()], 1));
}
