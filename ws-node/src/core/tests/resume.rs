//! Sessions that come back: they read what they missed, as their sockets take it, and no more than that.

use std::time::Duration;

use cluster::log::{Epoch, Opened, Position, Read, Retention, RetentionRule, Retentions};
use serde_json::{Value, json};

use super::sinks::Memory;
use super::world::{World, generous};
use crate::core::log_port::{LogAnswer, LogRequest};
use crate::core::{CoreConfig, Now, SessionKey};

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

/// What a reader may say that is behind the home, by entries or by an epoch.
fn from_behind(world: &World) -> [Read; 3] {
    let head = Position { offset: 1, ..world.entries("g:a").0.unwrap() };
    let stale = Position { epoch: Epoch::new(7), offset: 9 };
    [Read::RolledBack(head), Read::RolledBack(stale), Read::OtherEpoch(stale)]
}

/// Answers the read that is out.
fn answer_read(world: &mut World, read: Read) {
    let Some(LogRequest::Read { reader, topic, .. }) = world.asked[0].take(0) else { panic!("no read") };
    tell(world, LogAnswer::Read { reader, topic, result: Ok(read) });
}

fn tell(world: &mut World, answer: LogAnswer) {
    let now = world.now();
    world.nodes[0].log_answered(vec![answer], now);
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
    for behind in from_behind(&world) {
        let (_, memory) = come_back(&mut world, &resume);
        answer_read(&mut world, behind.clone());
        for _ in 0..3 {
            world.settle();
            world.pass(100);
        }
        let (told, live) = (memory.take(), live.take());
        assert!(told.iter().chain(&live).all(|frame| frame["op"] != "gap"), "{behind:?}: {told:?}, {live:?}");
        assert_eq!(told.last().unwrap()["offset"], 3);
    }
}

#[test]
fn a_home_is_asked_once_a_tick_about_a_reader_that_is_behind() {
    let mut world = world_that_keeps(1_000);
    fill(&mut world, &["a".into()], 3, 10);
    let (_, live) = come_back(&mut world, &json!({ "g:a": { "offset": 0 } }));
    world.settle();
    live.take();
    let position = Position { offset: 4, ..world.entries("g:a").0.unwrap() };
    for behind in from_behind(&world) {
        world.nodes[0].take_head("g:a", position, Now::default());
        for tick in 0..3 {
            let mut opened = 0;
            for _ in 0..20 {
                match world.asked[0].take(0) {
                    Some(LogRequest::Read { reader, topic, .. }) => {
                        tell(&mut world, LogAnswer::Read { reader, topic, result: Ok(behind.clone()) });
                    }
                    Some(LogRequest::Open { topic, .. }) => {
                        opened += 1;
                        tell(
                            &mut world,
                            LogAnswer::Opened { topic, result: Ok(Opened { position, first: 1 }) },
                        );
                    }
                    other => assert!(other.is_none(), "{other:?}"),
                }
            }
            assert_eq!(opened, 1, "{behind:?}, tick {tick}");
            assert_eq!(world.asked[0].len(), 0);
            world.pass(100);
        }
        assert!(live.take().is_empty(), "{behind:?}");
    }
}

#[test]
fn a_session_that_has_gone_waits_for_no_read() {
    let mut world = world_that_keeps(1_000);
    fill(&mut world, &["a".into()], 3, 10);
    let epoch = world.entries("g:a").0.unwrap().epoch.to_string();
    come_back(&mut world, &json!({ "g:a": { "offset": 0 } }));
    world.settle();
    world.asked[0].set_full(true);
    let resume = json!({ "g:a": { "epoch": epoch, "offset": 1 } });
    let keys: Vec<_> = (0..1_200).map(|_| come_back(&mut world, &resume).0).collect();
    world.pass(100);
    keys[1..].iter().for_each(|key| world.nodes[0].closed(*key));
    world.pass(100);
    assert!(!world.nodes[0].again.is_empty(), "one is still there");
    world.nodes[0].closed(keys[0]);
    world.pass(100);
    assert!(world.nodes[0].again.is_empty());
}
