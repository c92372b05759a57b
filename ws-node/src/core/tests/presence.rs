//! Presence over several nodes: what sessions are told and answered, whatever happens to sockets, links and homes.

mod asked;
mod homes;
mod random;
mod told;

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::ring::Ring;
use serde_json::Value;

use super::super::*;
use super::sinks::Memory;
use super::world::{World, config};

/// Less than by default, to save ticks.
const GRACE: u64 = 1_000;

/// A world of nodes that are no new homes any more.
fn settled(count: usize) -> World {
    let config = CoreConfig { presence_grace_ms: GRACE, sessions_per_user_max: 100, ..config() };
    let mut world = World::with(count, config);
    run(&mut world, GRACE);
    world
}

/// Time passes, and whatever is sent arrives.
fn run(world: &mut World, ms: u64) {
    world.settle();
    for _ in 0..ms / TICK_MS {
        world.pass(TICK_MS);
        world.settle();
    }
}

fn home_in(ring: &Ring, group: &str) -> usize {
    let home = ring.home(ring.key().slot(&format!("g:{group}"))).unwrap();
    home.id[1..].parse().unwrap()
}

/// A group whose home is this node.
fn group_of(world: &World, node: usize) -> String {
    (0..).map(|n| format!("group{n}")).find(|group| home_in(&world.ring, group) == node).unwrap()
}

/// A group whose home is this node now and that one in another ring.
fn group_from_to(world: &World, from: usize, to: usize, next: &Ring) -> String {
    let fits = |group: &String| home_in(&world.ring, group) == from && home_in(next, group) == to;
    (0..).map(|n| format!("group{n}")).find(fits).unwrap()
}

/// A session of a user in a group.
fn member(world: &mut World, node: usize, user: &str, group: &str) -> SessionKey {
    let (key, _) = world.connect(node, user);
    world.settle();
    world.say(node, key, &format!(r#"{{"op":"join","ref":0,"group":"{group}"}}"#));
    world.settle();
    key
}

/// One that is told who comes and goes. What it was told so far is forgotten.
fn watcher(world: &mut World, node: usize, user: &str, group: &str) -> (SessionKey, Memory) {
    let (key, memory) = world.connect(node, user);
    world.settle();
    watch(world, node, key, group);
    told(&memory);
    (key, memory)
}

fn watch(world: &mut World, node: usize, key: SessionKey, group: &str) {
    world.say(node, key, &format!(r#"{{"op":"join","ref":0,"group":"{group}","presence":true}}"#));
    world.settle();
}

/// What it was told, taken out: `=` a roster, `+` who came, `-` who went, `#` a number.
fn told(memory: &Memory) -> Vec<String> {
    let frames = memory.take().into_iter().filter(|frame| frame["op"] == "presence");
    frames.map(|frame| text(&frame)).collect()
}

fn text(frame: &Value) -> String {
    let names = |field: &str| {
        let users = frame[field].as_array().map(Vec::as_slice).unwrap_or_default();
        users.iter().map(|user| user.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    match (frame.get("users"), frame.get("joined"), frame.get("left")) {
        (Some(_), ..) => format!("{}={}", frame["count"], names("users")),
        (None, None, None) => format!("#{}", frame["count"]),
        (None, Some(_), None) => format!("{}+{}", frame["count"], names("joined")),
        (None, None, Some(_)) => format!("{}-{}", frame["count"], names("left")),
        (None, Some(_), Some(_)) => format!("{}+{}-{}", frame["count"], names("joined"), names("left")),
    }
}

/// The answer to a request, as JSON without `op` and `ref`.
fn answer(world: &mut World, node: usize, (key, memory): &(SessionKey, Memory), request: &str) -> Value {
    memory.take();
    world.say(node, *key, request);
    world.settle();
    let answers = memory.take();
    let mut answer = answers.into_iter().find(|frame| frame["ref"] == 7).unwrap_or_default();
    if let Some(fields) = answer.as_object_mut() {
        assert!(fields["op"] == "ack" || fields["op"] == "error");
        fields.remove("op");
        fields.remove("ref");
    }
    answer
}

fn ask_presence(world: &mut World, node: usize, session: &(SessionKey, Memory), group: &str) -> Value {
    answer(world, node, session, &format!(r#"{{"op":"presence","ref":7,"group":"{group}"}}"#))
}

/// Another ring, shown to all nodes; what follows from it arrives.
fn show_all(world: &mut World, next: &Arc<Ring>) {
    (0..world.nodes.len()).for_each(|node| world.show(node, next));
    world.ring = next.clone();
    world.settle();
}

/// A node's process ends.
fn kill(world: &mut World, node: usize) {
    for other in (0..world.nodes.len()).filter(|other| *other != node) {
        world.cut(node, other);
        world.cut(other, node);
    }
}

/// A presence frame as [`told`] has it, or another one's op.
fn text_or_op(frame: &Value) -> String {
    if frame["op"] == "presence" { text(frame) } else { frame["op"].as_str().unwrap().to_owned() }
}

/// What a session knows after one more frame. It may not be told what it knows.
fn apply(known: &mut BTreeSet<String>, text: &str) {
    let (count, rest) = text.split_at(text.find(['=', '+', '-']).unwrap());
    if let Some(all) = rest.strip_prefix('=') {
        *known = all.split_whitespace().map(str::to_owned).collect();
    } else {
        let (joined, left) = rest.split_once('-').unwrap_or((rest, ""));
        for user in joined.trim_start_matches('+').split_whitespace() {
            assert!(known.insert(user.to_owned()), "{user} came twice");
        }
        left.split_whitespace().for_each(|user| assert!(known.remove(user), "{user} went twice"));
    }
    assert_eq!(count, known.len().to_string(), "{text}");
}
