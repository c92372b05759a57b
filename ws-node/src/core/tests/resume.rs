//! Sessions that come back: they read what they missed, as their sockets take it, and no more than that.

use std::time::Duration;

use cluster::log::{Position, Read, Retention, RetentionRule, Retentions};
use serde_json::{Value, json};

use super::sinks::Memory;
use super::world::{World, generous};
use crate::core::log_port::{LogAnswer, LogRequest};
use crate::core::{CoreConfig, SessionKey};

fn world_that_keeps(count: u32) -> World {
    let keep = Some(Retention::new(count, Duration::from_secs(3_600)).unwrap());
    let retentions = Retentions::new(vec![RetentionRule::new("*", keep).unwrap()]).unwrap();
    World::with(1, CoreConfig { retentions, ..generous() })
}

fn fill(world: &mut World, groups: &[String], count: usize, bytes: usize) {
    let (key, _) = world.connect(0, "writer");
    let data = "x".repeat(bytes);
    for (group, _) in groups.iter().flat_map(|group| (0..count).map(move |n| (group, n))) {
        world.say(0, key, &json!({ "op": "send", "to": { "group": group }, "data": data }).to_string());
        world.settle();
    }
    world.nodes[0].closed(key);
}

/// A session that wants all of these groups, or what comes after an offset.
fn come_back(world: &mut World, resume: &Value) -> (SessionKey, Memory) {
    let (key, memory) = world.admit(0, "reader", &[]);
    world.say(0, key, &json!({ "op": "hello", "resume": resume }).to_string());
    (key, memory)
}

fn bytes(frames: &[Value]) -> usize {
    frames.iter().map(|frame| frame["data"].as_str().map_or(0, str::len)).sum()
}

#[test]
fn a_slow_socket_is_not_read_ahead_of() {
    let mut world = world_that_keeps(1_000);
    fill(&mut world, &["a".into()], 20, 30_000);
    let (_, memory) = come_back(&mut world, &json!({ "g:a": { "offset": 0 } }));
    while world.answer_log(0, 1) > 0 && memory.bytes() < 100_000 {}
    memory.set_waiting(200_000);
    for _ in 0..20 {
        world.settle();
        world.pass(100);
    }
    let first = memory.take();
    assert!(bytes(&first) > 60_000 && bytes(&first) < 260_000, "{}", bytes(&first));
    memory.set_waiting(0);
    world.pass(100);
    world.settle();
    assert_eq!(bytes(&first) + bytes(&memory.take()), 600_000);
}

#[test]
fn what_was_missed_in_many_topics_is_read_in_one_after_the_other() {
    let mut world = world_that_keeps(1_000);
    let groups: Vec<String> = (0..5).map(|n| format!("g{n}")).collect();
    fill(&mut world, &groups, 6, 30_000);
    let resume: serde_json::Map<_, _> =
        groups.iter().map(|group| (format!("g:{group}"), json!({ "offset": 0 }))).collect();
    let (_, memory) = come_back(&mut world, &resume.into());
    let mut got = 0;
    while world.answer_log(0, usize::MAX) > 0 {
        let page = bytes(&memory.take());
        assert!(page < 140_000, "{page}");
        got += page;
    }
    assert_eq!(got, 5 * 6 * 30_000);
}

