//! What a session asks for before its welcome, which waits for homes and the log.

use serde_json::{Value, json};

use super::super::*;
use super::sinks::Memory;
use super::world::World;

/// A session that said `hello` with groups, and what it was told once all has been answered that it asked since.
fn told(hello: &str, asks: &[&str]) -> (World, SessionKey, Memory, Vec<Value>) {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let (key, memory) = world.admit(0, &user, &[]);
    world.say(0, key, hello);
    assert_eq!(memory.take(), Vec::<Value>::new(), "welcome waits");
    asks.iter().for_each(|ask| world.say(0, key, ask));
    world.settle();
    world.pass(3_000);
    world.settle();
    let frames = memory.take();
    (world, key, memory, frames)
}

/// The answers to `ref` 1 and up, and that `welcome` comes before them.
fn answers(frames: &[Value]) -> Vec<&Value> {
    assert_eq!(frames[0]["op"], "welcome", "{frames:?}");
    frames.iter().filter(|frame| frame["ref"].is_number()).collect()
}

#[test]
fn everything_that_is_asked_has_its_answer() {
    let asks = [
        r#"{"op":"join","ref":1,"group":"b"}"#,
        r#"{"op":"leave","ref":2,"group":"a"}"#,
        r#"{"op":"history","ref":3}"#,
        r#"{"op":"presence","ref":4,"group":"b"}"#,
        r#"{"op":"online","ref":5,"users":["x"]}"#,
        r#"{"op":"send","ref":6,"to":{"group":"b"},"data":1}"#,
    ];
    let (.., frames) = told(r#"{"op":"hello","groups":["a"]}"#, &asks);
    let mut answered: Vec<_> =
        answers(&frames).iter().map(|frame| (frame["ref"].as_u64().unwrap(), &frame["op"])).collect();
    answered.sort_by_key(|(reference, _)| *reference);
    let ack = json!("ack");
    assert_eq!(answered, (1..=6).map(|reference| (reference, &ack)).collect::<Vec<_>>(), "{frames:?}");
}

#[test]
fn a_group_that_is_joined_or_joined_again_before_the_welcome_misses_nothing() {
    for group in ["a", "b"] {
        let join = format!(r#"{{"op":"join","ref":1,"group":"{group}","since":{{"offset":0}}}}"#);
        let (mut world, key, memory, _) = told(r#"{"op":"hello","groups":["a"]}"#, &[&join]);
        for data in 1..=3 {
            world.say(
                0,
                key,
                &format!(r#"{{"op":"send","ref":9,"to":{{"group":"{group}"}},"data":{data}}}"#),
            );
            world.settle();
        }
        assert_eq!(memory.data(), [1, 2, 3], "{group}");
    }
}

#[test]
fn leaving_before_the_welcome_does_not_hold_it_up() {
    let (.., frames) = told(r#"{"op":"hello","groups":["a"]}"#, &[r#"{"op":"leave","ref":1,"group":"a"}"#]);
    assert_eq!(answers(&frames)[0]["topic"], "g:a");
}
