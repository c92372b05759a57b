//! Who is asked to move, when, and how: by each policy, and never before what they follow is heard by way of its new home.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::membership::{Suspect, Suspects};
use cluster::ring::{Member, Ring, Slot};
use cluster::wire::codes::CloseCode;
use serde_json::Value;

use super::super::{CoreConfig, Rebalance};
use super::sinks::Memory;
use super::world::{World, config, member};

/// `moved` frames, with everything else passed over.
fn moves(memory: &Memory) -> Vec<Value> {
    memory.take().into_iter().filter(|frame| frame["op"] == "moved").collect()
}

fn nodes(memory: &Memory) -> Vec<String> {
    moves(memory).iter().map(|moved| moved["node"].as_str().unwrap().to_owned()).collect()
}

/// Two nodes in the ring, a third one that is going to join.
fn growing(rebalance: Rebalance) -> (World, Arc<Ring>) {
    let mut world = World::with(2, CoreConfig { rebalance, ..config() });
    world.add_node();
    let next = Arc::new(world.ring.join(member(2)).unwrap());
    (world, next)
}

fn show_all(world: &mut World, ring: &Arc<Ring>) {
    (0..world.nodes.len()).rev().for_each(|node| world.show(node, ring));
    world.settle();
    world.pass(100);
    world.settle();
}

#[test]
fn of_many_sessions_only_those_that_a_ring_concerns_are_looked_at() {
    let mut world = World::with(2, config());
    world.add_node();
    let users: Vec<_> = (0..2_000).map(|number| world.user_of(0, number)).collect();
    users.iter().for_each(|user| _ = world.connect(0, user));
    world.settle();
    // It takes about a hundredth of what the others have.
    let next = Arc::new(world.ring.join(Member { weight: 1, ..member(2) }).unwrap());
    let slots: BTreeSet<_> = users.iter().map(|user| next.key().slot(&format!("u:{user}"))).collect();
    let changed = world.ring.changed(&next);
    let concerned = slots.iter().filter(|slot| changed.contains(**slot)).count();
    assert!((1..200).contains(&concerned), "{concerned}");
    world.nodes[0].work_in_pieces_of(0);
    world.lazy = true;
    world.show(0, &next);
    let stale = (0..=u16::MAX).filter(|slot| world.nodes[0].stale.contains(Slot::new(*slot))).count();
    assert_eq!(stale, concerned);
}

#[test]
fn nobody_is_asked_before_all_that_they_follow_is_heard_by_its_new_home() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    memory.take();
    world.show(2, &next);
    world.show(0, &next);
    world.pass(3_000);
    assert_eq!(memory.ops(), [""; 0], "the interest is out, and not answered");
    world.settle();
    world.pass(100);
    assert_eq!(nodes(&memory), ["n2"]);
}

#[test]
fn the_homes_of_groups_are_waited_for_too() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let home = |topic: &str| next.home(next.key().slot(topic)).unwrap().id.clone();
    let group = (0..).map(|number| format!("group{number}")).find(|name| home(&format!("g:{name}")) == "n1");
    let user = world.user_from_to(0, 2, &next);
    let (key, memory) = world.connect(0, &user);
    world.say(0, key, &format!(r#"{{"op":"join","ref":1,"group":"{}"}}"#, group.unwrap()));
    world.settle();
    memory.take();
    // The home of the inbox takes note; that of the group, on a new link, has still to do so.
    world.cut(0, 1);
    world.open(0, 1);
    world.show(2, &next);
    world.show(0, &next);
    world.carry_there(0, 2);
    world.answer_logs();
    world.carry_back(0, 2);
    world.pass(3_000);
    assert_eq!(memory.ops(), [""; 0]);
    world.settle();
    world.pass(100);
    assert_eq!(nodes(&memory), ["n2"]);
}

#[test]
fn a_home_without_a_link_is_waited_for_two_seconds() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    memory.take();
    world.cut(0, 2);
    world.show(0, &next);
    world.pass(1_900);
    assert_eq!(memory.ops(), [""; 0]);
    world.pass(200);
    assert_eq!(nodes(&memory), ["n2"], "the client may reach it");
}

