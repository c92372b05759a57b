//! A new ring while messages are out: they go where their topics are at home now, in order, and before anything new.

use super::super::*;
use super::world::{Seen, World, inbox_from_to, member, ring_of};
use crate::ring::Ring;
use crate::wire::codes::ErrorCode;
use crate::wire::peer::Question;

/// A ring of two and then of three nodes.
fn rings() -> (Ring, Ring) {
    (ring_of(2), ring_of(2).join(member(2)).unwrap())
}

fn waiters(events: &[Event<u32>]) -> Vec<(u32, Vec<String>, &'static str)> {
    let told = |event: &Event<u32>| {
        let (part, what) = match event {
            Event::Here(part) => (part, "here"),
            Event::Gone(part) => (part, "gone"),
            Event::Failed(part, code) => (part, code.code()),
        };
        (part.waiter, part.topics().into_iter().map(str::to_owned).collect(), what)
    };
    events.iter().map(told).collect()
}

#[test]
fn what_moves_goes_in_order_and_before_anything_new_and_what_stays_keeps_its_number() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let stays = inbox_from_to(("n0", &old), ("n0", &new), 0);
    let mut world = World::new(2);
    let (link, next) = (world.open("n0"), world.open("n2"));
    for topic in [&moves, &stays, &moves, &stays, &moves] {
        world.send("n0", &[topic]).unwrap();
    }
    let numbers = link.numbers();
    assert_eq!(world.follow(&new), []);
    world.send("n2", &[&moves]).unwrap();
    assert_eq!(link.take(), [], "what stays is out already");
    let there = next.take();
    let counters: Vec<u64> = there.iter().map(|seen| expect_message(seen).1).collect();
    assert_eq!(counters, [1, 3, 5, 6]);
    assert!(there.iter().map(|seen| expect_message(seen).0).is_sorted());
    assert!(expect_message(&there[0]).0 > numbers[4], "a number is never given twice");
    for (index, waiter) in [(1, 2), (3, 4)] {
        assert_eq!(world.homes.published("n0", numbers[index]).unwrap().waiter, waiter);
    }
    assert_eq!(world.homes.published("n0", numbers[0]), None, "the old home's answer is too late");
}

#[test]
fn what_was_refused_goes_to_the_new_home_without_waiting_for_the_rest() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let stays = inbox_from_to(("n0", &old), ("n0", &new), 0);
    let mut world = World::new(2);
    let (link, next) = (world.open("n0"), world.open("n2"));
    for topic in [&moves, &stays, &moves] {
        world.send("n0", &[topic]).unwrap();
    }
    let numbers = link.numbers();
    world.homes.not_home("n0", numbers[0]);
    world.follow(&new);
    assert_eq!(next.counters(), [1, 3]);
    world.homes.pump();
    assert_eq!(link.take(), [], "one is out there, and the home refuses");
    world.homes.not_home("n0", numbers[1]);
    world.homes.pump();
    assert_eq!(link.counters(), [0, 2]);
}

#[test]
fn without_a_link_to_the_new_home_it_waits_in_order() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let mut world = World::new(2);
    (0..2).for_each(|_| world.say("n0", &[&moves]));
    world.follow(&new);
    world.send("n2", &[&moves]).unwrap();
    assert_eq!(world.open("n0").take(), []);
    assert_eq!(world.open("n2").counters(), [1, 2, 3]);
}

#[test]
fn what_moves_has_no_more_time_than_before() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let stays = inbox_from_to(("n0", &old), ("n0", &new), 0);
    let mut world = World::new(2);
    world.send_due("n0", &[&moves, &stays], CALL_WAIT_MS).unwrap();
    world.homes.ask("n0", Question::User(&moves[2..]), 9, CALL_WAIT_MS).unwrap();
    world.follow(&new);
    assert_eq!(world.homes.expire(SEND_WITHIN_MS - 1), []);
    assert_eq!(world.homes.expire(SEND_WITHIN_MS).len(), 2, "both parts of the message: they were not sent");
    assert_eq!(world.homes.expire(CALL_WAIT_MS).len(), 1, "the question");
}

#[test]
fn what_the_old_home_may_have_refused_unheard_fails() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let mut world = World::new(2);
    let (_link, next) = (world.open("n0"), world.open("n2"));
    let other = inbox_from_to(("n0", &old), ("n2", &new), 1);
    world.send_due("n0", &[&moves], CALL_WAIT_MS).unwrap();
    for topic in [&moves, &other] {
        world.send_due("n0", &[topic], CALL_WAIT_MS + 1).unwrap();
    }
    assert_eq!(world.homes.expire(SEND_WITHIN_MS), []);
    let failed = [1, 2].map(|waiter| (waiter, vec![moves.clone()], "unavailable"));
    assert_eq!(waiters(&world.follow(&new)), failed, "with what is behind it in its topic");
    assert_eq!(next.counters(), [3]);
}

#[test]
fn what_came_home_is_told_in_order_and_what_has_no_home_fails() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let mut world = World::new(2);
    (0..3).for_each(|_| world.say("n0", &[&moves]));
    let events = world.follow_as("n2", &new);
    assert_eq!(waiters(&events), [1, 2, 3].map(|waiter| (waiter, vec![moves.clone()], "here")));
    world.send("n0", &["u:a", "u:b"]).unwrap();
    let events = world.follow(&ring_of(0));
    assert_eq!(waiters(&events), [(4, vec!["u:a".into(), "u:b".into()], "unavailable")]);
    assert_eq!(world.homes.waiting_bytes(), 0);
}

