//! Messages to one home: kept until they are answered, in order whatever happens on the way.

use super::super::*;
use super::world::{Pipe, Seen, World};
use crate::log::{Epoch, Position};
use crate::wire::codes::ErrorCode;
use crate::wire::peer::Question;

#[test]
fn a_message_goes_out_at_once_or_with_the_link() {
    let mut world = World::new(1);
    world.send("n0", &["u:a"]).unwrap();
    world.send("n0", &["u:b"]).unwrap();
    let link = world.open("n0");
    world.send("n0", &["u:c"]).unwrap();
    assert_eq!(link.counters(), [1, 2, 3]);
    world.homes.pump();
    assert_eq!(link.take(), [], "once");
}

#[test]
fn what_is_unanswered_goes_out_again_on_the_next_link_before_anything_new() {
    let mut world = World::new(1);
    let link = world.open("n0");
    (0..3).for_each(|_| world.say("n0", &["u:a"]));
    let numbers = link.numbers();
    world.homes.published("n0", numbers[1]).unwrap();
    world.cut("n0");
    world.send("n0", &["u:a"]).unwrap();
    let next = world.open("n0");
    assert_eq!(next.counters(), [1, 3, 4]);
    assert!(!world.homes.closed("n0", 1), "of a link before nothing is lost");
    assert!(world.homes.is_open("n0"));
}

#[test]
fn a_link_that_is_replaced_without_a_word_of_its_end_loses_nothing() {
    let mut world = World::new(1);
    world.open("n0");
    world.send("n0", &["u:a"]).unwrap();
    assert_eq!(world.open("n0").counters(), [1]);
}

#[test]
fn after_a_refusal_nothing_goes_before_all_is_back_and_then_everything_in_order() {
    let mut world = World::new(1);
    let link = world.open("n0");
    (0..3).for_each(|_| world.say("n0", &["u:a"]));
    let numbers = link.numbers();
    world.homes.not_home("n0", numbers[0]);
    world.send("n0", &["u:a"]).unwrap();
    world.homes.pump();
    assert_eq!(link.take(), [], "two are still out");
    world.homes.not_home("n0", numbers[1]);
    world.homes.pump();
    assert_eq!(link.take(), []);
    world.homes.not_home("n0", numbers[2]);
    assert_eq!(link.take(), [], "not by itself");
    world.homes.pump();
    let seen = link.take();
    assert_eq!(seen[0], Seen::Again);
    let again: Vec<u64> = seen[1..].iter().map(number).collect();
    assert_eq!(again[..3], numbers, "under the same numbers");
    assert!(again.len() == 4 && again[3] > numbers[2]);
    world.homes.pump();
    assert_eq!(link.take(), [], "once");
    world.send("n0", &["u:a"]).unwrap();
    assert_eq!(link.counters(), [5], "the way is free again");
}

#[test]
fn a_message_that_was_taken_before_the_refusal_is_not_waited_for_once_it_is_answered() {
    let mut world = World::new(1);
    let link = world.open("n0");
    (0..2).for_each(|_| world.say("n0", &["u:a"]));
    let numbers = link.numbers();
    world.homes.not_home("n0", numbers[1]);
    world.homes.pump();
    assert_eq!(link.take(), [], "the home may still store the first");
    world.homes.published("n0", numbers[0]).unwrap();
    world.homes.pump();
    assert_eq!(link.counters(), [0, 2]);
}

#[test]
fn a_refusal_of_what_was_given_up_still_has_to_be_ended() {
    let mut world = World::new(1);
    let link = world.open("n0");
    world.send("n0", &["u:a"]).unwrap();
    let numbers = link.numbers();
    assert_eq!(world.homes.expire(CALL_WAIT_MS).len(), 1);
    world.homes.not_home("n0", numbers[0]);
    world.send_due("n0", &["u:a"], 2 * CALL_WAIT_MS).unwrap();
    assert_eq!(link.take(), []);
    world.homes.pump();
    assert_eq!(link.counters(), [0, 2]);
}

#[test]
fn a_new_link_has_refused_nothing() {
    let mut world = World::new(1);
    let link = world.open("n0");
    (0..2).for_each(|_| world.say("n0", &["u:a"]));
    world.homes.not_home("n0", link.numbers()[0]);
    world.cut("n0");
    assert_eq!(world.open("n0").counters(), [1, 2]);
}