#[test]
fn who_stays_is_served_and_asked_less_and_less_often() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    let (sender, _) = world.connect(1, &world.user_from_to(1, 1, &next));
    show_all(&mut world, &next);
    let mut asked_s = vec![];
    for second in 0..75 {
        asked_s.extend(moves(&memory).iter().map(|_| second));
        world.pass(1_000);
    }
    assert_eq!(asked_s.len(), 4, "{asked_s:?}");
    let pauses: Vec<u64> = asked_s.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses.iter().zip([10, 20, 40]).all(|(pause, least)| (least..=least + 1).contains(pause)),
        "{pauses:?}"
    );
    world.ring = next;
    world.send(1, sender, &user, 7);
    world.settle();
    assert_eq!(memory.data(), [7]);
}

#[test]
fn a_crowd_is_told_to_spread_itself_and_a_few_are_not() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let moves_on = |user: &String| {
        let home = next.home(next.key().slot(&format!("u:{user}"))).unwrap();
        world.home(user) == 0 && home.id == "n2"
    };
    let users: Vec<String> = (0..).map(|n| format!("user{n}")).filter(moves_on).take(450).collect();
    let memories: Vec<_> = users.iter().map(|user| world.connect(0, user).1).collect();
    memories.iter().for_each(|memory| drop(memory.take()));
    show_all(&mut world, &next);
    world.pass(300);
    let spreads: Vec<u64> = memories
        .iter()
        .map(|memory| match &moves(memory)[..] {
            [moved] => moved["spread_ms"].as_u64().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let (least, most) = (spreads.iter().min().unwrap(), spreads.iter().max().unwrap());
    assert!(*least < 100 && *most > 900 && *most <= 1_000, "{least} {most}");

    let (mut world, next) = growing(Rebalance::Arcs);
    let (_, memory) = world.connect(0, &users[0]);
    show_all(&mut world, &next);
    assert!(moves(&memory)[0]["spread_ms"].as_u64().unwrap() <= 5);
}

#[test]
fn so_many_are_asked_a_second_as_the_rate_says() {
    for (rate, each_second) in [(1, [1; 3]), (15, [15; 3])] {
        let mut world = World::with(2, CoreConfig { move_rate: rate, ..config() });
        world.add_node();
        let next = Arc::new(world.ring.join(member(2)).unwrap());
        let moves_on = |user: &String| {
            let home = next.home(next.key().slot(&format!("u:{user}"))).unwrap();
            world.home(user) == 0 && home.id == "n2"
        };
        let users: Vec<String> = (0..).map(|n| format!("user{n}")).filter(moves_on).take(60).collect();
        let memories: Vec<_> = users.iter().map(|user| world.connect(0, user).1).collect();
        show_all(&mut world, &next);
        memories.iter().for_each(|memory| drop(memory.take()));
        let asked: [usize; 3] = each_second.map(|_| {
            world.pass(1_000);
            memories.iter().map(|memory| moves(memory).len()).sum()
        });
        assert_eq!(asked, each_second, "{rate} a second");
    }
}

#[test]
fn nobody_is_sent_to_a_suspected_home_until_it_is_trusted_again() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    let suspects: Suspects =
        [Suspect { id: "n2".into(), generation: member(2).generation }].into_iter().collect();
    world.nodes[0].suspected(Arc::new(suspects));
    show_all(&mut world, &next);
    world.pass(3_000);
    assert_eq!(nodes(&memory), [""; 0]);
    world.nodes[0].suspected(Arc::default());
    world.pass(100);
    assert_eq!(nodes(&memory), ["n2"]);
}

