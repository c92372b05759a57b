//! Homes that move, die and come back: nobody is told what is not so, and in the end everybody is told what is.

use super::super::super::*;
use super::super::world::member as ring_member;
use super::{
    GRACE, Memory, World, ask_presence, group_from_to, group_of, kill, member, run, settled, show_all, told,
    watcher,
};

/// Two nodes in the ring and a third one that will be, with a group that moves from the first one to it.
fn moving() -> (World, Arc<Ring>, String) {
    let mut world = settled(2);
    world.add_node();
    run(&mut world, GRACE);
    let next = Arc::new(world.ring.join(ring_member(2)).unwrap());
    let group = group_from_to(&world, 0, 2, &next);
    (world, next, group)
}

/// Watchers at every node, and somebody at each.
fn watched(world: &mut World, group: &str) -> Vec<(SessionKey, Memory)> {
    (0..world.nodes.len()).for_each(|node| _ = member(world, node, &format!("m{node}"), group));
    run(world, 300);
    let watchers: Vec<_> =
        (0..world.nodes.len()).map(|node| watcher(world, node, &format!("w{node}"), group)).collect();
    run(world, 300);
    watchers.iter().for_each(|(_, memory)| drop(told(memory)));
    watchers
}

#[test]
fn a_home_that_moves_is_told_to_nobody() {
    let (mut world, next, group) = moving();
    let watchers = watched(&mut world, &group);
    show_all(&mut world, &next);
    let asker = world.connect(1, "asker");
    world.settle();
    assert_eq!(ask_presence(&mut world, 1, &asker, &group)["settling"], true);
    run(&mut world, 3 * GRACE);
    assert!(watchers.iter().all(|(_, memory)| told(memory).is_empty()));
    let answer = ask_presence(&mut world, 1, &asker, &group);
    assert_eq!((answer.get("settling"), answer["count"].as_u64()), (None, Some(6)));
    assert!(world.nodes[0].presence.homed.is_empty(), "the old home keeps nothing");
    // And back again.
    let back = Arc::new(next.leave(&["n2"]));
    show_all(&mut world, &back);
    run(&mut world, 3 * GRACE);
    assert!(watchers.iter().all(|(_, memory)| told(memory).is_empty()));
}

#[test]
fn what_changes_while_a_home_moves_is_told_by_the_new_one_as_a_difference() {
    let (mut world, next, group) = moving();
    let gone = member(&mut world, 1, "gone", &group);
    let watchers = watched(&mut world, &group);
    show_all(&mut world, &next);
    member(&mut world, 0, "new", &group);
    world.say(1, gone, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
    let late = watcher(&mut world, 1, "late", &group);
    run(&mut world, GRACE - 200);
    assert!(watchers.iter().all(|(_, memory)| told(memory).is_empty()));
    run(&mut world, 300);
    for (_, memory) in &watchers {
        assert_eq!(told(memory), ["8+late new-gone"]);
    }
    // It came to a node where others were told already: that, and the same difference.
    assert_eq!(told(&late.1), ["8+late new-gone"]);
    let (key, memory) = world.connect(2, "fresh");
    world.settle();
    super::watch(&mut world, 2, key, &group);
    run(&mut world, 300);
    assert_eq!(told(&memory), ["9=fresh late m0 m1 m2 new w0 w1 w2"]);
}

#[test]
fn a_home_that_dies_is_followed_by_one_that_knows_those_who_are_left() {
    let mut world = settled(3);
    let next = Arc::new(world.ring.leave(&["n0"]));
    for successor in [1, 2] {
        let mut world = settled(3);
        let group = group_from_to(&world, 0, successor, &next);
        let watchers = watched(&mut world, &group);
        kill(&mut world, 0);
        run(&mut world, 500);
        (1..3).for_each(|node| world.show(node, &next));
        world.ring = next.clone();
        run(&mut world, GRACE - 200);
        assert!(watchers[1..].iter().all(|(_, memory)| told(memory).is_empty()));
        run(&mut world, 400);
        for (_, memory) in &watchers[1..] {
            assert_eq!(told(memory), ["4-m0 w0"]);
        }
    }
    run(&mut world, 100);
}

#[test]
fn a_ring_that_changes_and_changes_back_is_not_seen_by_all_and_makes_no_difference() {
    let (mut world, next, group) = moving();
    let watchers = watched(&mut world, &group);
    let back = Arc::new(next.leave(&["n2"]));
    // The home sees both changes, the other node only that nothing is different.
    for node in [0, 2] {
        world.show(node, &next);
    }
    world.settle();
    let new = member(&mut world, 1, "new", &group);
    run(&mut world, 300);
    show_all(&mut world, &back);
    run(&mut world, 3 * GRACE);
    for (_, memory) in &watchers {
        assert_eq!(told(memory), ["7+new"]);
    }
    world.nodes[1].closed(new);
    run(&mut world, 2 * GRACE);
    for (_, memory) in &watchers {
        assert_eq!(told(memory), ["6-new"]);
    }
}

#[test]
fn an_old_home_is_told_of_nobody_even_if_its_link_was_full() {
    let (mut world, next, group) = moving();
    let watchers = watched(&mut world, &group);
    world.pipe(1, 0).set_room(0);
    show_all(&mut world, &next);
    run(&mut world, 300);
    assert_eq!(world.nodes[0].presence.homed.len(), 1);
    world.pipe(1, 0).set_room(usize::MAX);
    run(&mut world, 2 * GRACE);
    assert!(world.nodes[0].presence.homed.is_empty());
    assert!(watchers.iter().all(|(_, memory)| told(memory).is_empty()));
}

#[test]
fn a_home_that_comes_back_as_another_process_settles_first() {
    let mut world = settled(2);
    let group = group_of(&world, 0);
    member(&mut world, 1, "ann", &group);
    let (_, memory) = watcher(&mut world, 1, "w", &group);
    run(&mut world, 300);
    told(&memory);
    // Its links are gone, and the new process knows nothing.
    kill(&mut world, 0);
    world.restart(0);
    run(&mut world, 3 * GRACE);
    assert!(told(&memory).is_empty());
    member(&mut world, 0, "bob", &group);
    run(&mut world, 300);
    assert_eq!(told(&memory), ["3+bob"]);
}
