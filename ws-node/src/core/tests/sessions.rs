//! Sessions: tickets, `hello`, `welcome`, `detach`, too many of them, and the rate.

use cluster::wire::client::Hello;
use cluster::wire::codes::ErrorCode;
use serde_json::json;

use super::super::*;
use super::world::World;

#[test]
fn a_ticket_opens_one_session() {
    let mut world = World::new(1);
    let (_, memory) = world.admit(0, "alice", &[]);
    let now = world.now();
    let again = |jti: &str| Admission {
        holder: Holder {
            user: "alice".into(),
            avoid: vec![],
            token_expires_s: None,
            grants: Default::default(),
        },
        jti: jti.into(),
        expires_s: u64::MAX / 2,
        ring: world.ring.version(),
    };
    let (used, other) = (again("ticket-1"), again("another"));
    assert!(matches!(world.nodes[0].admit(used, memory.clone(), now), Err((ErrorCode::TicketUsed, _))));
    assert!(world.nodes[0].admit(other, memory, now).is_ok());
}

#[test]
fn the_home_welcomes_at_once_and_another_node_when_its_interest_stands() {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let (_, at_home) = world.connect(0, &user);
    let (_, elsewhere) = world.connect(1, &user);
    assert_eq!(at_home.take()[0]["user"], json!(user));
    assert_eq!(elsewhere.ops(), [""; 0]);
    world.settle();
    assert_eq!(elsewhere.ops(), ["welcome", "moved"]);
}

#[test]
fn a_welcome_does_not_wait_for_a_dead_home_for_ever() {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let (_, memory) = world.connect(1, &user);
    world.pass(1_900);
    assert_eq!(memory.ops(), [""; 0], "its link stands, and it says nothing");
    world.pass(200);
    assert_eq!(memory.ops(), ["welcome"]);
    world.cut(1, 0);
    world.pass(100);
    assert_eq!(memory.ops(), ["moved"], "elsewhere there may be a link");
}

#[test]
fn a_move_names_the_home_and_is_offered_at_most_once_in_a_while() {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let (_, memory) = world.connect(1, &user);
    world.settle();
    let moved = memory.take().pop().unwrap();
    assert_eq!((moved["node"].as_str(), moved["url"].as_str()), (Some("n0"), Some("wss://n0.test/ws")));
    assert_eq!(moved["protocols"][0], "ringdial.v1");
    assert_eq!((moved["reason"].as_str(), moved["deadline_ms"].as_u64()), (Some("home"), Some(30_000)));
    // Another ring that leaves the user elsewhere at home, too soon.
    let ring = std::sync::Arc::new(world.ring.join(super::world::member(2)).unwrap());
    world.show(1, &ring);
    assert_eq!(memory.ops(), [""; 0]);
}

#[test]
fn who_could_not_reach_the_home_is_not_sent_back_to_it() {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let (key, memory) = world.admit(1, &user, &["n0"]);
    let now = world.now();
    world.nodes[1].hello(key, &Hello::default(), now);
    world.settle();
    assert_eq!(memory.ops(), ["welcome"]);
}

#[test]
fn a_second_hello_ends_the_connection() {
    let mut world = World::new(1);
    let (key, memory) = world.connect(0, "alice");
    let now = world.now();
    world.nodes[0].hello(key, &Hello::default(), now);
    assert_eq!(memory.closed(), Some(CloseCode::Protocol));
}

#[test]
fn a_replaced_session_says_bye_and_the_oldest_of_too_many_ends() {
    let mut world = World::new(1);
    let sessions: Vec<_> = (0..3)
        .map(|n| {
            world.ms += 1;
            (world.connect(0, "alice").1, n)
        })
        .collect();
    let name = sessions[1].0.take()[0]["session"].as_str().unwrap().to_owned();
    let (key, fourth) = world.admit(0, "alice", &[]);
    let now = world.now();
    world.nodes[0].hello(key, &Hello { replaces: Some(name.into()), ..Hello::default() }, now);
    let closed: Vec<_> = sessions.iter().map(|(memory, _)| memory.closed()).collect();
    assert_eq!(closed, [None, Some(CloseCode::Normal), None]);
    assert_eq!(sessions[1].0.ops(), ["bye"]);
    world.connect(0, "alice");
    let closed: Vec<_> = sessions.iter().map(|(memory, _)| memory.closed()).collect();
    assert_eq!(closed, [Some(CloseCode::Replaced), Some(CloseCode::Normal), None]);
    assert_eq!(fourth.closed(), None);
}