#[test]
fn a_full_link_takes_nothing_new_and_the_rest_in_order_when_it_drains() {
    let mut world = World::new(1);
    (0..4).for_each(|_| world.say("n0", &["u:a"]));
    let link = world.open("n0");
    link.take();
    world.cut("n0");
    let link = world.open("n0");
    assert_eq!(link.counters(), [1, 2, 3, 4]);
    world.cut("n0");
    let link = {
        let link = world.open("n0");
        link.take();
        link.set_room(0);
        link
    };
    assert_eq!(world.send("n0", &["u:a"]), Err(NotTaken::LinkFull));
    let before = world.homes.waiting_bytes();
    link.set_room(1);
    world.send("n0", &["u:a"]).unwrap();
    assert_eq!(link.counters(), [6], "what was refused is not kept");
    assert!(world.homes.waiting_bytes() > before);
}

#[test]
fn a_link_that_ended_unheard_is_not_a_full_one() {
    let mut world = World::new(1);
    let link = world.open("n0");
    link.end();
    (0..2).for_each(|_| world.say("n0", &["u:a"]));
    world.homes.ask("n0", Question::User("a"), 9, CALL_WAIT_MS).unwrap();
    world.homes.pump();
    assert_eq!(link.take(), []);
    world.cut("n0");
    assert_eq!(world.open("n0").counters(), [1, 2]);
}

#[test]
fn what_a_full_link_holds_up_keeps_its_place_before_what_is_new() {
    let mut world = World::new(1);
    let link = world.open("n0");
    (0..3).for_each(|_| world.say("n0", &["u:a"]));
    link.numbers().iter().for_each(|number| world.homes.not_home("n0", *number));
    link.set_room(0);
    world.homes.pump();
    link.set_room(2);
    world.homes.pump();
    assert_eq!(link.counters(), [0, 1], "Again, and one more");
    world.send("n0", &["u:a"]).unwrap();
    link.set_room(1);
    world.homes.pump();
    link.set_room(usize::MAX);
    world.homes.pump();
    assert_eq!(link.counters(), [2, 3, 4]);
    world.send("n0", &["u:a"]).unwrap();
    assert_eq!(link.counters(), [5]);
}

#[test]
fn what_may_wait_has_a_bound_in_bytes() {
    let mut world = World::new(1);
    let link = world.open("n0");
    let large = 1024 * 1024;
    (0..3).for_each(|_| world.send_bytes("n0", "u:a", large).unwrap());
    assert_eq!(world.send_bytes("n0", "u:a", large), Err(NotTaken::Backlog));
    assert!(!world.homes.has_room("n0", large) && world.homes.has_room("n1", large));
    assert!(world.homes.waiting_bytes() > 3 * large);
    let numbers = link.numbers();
    assert_eq!(numbers.len(), 3);
    world.homes.published("n0", numbers[0]).unwrap();
    world.send_bytes("n0", "u:a", large).unwrap();
    assert_eq!(world.homes.expire(u64::MAX).len(), 3);
    assert_eq!(world.homes.waiting_bytes(), 0);
    let small = (0..).take_while(|_| world.send("n0", &["u:a"]).is_ok()).count();
    assert!(small < 50_000, "small ones cost more than their bytes: {small}");
}

#[test]
fn what_is_overdue_is_given_up_wherever_it_is() {
    let mut world = World::new(2);
    let link = world.open("n0");
    world.send_due("n0", &["u:a"], CALL_WAIT_MS).unwrap();
    world.send_due("n0", &["u:b"], CALL_WAIT_MS + 1).unwrap();
    world.send_due("n1", &["u:c", "u:d"], CALL_WAIT_MS).unwrap();
    let numbers = link.numbers();
    assert_eq!(world.homes.expire(SEND_WITHIN_MS - 1), []);
    let unsent = world.homes.expire(SEND_WITHIN_MS);
    assert_eq!(world.homes.expire(CALL_WAIT_MS - 1), []);
    let failed: Vec<_> = world.homes.expire(CALL_WAIT_MS).into_iter().chain(unsent).collect();
    let told = failed.iter().map(|event| match event {
        Event::Failed(part, code) => (part.waiter, part.topics(), *code),
        other => panic!("{other:?}"),
    });
    let unavailable = ErrorCode::Unavailable;
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(1, vec!["u:a"], unavailable), (3, vec!["u:c", "u:d"], unavailable)]
    );
    assert_eq!(world.homes.published("n0", numbers[0]), None, "too late");
    assert_eq!(world.homes.published("n0", numbers[1]).unwrap().waiter, 2);
    assert_eq!(world.homes.waiting_bytes(), 0);
}

