//! A node goes away: its sessions are asked to move, who comes meanwhile too, and who stays too long is closed.

use std::sync::Arc;

use cluster::grant::{Grant, Holder};
use cluster::tokens::{Grants, TICKET_BYTES_MAX, TicketTarget};
use cluster::wire::TICKET_PROTOCOL_PREFIX;
use cluster::wire::client::Hello;
use cluster::wire::codes::CloseCode;

use super::super::Admission;
use super::sinks::Memory;
use super::world::{World, config, member};

/// Where `moved` frames lead, and why; everything else is passed over.
fn moves(memory: &Memory) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let frames = memory.take();
    let moved = frames.iter().filter(|frame| frame["op"] == "moved");
    moved.map(|frame| (text(&frame["node"]), text(&frame["reason"]))).collect()
}

fn asked(node: &str) -> Vec<(String, String)> {
    vec![(node.into(), "draining".into())]
}

/// The only offer among its frames: the node, and what its ticket says.
fn offer(world: &World, memory: &Memory) -> (usize, Admission) {
    let frames = memory.take();
    let mut moved = frames.iter().filter(|frame| frame["op"] == "moved");
    let (Some(offer), None) = (moved.next(), moved.next()) else { panic!("{frames:?}") };
    let node: usize = offer["node"].as_str().unwrap()[1..].parse().unwrap();
    let signed = offer["protocols"][1].as_str().unwrap().strip_prefix(TICKET_PROTOCOL_PREFIX).unwrap();
    let (id, generations) = (member(node).id, [member(node).generation]);
    let target = TicketTarget { node: &id, generations: &generations, service: "default" };
    let ticket = config().tickets.verify(signed, target, world.now().unix_ms / 1_000).unwrap();
    let (avoid, grants) = (ticket.avoid, ticket.grants);
    let holder = Holder { user: ticket.sub, avoid, token_expires_s: ticket.tok_exp, grants };
    (node, Admission { holder, jti: ticket.jti, expires_s: ticket.exp, ring: ticket.ring })
}

/// Goes where an offer leads.
fn follow(world: &mut World, node: usize, admission: Admission) -> Memory {
    let (memory, now) = (Memory::default(), world.now());
    let Ok(key) = world.nodes[node].admit(admission, memory.clone(), now) else { panic!("refused") };
    world.nodes[node].hello(key, &Hello::default(), now);
    world.settle();
    memory
}

#[test]
fn when_the_ring_says_so_all_its_sessions_are_asked_and_nobody_elses() {
    let mut world = World::new(3);
    let next = Arc::new(world.ring.drain("n0"));
    let (to_n1, to_n2) = (world.user_from_to(0, 1, &next), world.user_from_to(0, 2, &next));
    let (_, one) = world.connect(0, &to_n1);
    let (_, two) = world.connect(0, &to_n2);
    let other = world.user_of(1, 0);
    let (_, guest) = world.connect(0, &other);
    let (_, elsewhere) = world.connect(1, &other);
    world.settle();
    world.pass(100);
    assert_eq!(moves(&guest), [("n1".into(), "home".into())], "asked before, for another reason");
    (0..3).for_each(|node| world.show(node, &next));
    world.settle();
    world.pass(100);
    assert_eq!((moves(&one), moves(&two), moves(&guest)), (asked("n1"), asked("n2"), vec![]));

    let (_, late) = world.connect(0, &to_n1);
    world.settle();
    world.pass(200);
    assert_eq!(moves(&late), asked("n1"), "who still comes is welcome, and asked");
    world.pass(10_000);
    assert_eq!((moves(&guest), moves(&elsewhere)), (asked("n1"), vec![]));
}

#[test]
fn whose_ticket_avoids_all_who_are_left_is_asked_all_the_same() {
    let mut world = World::new(3);
    let next = Arc::new(world.ring.drain("n0"));
    let user = world.user_from_to(0, 1, &next);
    let connect = |world: &mut World, avoid: &[&str]| {
        let (key, memory) = world.admit(0, &user, avoid);
        let now = world.now();
        world.nodes[0].hello(key, &Hello::default(), now);
        memory
    };
    let (one, both) = (connect(&mut world, &["n1"]), connect(&mut world, &["n1", "n2"]));
    world.settle();
    (0..3).for_each(|node| world.show(node, &next));
    world.settle();
    world.pass(100);
    assert_eq!((moves(&one), moves(&both)), (asked("n2"), asked("n1")));
}

#[test]
fn who_stays_is_asked_each_ten_seconds_and_closed_when_the_offer_is_over() {
    let mut world = World::new(2);
    let next = Arc::new(world.ring.drain("n0"));
    let user = world.user_of(0, 0);
    let (_, memory) = world.connect(0, &user);
    world.settle();
    (0..2).for_each(|node| world.show(node, &next));
    world.settle();
    world.pass(29_000);
    assert_eq!((moves(&memory), memory.closed()), ([asked("n1"), asked("n1"), asked("n1")].concat(), None));
    world.pass(3_000);
    assert_eq!(memory.closed(), Some(CloseCode::Draining));
}

