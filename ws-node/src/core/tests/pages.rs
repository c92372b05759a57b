//! Pages of the past: one after the other, as the session's socket takes them.

use super::super::*;
use super::sinks::Memory;
use super::world::World;

fn world() -> (World, SessionKey, Memory) {
    let mut world = World::new(1);
    let (key, memory) = world.connect(0, "alice");
    world.say(0, key, r#"{"op":"send","ref":0,"to":{"user":"alice"},"data":1}"#);
    world.settle();
    memory.take();
    (world, key, memory)
}

fn ask(world: &mut World, key: SessionKey, count: u64) {
    (1..=count).for_each(|n| world.say(0, key, &format!(r#"{{"op":"history","ref":{n}}}"#)));
}

fn references(memory: &Memory) -> Vec<u64> {
    memory.take().iter().map(|frame| frame["ref"].as_u64().unwrap()).collect()
}

#[test]
fn one_page_is_read_at_a_time_and_all_come_in_order() {
    let (mut world, key, memory) = world();
    ask(&mut world, key, 3);
    assert_eq!(world.answer_log(0, usize::MAX), 1, "one read is out");
    assert_eq!(references(&memory), [1]);
    assert_eq!(world.answer_log(0, usize::MAX), 1);
    world.settle();
    assert_eq!(references(&memory), [2, 3]);
}

#[test]
fn a_page_waits_for_room_in_the_queue() {
    let (mut world, key, memory) = world();
    memory.set_waiting(512 * 1024);
    ask(&mut world, key, 2);
    world.pass(1_000);
    assert_eq!((world.answer_log(0, usize::MAX), references(&memory)), (0, vec![]));
    memory.set_waiting(0);
    world.pass(100);
    world.settle();
    assert_eq!(references(&memory), [1, 2]);
}
