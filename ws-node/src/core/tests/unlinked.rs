//! Sessions that come while the home of a topic is out of reach: welcome at once, and told later.

use std::sync::Arc;

use cluster::membership::Suspect;
use cluster::ring::Ring;
use serde_json::{Value, json};

use super::sinks::Memory;
use super::world::World;
use crate::core::SessionKey;

const PENDING: &str = "pending";

/// Two nodes, and a user of the second one who comes to the first.
fn astray() -> (World, String) {
    let world = World::new(2);
    let user = world.user_of(1, 0);
    (world, user)
}

/// What `welcome` said of the user's inbox.
fn told(memory: &Memory, user: &str) -> Value {
    let welcome = memory.take().remove(0);
    assert_eq!(welcome["op"], "welcome");
    welcome["topics"][format!("u:{user}")]["recovered"].clone()
}

fn come(world: &mut World, user: &str, resume: &Value) -> (SessionKey, Memory) {
    let (key, memory) = world.admit(0, user, &[]);
    world.say(0, key, &json!({ "op": "hello", "resume": resume }).to_string());
    (key, memory)
}

#[test]
fn nobody_waits_long_for_a_home_without_a_link() {
    let (mut world, user) = astray();
    world.cut(0, 1);
    let (_, memory) = world.connect(0, &user);
    assert_eq!(memory.ops(), [""; 0], "a link may be on its way");
    world.pass(200);
    assert_eq!(told(&memory, &user), PENDING);
    world.pass(1_500);
    assert_eq!(memory.ops(), [""; 0]);
    world.open(0, 1);
    world.settle();
    let recovered = memory.take().remove(0);
    assert_eq!((&recovered["op"], &recovered["recovered"]), (&json!("recovered"), &json!(true)));
}

#[test]
fn a_link_that_comes_in_time_is_waited_for() {
    let (mut world, user) = astray();
    world.cut(0, 1);
    let (_, memory) = world.connect(0, &user);
    world.open(0, 1);
    world.pass(500);
    assert_eq!(memory.ops(), [""; 0], "a home with a link is given its time");
    world.settle();
    assert_eq!(told(&memory, &user), true);
}

#[test]
fn whoever_waits_for_a_home_does_not_when_its_link_is_lost() {
    let (mut world, user) = astray();
    let (_, memory) = world.connect(0, &user);
    world.pass(500);
    world.cut(0, 1);
    assert_eq!(memory.ops(), [""; 0]);
    world.pass(200);
    assert_eq!(told(&memory, &user), PENDING);
}

#[test]
fn nobody_waits_long_for_a_home_that_seems_dead() {
    let (mut world, user) = astray();
    let (_, memory) = world.connect(0, &user);
    world.pass(500);
    assert_eq!(memory.ops(), [""; 0]);
    let dead = world.ring.member("n1").unwrap();
    let dead = Suspect { id: dead.id.clone(), generation: dead.generation };
    world.nodes[0].suspected(Arc::new([dead].into_iter().collect()));
    world.pass(200);
    assert_eq!(told(&memory, &user), PENDING);
}

#[test]
fn every_topic_of_a_home_without_a_link_has_its_turn_to_be_looked_at() {
    let mut world = World::new(3);
    let users: Vec<_> = (0..5).map(|number| world.user_of(1, number)).collect();
    let others = [world.user_of(0, 0), world.user_of(2, 0)];
    for user in users.iter().chain(&others) {
        world.connect(0, user);
    }
    world.settle();
    let look = |world: &mut World, most| -> Vec<_> {
        world.nodes[0].next_unheard(most).iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(look(&mut world, 100), [""; 0], "all are heard");
    world.cut(0, 1);
    let mut inboxes: Vec<_> = users.iter().map(|user| format!("u:{user}")).collect();
    inboxes.sort();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        names
    };
    let turns: Vec<_> = (0..6).map(|_| look(&mut world, 2)).collect();
    assert!(turns.iter().all(|turn| turn.len() == 2));
    assert_eq!(sorted(turns.concat()), inboxes);
    assert_eq!(sorted(look(&mut world, 100)), inboxes, "all at once where there are few");
}

#[test]
fn what_came_meanwhile_follows_once_the_home_is_another() {
    let (mut world, user) = astray();
    let (key, memory) = world.connect(1, &user);
    let (writer, _) = world.connect(0, "writer");
    world.post(0, writer, &user, 1);
    world.settle();
    let last = memory.take().pop().unwrap();
    let since = json!({ format!("u:{user}"): { "epoch": last["epoch"], "offset": last["offset"] } });
    world.nodes[1].closed(key);
    world.post(0, writer, &user, 2);
    world.settle();
    world.cut(0, 1);
    world.cut(1, 0);
    let (_, memory) = come(&mut world, &user, &since);
    world.pass(200);
    world.post(0, writer, &user, 3);
    world.settle();
    assert_eq!(told(&memory, &user), PENDING);
    assert_eq!(memory.data(), [0; 0], "nothing before it is told where it stands");
    let next: Ring = world.ring.leave(&["n1"]);
    world.show(0, &next.into());
    world.settle();
    world.pass(200);
    world.settle();
    let frames = memory.take();
    assert_eq!((&frames[0]["op"], &frames[0]["recovered"]), (&json!("recovered"), &json!(true)));
    let data: Vec<_> = frames[1..].iter().map(|frame| frame["data"].as_u64().unwrap()).collect();
    assert_eq!(data, [2, 3]);
}
