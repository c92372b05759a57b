//! The log loses what it held: everybody is told, once, and nobody by a client's word.

use cluster::log::Position;
use serde_json::{Value, json};

use super::sinks::Memory;
use super::storm::position_of;
use super::world::World;
use crate::core::SessionKey;

/// Two nodes; a group at home at the first with a session at each, and five messages in its log.
fn group() -> (World, String, [(SessionKey, Memory); 2]) {
    let mut world = World::new(2);
    let home = |world: &World, name: &String| {
        world.ring.home(world.ring.key().slot(&format!("g:{name}"))).unwrap().id == "n0"
    };
    let name = (0..).map(|n| format!("group{n}")).find(|name| home(&world, name)).unwrap();
    let sessions = [0, 1].map(|node| {
        let user = world.user_of(node, 0);
        let (key, memory) = world.connect(node, &user);
        world.say(node, key, &json!({ "op": "join", "ref": 0, "group": name }).to_string());
        world.settle();
        (key, memory)
    });
    say(&mut world, sessions[0].0, &name, 1..=5);
    sessions.iter().for_each(|(_, memory)| assert_eq!(memory.data(), [1, 2, 3, 4, 5]));
    (world, name, sessions)
}

fn say(world: &mut World, key: SessionKey, group: &str, data: impl Iterator<Item = u64>) {
    for data in data {
        let frame = json!({ "op": "send", "to": { "group": group }, "data": data });
        world.say(0, key, &frame.to_string());
        world.settle();
    }
}

fn interrupt(world: &mut World) {
    world.nodes.iter_mut().for_each(super::super::Core::log_interrupted);
    for _ in 0..3 {
        world.pass(100);
        world.settle();
    }
}

/// What of these frames is about the group, in short.
fn told(frames: &[Value]) -> Vec<String> {
    let short = |frame: &Value| match frame["op"].as_str().unwrap() {
        "gap" => {
            Some(format!("{} {}-{}", frame["reason"].as_str().unwrap(), frame["after"], frame["before"]))
        }
        "message" => Some(format!("{}: {}", frame["offset"], frame["data"])),
        _ => None,
    };
    let of_group = |frame: &&Value| frame["topic"].as_str().is_some_and(|topic| topic.starts_with("g:"));
    frames.iter().filter(of_group).filter_map(short).collect()
}

fn resume(world: &mut World, node: usize, group: &str, at: Position) -> Memory {
    let (key, memory) = world.admit(node, "newcomer", &[]);
    let since = json!({ "epoch": at.epoch.to_string(), "offset": at.offset });
    let resume = json!({ format!("g:{group}"): since });
    world.say(node, key, &json!({ "op": "hello", "resume": resume }).to_string());
    world.settle();
    memory
}

#[test]
fn a_log_that_forgot_everything_is_told_to_everybody_once() {
    let (mut world, name, [(key, first), (_, second)]) = group();
    let before = world.entries(&format!("g:{name}")).0.unwrap();
    world.store.flush();
    interrupt(&mut world);
    for memory in [&first, &second] {
        assert_eq!(told(&memory.take()), ["log_lost 5-1"]);
    }
    say(&mut world, key, &name, 6..=6);
    for memory in [&first, &second] {
        assert_eq!(told(&memory.take()), ["1: 6"]);
    }
    let frames = resume(&mut world, 1, &name, before).take();
    assert_eq!(frames[0]["topics"][format!("g:{name}")]["recovered"], json!(false));
    assert_eq!(told(&frames), ["log_lost 5-1", "1: 6"]);
}

#[test]
fn a_log_that_forgot_its_end_goes_on_in_another_epoch() {
    let (mut world, name, [(key, first), (_, second)]) = group();
    let copy = world.store.copy_log("default");
    say(&mut world, key, &name, 6..=7);
    let before = world.entries(&format!("g:{name}")).0.unwrap();
    world.store.restore_log("default", &copy);
    interrupt(&mut world);
    for memory in [&first, &second] {
        assert_eq!(told(&memory.take()), ["6: 6", "7: 7", "log_lost 7-1"]);
    }
    let after = world.entries(&format!("g:{name}")).0.unwrap();
    assert!(after.epoch != before.epoch && after.offset == 0, "{after:?}");
    interrupt(&mut world);
    assert_eq!((told(&first.take()), told(&second.take())), (vec![], vec![]), "nothing happened");
}

