//! What sessions are told of who comes and goes.

use super::{GRACE, group_of, kill, member, run, settled, told, watch, watcher};

#[test]
fn whoever_asked_is_told_the_roster_and_then_what_changes() {
    let mut world = settled(3);
    let group = group_of(&world, 0);
    member(&mut world, 1, "ann", &group);
    let bob = member(&mut world, 0, "bob", &group);
    run(&mut world, 200);
    for (node, user) in [(0, "here"), (1, "there"), (2, "elsewhere")] {
        let (key, memory) = world.connect(node, user);
        world.settle();
        memory.take();
        watch(&mut world, node, key, &group);
        run(&mut world, 200);
        let ops: Vec<String> = memory.take().iter().map(super::text_or_op).collect();
        let (first, rest) = ops.split_first().unwrap();
        assert_eq!(first, "ack", "{ops:?}");
        assert!(rest[0].contains("=ann bob"), "{ops:?}");
        let cid = member(&mut world, 2, "cid", &group);
        run(&mut world, 200);
        assert!(told(&memory).concat().ends_with("+cid"), "{user}");
        world.say(2, cid, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
        run(&mut world, 200);
        assert!(told(&memory).concat().ends_with("-cid"));
        world.nodes[node].closed(key);
        run(&mut world, GRACE);
    }
    world.nodes[0].closed(bob);
    run(&mut world, 100);
}

#[test]
fn whoever_did_not_ask_is_told_nothing_and_nor_is_their_node() {
    let mut world = settled(2);
    let group = group_of(&world, 0);
    let (key, memory) = world.connect(1, "ann");
    world.settle();
    world.say(1, key, &format!(r#"{{"op":"join","ref":1,"group":"{group}"}}"#));
    world.settle();
    let (bob, hears) = watcher(&mut world, 1, "bob", &group);
    run(&mut world, 300);
    world.say(1, bob, &format!(r#"{{"op":"join","ref":1,"group":"{group}"}}"#));
    run(&mut world, 300);
    told(&hears);
    member(&mut world, 0, "cid", &group);
    for _ in 0..5 {
        world.pass(100);
        assert!(world.pipe_back(1, 0).is_empty());
    }
    assert!(told(&memory).is_empty() && told(&hears).is_empty());
    watch(&mut world, 1, bob, &group);
    assert_eq!(told(&hears), ["3=ann bob cid"], "from the beginning");
}

#[test]
fn a_user_is_there_from_the_first_session_to_the_last() {
    let mut world = settled(3);
    let group = group_of(&world, 0);
    let (_, memory) = watcher(&mut world, 1, "w", &group);
    run(&mut world, 200);
    told(&memory);
    let sessions = [(0, member(&mut world, 0, "ann", &group)), (2, member(&mut world, 2, "ann", &group))];
    let more = [(2, member(&mut world, 2, "ann", &group)), (1, member(&mut world, 1, "ann", &group))];
    run(&mut world, 300);
    assert_eq!(told(&memory), ["2+ann"]);
    let all: Vec<_> = sessions.into_iter().chain(more).collect();
    for (number, (node, key)) in all.into_iter().enumerate() {
        world.say(node, key, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
        run(&mut world, 300);
        assert_eq!(told(&memory).len(), usize::from(number == 3), "{number}");
    }
}

#[test]
fn a_lost_socket_is_there_for_the_grace_and_was_never_gone_if_it_is_back() {
    for (home, back) in [(0, 1), (0, 2), (1, 1), (1, 0)] {
        let mut world = settled(3);
        let group = group_of(&world, home);
        let ann = member(&mut world, 1, "ann", &group);
        let (_, memory) = watcher(&mut world, 2, "w", &group);
        run(&mut world, 200);
        told(&memory);
        world.nodes[1].closed(ann);
        run(&mut world, GRACE - 200);
        let again = member(&mut world, back, "ann", &group);
        run(&mut world, 2 * GRACE);
        assert!(told(&memory).is_empty());
        world.nodes[back].closed(again);
        run(&mut world, GRACE - 200);
        assert!(told(&memory).is_empty());
        run(&mut world, 300);
        assert_eq!(told(&memory), ["1-ann"]);
    }
}

#[test]
fn a_move_is_told_to_nobody() {
    let mut world = settled(3);
    let group = group_of(&world, 0);
    let (_, memory) = watcher(&mut world, 0, "w", &group);
    let ann = member(&mut world, 1, "ann", &group);
    run(&mut world, 300);
    told(&memory);
    // It detaches before its new session has joined.
    world.nodes[1].detach(ann);
    run(&mut world, 500);
    let key = member(&mut world, 2, "ann", &group);
    run(&mut world, 3 * GRACE);
    assert!(told(&memory).is_empty());
    // It begins the group anew at the same node; it is replaced there by another session.
    world.say(2, key, &format!(r#"{{"op":"join","ref":1,"group":"{group}","since":{{"offset":0}}}}"#));
    let hello = cluster::wire::client::Hello {
        replaces: Some("id-1".into()),
        groups: vec![group.clone().into()],
        ..Default::default()
    };
    let (next, _) = world.admit(2, "ann", &[]);
    let now = world.now();
    world.nodes[2].hello(next, &hello, now);
    world.nodes[2].closed(key);
    run(&mut world, 3 * GRACE);
    assert!(told(&memory).is_empty());
}

#[test]
fn a_dead_nodes_members_are_there_for_the_grace() {
    let mut world = settled(3);
    let group = group_of(&world, 0);
    let (_, memory) = watcher(&mut world, 1, "w", &group);
    for user in ["ann", "bob", "cid"] {
        member(&mut world, 2, user, &group);
    }
    run(&mut world, 300);
    told(&memory);
    kill(&mut world, 2);
    run(&mut world, GRACE - 200);
    member(&mut world, 1, "bob", &group);
    assert!(told(&memory).is_empty());
    run(&mut world, 400);
    assert_eq!(told(&memory), ["2-ann cid"]);
}

#[test]
fn a_link_that_breaks_and_comes_back_is_told_to_nobody_and_hides_nothing() {
    for watches in [0, 1, 2] {
        let mut world = settled(3);
        let group = group_of(&world, 0);
        let (_, memory) = watcher(&mut world, watches, "w", &group);
        let ann = member(&mut world, 1, "ann", &group);
        member(&mut world, 2, "bob", &group);
        run(&mut world, 300);
        told(&memory);
        world.cut(1, 0);
        run(&mut world, GRACE / 2);
        world.open(1, 0);
        run(&mut world, 3 * GRACE);
        assert!(told(&memory).is_empty(), "{watches}");
        world.cut(1, 0);
        member(&mut world, 1, "cid", &group);
        world.say(1, ann, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
        run(&mut world, GRACE / 2);
        world.open(1, 0);
        run(&mut world, 3 * GRACE);
        let mut known = std::collections::BTreeSet::from(["w", "ann", "bob"].map(str::to_owned));
        told(&memory).iter().for_each(|text| super::apply(&mut known, text));
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["bob", "cid", "w"], "{watches}");
    }
}

#[test]
fn what_a_full_link_does_not_take_is_told_later() {
    let mut world = settled(2);
    let group = group_of(&world, 0);
    let (_, memory) = watcher(&mut world, 1, "w", &group);
    run(&mut world, 300);
    told(&memory);
    // The home's answers find no room, and then what the node tells.
    world.pipe_back(1, 0).set_room(0);
    let ann = member(&mut world, 0, "ann", &group);
    run(&mut world, 500);
    member(&mut world, 0, "bob", &group);
    world.say(0, ann, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
    run(&mut world, 500);
    assert!(told(&memory).is_empty());
    world.pipe_back(1, 0).set_room(usize::MAX);
    run(&mut world, 300);
    assert_eq!(told(&memory), ["2+bob"]);
    world.pipe(1, 0).set_room(0);
    let cid = member(&mut world, 1, "cid", &group);
    let dan = member(&mut world, 1, "dan", &group);
    world.nodes[1].closed(cid);
    run(&mut world, 500);
    world.pipe(1, 0).set_room(usize::MAX);
    run(&mut world, 300);
    assert_eq!(told(&memory), ["3+dan"]);
    world.pipe(1, 0).set_room(0);
    world.say(1, dan, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
    run(&mut world, 300);
    world.pipe(1, 0).set_room(usize::MAX);
    run(&mut world, 300);
    assert_eq!(told(&memory), ["2-dan"]);
}

#[test]
fn a_group_of_many_is_told_by_number_and_by_name_again_when_it_is_small() {
    let mut world = settled(2);
    let group = group_of(&world, 0);
    let watchers = [watcher(&mut world, 0, "w0", &group), watcher(&mut world, 1, "w1", &group)];
    let keys: Vec<_> = (0..1_000).map(|n| member(&mut world, n % 2, &format!("u{n:04}"), &group)).collect();
    run(&mut world, 30_000);
    for (_, memory) in &watchers {
        assert_eq!(told(memory).last().unwrap(), "#1002");
    }
    let late = watcher(&mut world, 1, "late", &group);
    run(&mut world, 30_000);
    assert_eq!(told(&watchers[0].1), ["#1003"]);
    for (n, key) in keys.iter().enumerate().take(3) {
        world.say(n % 2, *key, &format!(r#"{{"op":"leave","ref":1,"group":"{group}"}}"#));
        run(&mut world, 30_000);
    }
    for (_, memory) in watchers.iter().chain([&late]) {
        let told = told(memory);
        assert!(told.last().unwrap().starts_with("1000=late u0003 u0004 "), "{}", told.len());
    }
    let mut world = world;
    world.nodes[1].closed(keys[5]);
    run(&mut world, 30_000);
    assert_eq!(told(&watchers[1].1), ["999-u0005"]);
}

#[test]
fn nothing_of_a_group_is_left_when_all_are_gone() {
    let mut world = settled(3);
    for home in 0..3 {
        let group = group_of(&world, home);
        let sessions: Vec<_> =
            (0..3).map(|node| (node, watcher(&mut world, node, &format!("u{node}"), &group))).collect();
        run(&mut world, 300);
        for (node, (key, _)) in sessions {
            world.nodes[node].closed(key);
        }
    }
    run(&mut world, 2 * GRACE);
    for node in &world.nodes {
        let presence = &node.presence;
        assert!(presence.here.is_empty() && presence.homed.is_empty() && presence.behind.is_empty());
        assert!(presence.with_untold().is_empty());
    }
}