#[test]
fn nothing_comes_before_the_welcome() {
    let mut world = World::new(3);
    let next = std::sync::Arc::new(world.ring.leave(&["n0"]));
    let user = world.user_from_to(0, 2, &next);
    let (_, first) = world.connect(1, &user);
    world.settle();
    let (key, _) = world.connect(0, &world.user_of(0, 1));
    first.take();
    // The home changes, and the old one passes on a last message while the interest at the new one is on its way.
    world.send(0, key, &user, 1);
    world.show(1, &next);
    let (_, second) = world.connect(1, &user);
    world.carry_back(1, 0);
    assert_eq!((first.data(), second.ops()), (vec![1], vec![]));
}

#[test]
fn a_stranger_cannot_replace_a_session() {
    let mut world = World::new(1);
    let (_, alice) = world.connect(0, "alice");
    let name = alice.take()[0]["session"].as_str().unwrap().to_owned();
    let (key, _) = world.admit(0, "mallory", &[]);
    let now = world.now();
    world.nodes[0].hello(key, &Hello { replaces: Some(name.into()), ..Hello::default() }, now);
    assert_eq!(alice.closed(), None);
}

#[test]
fn bye_comes_after_the_answers_to_earlier_sends() {
    let mut world = World::new(2);
    let (here, there) = (world.user_of(0, 0), world.user_of(1, 0));
    let (key, memory) = world.connect(0, &here);
    memory.take();
    world.send(0, key, &there, 1);
    world.nodes[0].detach(key);
    assert_eq!((memory.ops(), memory.closed()), (vec![], None));
    world.settle();
    assert_eq!((memory.ops(), memory.closed()), (vec!["ack".into(), "bye".into()], Some(CloseCode::Normal)));
}

#[test]
fn a_detached_session_hears_nothing_more() {
    let mut world = World::new(1);
    let (alice, memory) = world.connect(0, "alice");
    let (bob, _) = world.connect(0, "bob");
    world.nodes[0].detach(alice);
    memory.take();
    world.send(0, bob, "alice", 1);
    world.nodes[0].fail(alice, None, ErrorCode::BadRequest);
    assert_eq!(memory.ops(), [""; 0]);
}

#[test]
fn sends_over_the_rate_are_refused_with_a_time_to_wait_and_in_the_end_the_session_ends() {
    let mut world = World::new(1);
    let (key, memory) = world.connect(0, "alice");
    (0..65).for_each(|n| world.send(0, key, "nobody", n));
    let last = memory.take().pop().unwrap();
    assert_eq!((last["code"].as_str(), last["retry_after_ms"].as_u64()), (Some("rate_limited"), Some(32)));
    (0..300).for_each(|n| world.send(0, key, "nobody", n));
    assert_eq!(memory.closed(), Some(CloseCode::RateLimit));
}

#[test]
fn nothing_stays_behind_when_sessions_end() {
    let mut world = World::new(2);
    let users = [world.user_of(0, 0), world.user_of(1, 0)];
    let keys: Vec<_> = users.iter().map(|user| world.connect(0, user).0).collect();
    world.settle();
    assert_eq!((world.nodes[0].topic_count(), world.nodes[1].topic_count()), (2, 1));
    keys.into_iter().for_each(|key| world.nodes[0].closed(key));
    world.settle();
    let left: Vec<_> = world.nodes.iter().map(|node| (node.topic_count(), node.session_count())).collect();
    assert_eq!(left, [(0, 0), (0, 0)]);
}