#[test]
fn what_a_home_may_have_refused_unheard_is_not_sent_again_behind_what_it_may_have_stored() {
    let mut world = World::new(1);
    let link = world.open("n0");
    world.send_due("n0", &["u:a"], CALL_WAIT_MS).unwrap();
    for topic in ["u:a", "u:b"] {
        world.send_due("n0", &[topic], CALL_WAIT_MS + 1).unwrap();
    }
    assert_eq!(link.counters(), [1, 2, 3]);
    assert_eq!(world.homes.expire(SEND_WITHIN_MS), [], "it may still answer");
    world.cut("n0");
    let next = world.open("n0");
    assert_eq!(next.counters(), [0; 0], "nothing goes past it");
    let failed = world.homes.expire(SEND_WITHIN_MS);
    let waiters = failed.iter().map(|event| match event {
        Event::Failed(part, ErrorCode::Unavailable) => part.waiter,
        other => panic!("{other:?}"),
    });
    assert_eq!(waiters.collect::<Vec<_>>(), [1, 2], "with what is behind it in its topic");
    world.homes.pump();
    assert_eq!(next.counters(), [3]);
}

#[test]
fn an_answer_is_for_one_message_of_one_home() {
    let mut world = World::new(2);
    let link = world.open("n0");
    world.send("n0", &["u:a", "u:b"]).unwrap();
    let number = link.numbers()[0];
    assert_eq!(world.homes.published("n1", number), None);
    assert_eq!(world.homes.answered("n0", number), None, "no question");
    assert_eq!(world.homes.published("n0", number + 1), None);
    let part = world.homes.published("n0", number).unwrap();
    let failed = [(1, "key_reused"), (7, "unavailable")];
    let outcomes = part.outcomes(3, None, &failed);
    assert_eq!(
        outcomes,
        [("u:a", Outcome::Passed { online: 3 }), ("u:b", Outcome::Failed(ErrorCode::KeyReused))]
    );
    let together = [("u:a", Outcome::Passed { online: 3 }), ("u:b", Outcome::Passed { online: 0 })];
    assert_eq!(part.outcomes(3, None, &[]), together, "counted once");
    let position = Position { epoch: Epoch::new(1), offset: 2 };
    let outcomes = part.outcomes(3, Some(position), &[(0, "of a later version")]);
    let stored = Outcome::Stored { online: 3, position };
    assert_eq!(outcomes, [("u:a", Outcome::Failed(ErrorCode::Unavailable)), ("u:b", stored)]);
    assert_eq!(world.homes.published("n0", number), None, "once");
}

fn number(seen: &Seen) -> u64 {
    match seen {
        Seen::Message(number, ..) => *number,
        other => panic!("{other:?}"),
    }
}

/// It is surely not stored only if nobody can have stored it before.
#[test]
fn a_refusal_of_what_a_home_may_have_taken_before_is_no_refusal() {
    let mut world = World::new(1);
    world.say("n0", &["u:a"]);
    let link = world.open("n0");
    let refused = |world: &mut World, link: &Pipe| {
        let part = world.homes.published("n0", link.numbers()[0]).unwrap();
        part.outcomes(0, None, &[(0, "overloaded")])[0].1
    };
    assert_eq!(
        refused(&mut world, &link),
        Outcome::Failed(ErrorCode::Overloaded),
        "it had to wait for a link"
    );
    world.say("n0", &["u:a"]);
    world.cut("n0");
    let link = world.open("n0");
    assert_eq!(refused(&mut world, &link), Outcome::Failed(ErrorCode::Unavailable));
}