#[test]
fn by_the_policy_none_nobody_is_asked_but_by_a_node_that_drains() {
    let (mut world, next) = growing(Rebalance::None);
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    let (_, guest) = world.connect(1, &user);
    world.settle();
    show_all(&mut world, &next);
    world.pass(20_000);
    assert_eq!((nodes(&memory), nodes(&guest)), (vec![], vec![]));
    let drained = Arc::new(next.drain("n0"));
    show_all(&mut world, &drained);
    assert_eq!((nodes(&memory), nodes(&guest)), (vec!["n2".into()], vec![]));
}

#[test]
fn by_the_policy_all_everybody_looks_up_again_once() {
    let (mut world, next) = growing(Rebalance::All);
    let (mover, stayer) = (world.user_from_to(0, 2, &next), world.user_from_to(0, 0, &next));
    let (_, moving) = world.connect(0, &mover);
    let (key, staying) = world.connect(0, &stayer);
    let (_, elsewhere) = world.connect(1, &world.user_from_to(1, 1, &next));
    staying.take();
    // A send of it is out to a home that does not answer yet.
    world.send(0, key, &world.user_of(1, 0), 1);
    world.ring = next.clone();
    let (_, fresh) = world.connect(0, &stayer);
    world.show(2, &next);
    world.show(0, &next);
    world.pass(200);
    assert_eq!(staying.closed(), None, "its send is not answered yet");
    show_all(&mut world, &next);
    assert_eq!((nodes(&moving), moving.closed()), (vec!["n2".into()], None));
    assert_eq!((staying.ops(), staying.closed()), (vec!["ack".to_owned()], Some(CloseCode::Moved)));
    assert_eq!(elsewhere.closed(), Some(CloseCode::Moved));
    assert_eq!(fresh.closed(), None, "it looked up by this ring");
    world.nodes[0].closed(key);
    world.pass(20_000);
    assert_eq!(fresh.closed(), None);
}

#[test]
fn by_the_policy_all_a_version_that_moves_no_slot_recalls_nobody() {
    let mut world = World::with(2, CoreConfig { rebalance: Rebalance::All, ..config() });
    let (_, memory) = world.connect(0, &world.user_of(0, 0));
    let mut again = member(1);
    again.generation += 1;
    let next = Arc::new(world.ring.join(again).unwrap());
    assert_ne!(next.version(), world.ring.version());
    show_all(&mut world, &next);
    world.pass(1_000);
    assert_eq!(memory.closed(), None);
}

#[test]
fn a_drain_that_was_taken_back_has_a_deadline_of_its_own_when_it_begins_again() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let user = world.user_from_to(0, 0, &next);
    let (_, memory) = world.connect(0, &user);
    memory.take();
    let drained = next.drain("n0");
    show_all(&mut world, &Arc::new(drained.clone()));
    assert_eq!(moves(&memory).len(), 1);
    let back = drained.join(member(0)).unwrap();
    show_all(&mut world, &Arc::new(back.clone()));
    world.pass(60_000);
    assert_eq!(memory.closed(), None);
    show_all(&mut world, &Arc::new(back.drain("n0")));
    world.pass(25_000);
    assert_eq!(memory.closed(), None, "it has as long as anybody");
    world.pass(8_000);
    assert_eq!(memory.closed(), Some(CloseCode::Draining));
}

#[test]
fn what_is_needed_before_its_turn_is_brought_up_to_date_first() {
    let (mut world, next) = growing(Rebalance::Arcs);
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(0, &user);
    let (sender, _) = world.connect(0, &world.user_from_to(0, 0, &next));
    world.lazy = true;
    world.nodes[0].work_in_pieces_of(0);
    world.show(2, &next);
    world.show(0, &next);
    assert!(world.pipe(0, 2).is_empty(), "nothing of it is done yet");
    memory.take();
    // The interest goes out before the message, which would reach nobody otherwise.
    world.send(0, sender, &user, 5);
    world.settle();
    assert_eq!(memory.data(), [5]);
}