#[test]
fn when_the_ring_does_not_say_so_in_time_they_are_asked_to_go_to_the_next_node() {
    let mut world = World::new(3);
    let user = world.user_of(0, 0);
    let (_, memory) = world.connect(0, &user);
    world.settle();
    let now = world.now();
    world.nodes[0].begin_drain(now);
    world.work_off(0);
    world.pass(1_900);
    assert_eq!(moves(&memory), [], "the ring may say so yet, and then where the home is");
    world.pass(300);
    let slot = world.ring.key().slot(&format!("u:{user}"));
    let next = world.ring.next_home(slot, |member| member.id == "n0").unwrap();
    assert_eq!(moves(&memory), asked(&next.id));
}

#[test]
fn who_left_it_before_the_ring_says_so_is_not_sent_back_to_it() {
    let mut world = World::new(3);
    let left = world.ring.leave(&["n0"]);
    let next = |user: &String| {
        let slot = world.ring.key().slot(&format!("u:{user}"));
        let clockwise = world.ring.next_home(slot, |member| member.id == "n0").unwrap();
        (clockwise.id.clone(), left.home(slot).unwrap().id.clone())
    };
    // Not yet where it is at home in the end.
    let fits = |user: &String| world.home(user) == 0 && next(user) == ("n1".into(), "n2".into());
    let user = (0..).map(|n| format!("user{n}")).find(fits).unwrap();
    let (key, memory) = world.connect(0, &user);
    world.settle();
    let now = world.now();
    world.nodes[0].begin_drain(now);
    world.pass(2_200);
    let (node, admission) = offer(&world, &memory);
    assert_eq!((node, &admission.holder.avoid[..]), (1, &["n0".to_owned()][..]));
    let there = follow(&mut world, node, admission);
    world.nodes[0].detach(key);
    world.pass(30_000);
    assert_eq!((moves(&there), there.closed()), (vec![], None), "the ring calls n0 its home yet");

    let left = Arc::new(left);
    [1, 2].into_iter().for_each(|node| world.show(node, &left));
    world.settle();
    world.pass(200);
    assert_eq!(moves(&there), [("n2".into(), "home".into())], "its home is another one at last");
}

#[test]
fn nothing_is_to_be_avoided_once_the_ring_says_so_nor_by_guests() {
    let mut world = World::new(2);
    let (guest, user) = (world.user_of(1, 0), world.user_of(0, 0));
    let (_, memory) = world.connect(0, &guest);
    let (_, at_home) = world.connect(0, &user);
    world.settle();
    at_home.take();
    let now = world.now();
    world.nodes[0].begin_drain(now);
    // The first offer was made before, for another reason.
    memory.take();
    world.pass(13_000);
    let (_, admission) = offer(&world, &memory);
    assert_eq!(admission.holder.avoid, [""; 0], "its home is elsewhere, and stays there");

    at_home.take();
    let drained = Arc::new(world.ring.drain("n0"));
    (0..2).for_each(|node| world.show(node, &drained));
    world.settle();
    world.pass(10_000);
    let (_, admission) = offer(&world, &at_home);
    assert_eq!(admission.holder.avoid, [""; 0], "no ring calls n0 its home any more");
}

/// What makes a ticket so large that it fits by itself, and with a name to avoid no longer.
fn claims_to_the_brim(world: &World, user: &str) -> Grants {
    let life = (world.now().unix_ms / 1_000, 60);
    let grants = |length: usize| Grants { permissions: vec!["x".repeat(length)], ..Grants::default() };
    let fits = |length: &usize| {
        let holder =
            Holder { user: user.into(), avoid: vec![], token_expires_s: None, grants: grants(*length) };
        let jti = "id-1000000".to_owned();
        Grant::sign(&config().tickets, &world.ring, &member(1), &holder, jti, life).is_ok()
    };
    grants((1..TICKET_BYTES_MAX).take_while(fits).last().unwrap())
}

#[test]
fn whom_no_ticket_can_be_made_for_is_asked_as_soon_as_one_can() {
    let mut world = World::new(2);
    let next = Arc::new(world.ring.drain("n0"));
    let user = world.user_from_to(0, 1, &next);
    let grants = claims_to_the_brim(&world, &user);
    let (mut admission, memory) = world.admission(&user);
    admission.holder.grants = grants;
    let now = world.now();
    let Ok(key) = world.nodes[0].admit(admission, memory.clone(), now) else { panic!("refused") };
    world.nodes[0].hello(key, &Hello::default(), now);
    world.settle();
    world.nodes[0].begin_drain(now);
    // The ring does not say that it drains: the next node must not send them back, and they are told to avoid this one.
    world.pass(5_000);
    let counts = world.nodes[0].counts();
    assert_eq!((moves(&memory), counts.moved, counts.unmovable), (vec![], 0, 1), "one try in ten seconds");
    world.pass(10_000);
    assert_eq!(world.nodes[0].counts().unmovable, 2);
    world.show(1, &next);
    world.show(0, &next);
    world.settle();
    world.pass(10_000);
    assert_eq!((moves(&memory), world.nodes[0].counts().unmovable), (asked("n1"), 2));
}