#[test]
fn a_log_that_forgot_its_end_is_found_out_by_a_new_home_from_what_followers_know() {
    let (mut world, name, [(key, first), (_, second)]) = group();
    let copy = world.store.copy_log("default");
    say(&mut world, key, &name, 6..=7);
    [&first, &second].iter().for_each(|memory| drop(memory.take()));
    world.store.restore_log("default", &copy);
    let next = std::sync::Arc::new(world.ring.leave(&["n0"]));
    (0..2).for_each(|node| world.show(node, &next));
    interrupt(&mut world);
    for memory in [&first, &second] {
        assert_eq!(told(&memory.take()), ["log_lost 7-1"]);
    }
}

#[test]
fn a_client_that_claims_what_never_was_is_told_so_and_nobody_else_notices() {
    let (mut world, name, [(key, first), (_, second)]) = group();
    let before = world.entries(&format!("g:{name}")).0.unwrap();
    let frames = resume(&mut world, 1, &name, Position { offset: 9, ..before }).take();
    assert_eq!(frames[0]["topics"][format!("g:{name}")]["recovered"], json!(false));
    assert_eq!(told(&frames), ["log_lost 9-6"]);
    say(&mut world, key, &name, 6..=6);
    assert_eq!(
        (told(&first.take()), told(&second.take())),
        (vec!["6: 6".to_owned()], vec!["6: 6".to_owned()])
    );
    let after = world.entries(&format!("g:{name}")).0.unwrap();
    assert_eq!(after, Position { offset: 6, ..before });
    assert!(position_of(&frames[0]["topics"][format!("g:{name}")]).is_some_and(|head| head == before));
}

#[test]
fn who_was_told_of_a_loss_hears_of_it_though_the_log_has_grown_past_it_meanwhile() {
    let (mut world, name, [(key, _), _]) = group();
    let topic = format!("g:{name}");
    let at = world.entries(&topic).0.unwrap();
    let user = world.user_of(1, 1);
    let (newcomer, memory) = world.admit(1, &user, &[]);
    let since = json!({ &topic: { "epoch": at.epoch.to_string(), "offset": 7 } });
    world.say(1, newcomer, &json!({ "op": "hello", "resume": since }).to_string());
    let mut frames = memory.take();
    while frames.is_empty() {
        world.answer_logs();
        frames = memory.take();
    }
    assert_eq!(frames[0]["topics"][&topic]["recovered"], json!(false));
    // Before its node reads on.
    for data in 6..=8 {
        let frame = json!({ "op": "send", "to": { "group": name }, "data": data });
        world.say(0, key, &frame.to_string());
        while world.answer_log(0, usize::MAX) > 0 {}
    }
    world.settle();
    frames.extend(memory.take());
    assert_eq!(told(&frames), ["log_lost 7-6", "6: 6", "7: 7", "8: 8"]);
}

#[test]
fn who_has_had_more_than_a_node_was_told_of_is_told_no_lower_head() {
    let (mut world, name, [(key, _), (_, second)]) = group();
    second.take();
    // The home has passed the sixth on to its own sessions; what it said to the other node is on its way.
    world.say(0, key, &json!({ "op": "send", "to": { "group": name }, "data": 6 }).to_string());
    while world.answer_logs() {}
    let at = world.entries(&format!("g:{name}")).0.unwrap();
    assert_eq!(at.offset, 6);
    let user = world.user_of(1, 1);
    let (newcomer, third) = world.admit(1, &user, &[]);
    let since = json!({ format!("g:{name}"): { "epoch": at.epoch.to_string(), "offset": 6 } });
    world.say(1, newcomer, &json!({ "op": "hello", "resume": since }).to_string());
    while world.answer_logs() {}
    let welcome = third.take().remove(0);
    let standing = &welcome["topics"][format!("g:{name}")];
    assert_eq!((&standing["offset"], &standing["recovered"]), (&json!(6), &json!(true)), "{welcome}");
    assert_eq!(told(&second.take()), ["6: 6"], "the others have it from the log");
    world.settle();
    say(&mut world, key, &name, 7..=7);
    assert_eq!(
        (told(&second.take()), told(&third.take())),
        (vec!["7: 7".to_owned()], vec!["7: 7".to_owned()])
    );
}

/// An append was stored and its answer lost; a client that read it elsewhere came by, and then the log went back.
#[test]
fn what_only_the_log_has_shown_counts_when_it_goes_back() {
    let (mut world, name, [(_, first), (_, second)]) = group();
    world.nodes[0].log_holds(&format!("g:{name}"), 6);
    world.settle();
    assert_eq!(
        (told(&first.take()), told(&second.take())),
        (vec!["log_lost 5-1".into()], vec!["log_lost 5-1".into()])
    );
}