#[test]
fn a_message_for_several_topics_is_parted() {
    let (old, new) = rings();
    let [stays, moves, comes] = ["n0", "n2", "n1"].map(|node| {
        let before = if node == "n1" { "n1" } else { "n0" };
        inbox_from_to((before, &old), (node, &new), 0)
    });
    let mut world = World::new(2);
    let (link, next) = (world.open("n0"), world.open("n2"));
    // By an older ring the third was at home there, too.
    world.send("n0", &[&moves, &stays, &comes]).unwrap();
    let number = link.numbers()[0];
    let events = world.follow_as("n1", &new);
    assert_eq!(waiters(&events), [(1, vec![comes], "here")]);
    assert!(matches!(&next.take()[..], [Seen::Message(_, 1, topics)] if *topics == [moves.clone()]));
    world.cut("n2");
    // The same message again, only what is still to be done there.
    world.homes.not_home("n0", number);
    world.homes.pump();
    assert_eq!(link.take(), [Seen::Again, Seen::Message(number, 1, vec![stays])]);
}

/// The home answers what it was sent, not what has become of that since.
#[test]
fn the_answer_to_a_message_that_was_parted_meanwhile_is_read_as_it_was_sent() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let [first, second] = [0, 1].map(|number| inbox_from_to(("n0", &old), ("n0", &new), number));
    let reused = Outcome::Failed(ErrorCode::KeyReused);
    for again in [false, true] {
        let mut world = World::new(2);
        let link = world.open("n0");
        world.send("n0", &[&moves, &first, &second]).unwrap();
        let number = link.numbers()[0];
        world.follow(&new);
        if again {
            world.homes.not_home("n0", number);
            world.homes.pump();
        }
        let part = world.homes.published("n0", number).unwrap();
        // The first of those that stay, by its place in the frame that the home got.
        let failed = [(if again { 0 } else { 1 }, "key_reused")];
        let outcomes = part.outcomes(2, None, &failed);
        assert_eq!(
            outcomes,
            [(first.as_str(), reused), (second.as_str(), Outcome::Passed { online: 2 })],
            "{again}"
        );
    }
}

#[test]
fn what_has_no_room_at_the_new_home_fails() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let stays = inbox_from_to(("n0", &old), ("n2", &new), 1);
    let mut world = World::new(2);
    while world.send_bytes("n2", &stays, 256 * 1024).is_ok() {}
    world.send_bytes("n0", &moves, 256 * 1024).unwrap();
    let small = world.send("n0", &[&moves]).unwrap();
    let events = world.follow(&new);
    let expected = [(0, vec![moves.clone()], "unavailable"), (small, vec![moves], "unavailable")];
    assert_eq!(
        waiters(&events),
        expected,
        "there is room for the small one, but not before what is in front of it"
    );
}

#[test]
fn a_message_to_everyone_is_for_a_node_and_ends_with_it() {
    let (old, new) = rings();
    let mut world = World::new(2);
    let link = world.open("n0");
    world.send("n0", &[]).unwrap();
    world.send("n1", &[]).unwrap();
    let number = link.numbers()[0];
    assert_eq!(world.follow(&new), [], "its slots do not matter");
    let without = new.leave(&["n1"]);
    assert_eq!(waiters(&world.follow(&without)), [(2, vec!["*".into()], "gone")]);
    let part = world.homes.published("n0", number).unwrap();
    assert_eq!(part.outcomes(3, None, &[]), [("*", Outcome::Passed { online: 3 })]);
    assert!(old.member("n1").is_some() && world.homes.waiting_bytes() == 0);
}

#[test]
fn nodes_that_are_gone_are_forgotten_once_nothing_is_there() {
    let (_, new) = rings();
    let mut world = World::new(2);
    world.open("n0");
    world.open("n1");
    let without = new.leave(&["n0", "n1"]);
    world.follow(&without);
    assert_eq!(world.homes.nodes().len(), 2, "their links will end by themselves");
    world.homes.closed("n0", 1);
    world.homes.closed("n1", 2);
    world.follow(&without);
    assert!(world.homes.nodes().is_empty());
}

fn expect_message(seen: &Seen) -> (u64, u64) {
    match seen {
        Seen::Message(number, counter, _) => (*number, *counter),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_old_home_may_have_taken_is_not_refused_by_the_new_one() {
    let (old, new) = rings();
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    for (refused, code) in [(true, ErrorCode::Overloaded), (false, ErrorCode::Unavailable)] {
        let mut world = World::new(2);
        let (link, next) = (world.open("n0"), world.open("n2"));
        world.say("n0", &[&moves]);
        if refused {
            world.homes.not_home("n0", link.numbers()[0]);
        }
        world.follow(&new);
        let part = world.homes.published("n2", next.numbers()[0]).unwrap();
        assert_eq!(part.outcomes(0, None, &[(0, "overloaded")])[0].1, Outcome::Failed(code));
    }
}