#[test]
fn what_is_no_longer_there_is_told() {
    let mut world = world_that_keeps(3);
    fill(&mut world, &["a".into()], 2, 1);
    let (key, memory) = come_back(&mut world, &json!({ "g:a": { "offset": 0 } }));
    world.settle();
    let epoch = memory.take().pop().unwrap()["epoch"].clone();
    world.nodes[0].closed(key);
    fill(&mut world, &["a".into()], 6, 1);
    let (_, memory) = come_back(&mut world, &json!({ "g:a": { "epoch": epoch, "offset": 2 } }));
    world.settle();
    let frames = memory.take();
    assert_eq!(frames[0]["topics"]["g:a"]["recovered"], json!(false));
    assert_eq!(
        (&frames[1]["reason"], &frames[1]["after"], &frames[1]["before"]),
        (&json!("trimmed"), &json!(2), &json!(6))
    );
    let offsets: Vec<_> = frames[2..].iter().map(|frame| frame["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [6, 7, 8]);
}

#[test]
fn whoever_leaves_and_joins_again_goes_on_where_it_stood() {
    let mut world = world_that_keeps(1_000);
    world.page_max = 2;
    fill(&mut world, &["a".into()], 5, 1);
    let (key, memory) = come_back(&mut world, &json!({ "g:a": { "offset": 0 } }));
    // Hello's log calls, and the first page.
    while memory.take().iter().all(|frame| frame["op"] != "message") {
        assert!(world.answer_log(0, 1) > 0);
    }
    world.say(0, key, &json!({ "op": "leave", "ref": 1, "group": "a" }).to_string());
    let left = memory.take().pop().unwrap();
    assert_eq!(left["offset"], 2);
    world.settle();
    assert_eq!(memory.ops(), [""; 0], "nothing beyond");
    let since = json!({ "epoch": left["epoch"], "offset": left["offset"] });
    world.say(0, key, &json!({ "op": "join", "ref": 2, "group": "a", "since": since }).to_string());
    world.settle();
    let offsets: Vec<_> =
        memory.take().iter().skip(1).map(|frame| frame["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [3, 4, 5]);
}

#[test]
fn a_log_that_takes_no_reads_is_asked_once_a_tick() {
    let mut world = world_that_keeps(1_000);
    let groups: Vec<String> = (0..5).map(|n| format!("g{n}")).collect();
    fill(&mut world, &groups, 2, 10);
    let resume = groups.iter().map(|group| (format!("g:{group}"), json!({ "offset": 0 }))).collect();
    let (_, first) = come_back(&mut world, &Value::Object(resume));
    for _ in 0..10 {
        world.settle();
        world.pass(100);
    }
    let place = |frame: &Value| {
        let topic = frame["topic"].as_str().filter(|_| frame["offset"] == 1)?;
        Some((topic.to_owned(), json!({ "epoch": frame["epoch"], "offset": 1 })))
    };
    let resume = Value::Object(first.take().iter().filter_map(place).collect());
    world.asked[0].set_full(true);
    let (_, memory) = come_back(&mut world, &resume);
    for _ in 0..10 {
        let before = world.asked[0].refused();
        world.pass(100);
        assert_eq!(world.asked[0].refused(), before + 1);
    }
    world.asked[0].set_full(false);
    world.pass(100);
    assert_eq!(world.asked[0].len(), 5);
    for _ in 0..10 {
        world.settle();
        world.pass(100);
    }
    assert_eq!(memory.take().iter().filter(|frame| frame["op"] == "message").count(), 5);
}

#[test]
fn a_reader_that_is_behind_the_home_is_not_believed() {
    let mut world = world_that_keeps(1_000);
    fill(&mut world, &["a".into()], 3, 10);
    let (_, live) = come_back(&mut world, &json!({ "g:a": { "offset": 0 } }));
    world.settle();
    let seen = live.take().pop().unwrap();
    let resume = json!({ "g:a": { "epoch": seen["epoch"], "offset": 2 } });
    let (_, memory) = come_back(&mut world, &resume);
    let Some(LogRequest::Read { reader, topic, .. }) = world.asked[0].take(0) else { panic!("no probe") };
    let head = Position { offset: 1, ..world.entries("g:a").0.unwrap() };
    let (result, now) = (Ok(Read::RolledBack(head)), world.now());
    world.nodes[0].log_answered(vec![LogAnswer::Read { reader, topic, result }], now);
    for _ in 0..3 {
        world.settle();
        world.pass(100);
    }
    let told = memory.take();
    assert!(told.iter().all(|frame| frame["op"] != "gap"), "{told:?}");
    assert_eq!(told.last().unwrap()["offset"], 3);
}
