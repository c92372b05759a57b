//! Questions: asked again until somebody who is home answers.

use super::super::*;
use super::world::{ME, Seen, World, inbox_from_to, member, ring_of};
use crate::wire::codes::ErrorCode;
use crate::wire::peer::{Control, Question};

fn ask(world: &mut World, node: &str, user: &str, waiter: u32) {
    world.homes.ask(node, Question::User(user), waiter, CALL_WAIT_MS).unwrap();
}

fn asked(seen: &[Seen]) -> Vec<(u64, &str)> {
    let question = |seen| match seen {
        &Seen::Question(number, ref names) => Some((number, names[0].as_str())),
        _ => None,
    };
    seen.iter().filter_map(question).collect()
}

#[test]
fn a_question_waits_for_the_link_and_is_asked_again_on_the_next_one() {
    let mut world = World::new(1);
    ask(&mut world, "n0", "a", 1);
    let first = world.open("n0").take();
    world.cut("n0");
    let link = world.open("n0");
    assert_eq!(link.take(), first);
    world.homes.pump();
    assert_eq!(link.take(), [], "once a link");
    let part = world.homes.answered("n0", asked(&first)[0].0).unwrap();
    assert_eq!((part.waiter, part.question()), (1, Some(Question::User("a"))));
    assert_eq!((part.publish(), part.topics()), (None, vec![]));
    world.cut("n0");
    assert_eq!(world.open("n0").take(), []);
}

#[test]
fn a_refused_question_is_asked_again_and_holds_nothing_up() {
    let mut world = World::new(1);
    let link = world.open("n0");
    ask(&mut world, "n0", "a", 1);
    ask(&mut world, "n0", "b", 2);
    let first = link.take();
    world.homes.not_home("n0", asked(&first)[0].0);
    world.send("n0", &["u:a"]).unwrap();
    assert_eq!(link.counters(), [1], "messages do not wait for it");
    world.homes.pump();
    assert_eq!(link.take(), first[..1]);
}

#[test]
fn questions_overtake_messages_that_were_refused() {
    let mut world = World::new(1);
    let link = world.open("n0");
    (0..2).for_each(|_| world.say("n0", &["u:a"]));
    world.homes.not_home("n0", link.numbers()[0]);
    ask(&mut world, "n0", "a", 1);
    assert_eq!(asked(&link.take()).len(), 1);
}

#[test]
fn a_question_that_a_full_link_does_not_take_is_asked_later() {
    let mut world = World::new(1);
    let link = world.open("n0");
    link.set_room(0);
    ask(&mut world, "n0", "a", 1);
    ask(&mut world, "n0", "b", 2);
    world.homes.pump();
    link.set_room(1);
    world.homes.pump();
    assert_eq!(asked(&link.take()).len(), 1);
    link.set_room(1);
    world.homes.pump();
    assert_eq!(asked(&link.take())[0].1, "b");
}

#[test]
fn questions_have_an_end_and_count_for_the_bound() {
    let mut world = World::new(1);
    world.homes.ask("n0", Question::User("a"), 1, 10).unwrap();
    world.homes.ask("n0", Question::User("b"), 2, 11).unwrap();
    let failed = world.homes.expire(10);
    assert!(matches!(&failed[..], [Event::Failed(part, ErrorCode::Unavailable)] if part.waiter == 1));
    assert_eq!(asked(&world.open("n0").take())[0].1, "b");
    let long = "x".repeat(256);
    let many = || Question::Online(vec![long.as_str(); 1_000]);
    let taken = (0..).take_while(|_| world.homes.ask("n0", many(), 3, 99).is_ok()).count();
    assert!((10..20).contains(&taken), "{taken}");
    assert_eq!(world.homes.ask("n0", many(), 3, 99), Err(NotTaken::Backlog));
}

#[test]
fn on_a_new_ring_a_question_goes_to_the_new_home() {
    let mut world = World::new(2);
    let (old, new) = (ring_of(2), ring_of(2).join(member(2)).unwrap());
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    let stays = inbox_from_to(("n0", &old), ("n0", &new), 0);
    let (link, next) = (world.open("n0"), world.open("n2"));
    ask(&mut world, "n0", &moves[2..], 1);
    ask(&mut world, "n0", &stays[2..], 2);
    let first = link.take();
    assert_eq!(world.follow(&new), []);
    world.homes.pump();
    assert_eq!(link.take(), [], "one stays, and is out");
    let again = next.take();
    assert_eq!(asked(&again)[0].1, &moves[2..]);
    assert_eq!(world.homes.answered("n0", asked(&first)[0].0), None, "the old home's answer is too late");
    assert_eq!(world.homes.answered("n2", asked(&again)[0].0).unwrap().waiter, 1);
    assert_eq!(world.homes.answered("n0", asked(&first)[1].0).unwrap().waiter, 2);
}

#[test]
fn a_question_that_came_home_or_has_none_is_told_to_its_owner() {
    let mut world = World::new(2);
    let (old, new) = (ring_of(2), ring_of(2).join(member(2)).unwrap());
    let moves = inbox_from_to(("n0", &old), ("n2", &new), 0);
    ask(&mut world, "n0", &moves[2..], 1);
    let events = world.follow_as("n2", &new);
    let here = |event: &Event<u32>| matches!(event, Event::Here(part) if part.question() == Some(Question::User(&moves[2..])));
    assert!(events.len() == 1 && here(&events[0]), "{events:?}");
    ask(&mut world, "n0", "x", 2);
    let events = world.follow(&ring_of(0));
    assert!(matches!(&events[..], [Event::Failed(part, ErrorCode::Unavailable)] if part.waiter == 2));
    assert_eq!(world.homes.waiting_bytes(), 0);
}

#[test]
fn a_question_about_several_users_is_split_by_their_homes() {
    let (old, new) = (ring_of(1), ring_of(3));
    let users: Vec<String> = ["n0", "n1", "n0", "n2"]
        .iter()
        .zip([0, 0, 1, 0])
        .map(|(node, number)| inbox_from_to(("n0", &old), (node, &new), number)[2..].to_owned())
        .collect();
    let all: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut world = World::new(1);
    world.homes.ask("n0", Question::Online(all.clone()), 7, CALL_WAIT_MS).unwrap();
    let links = ["n0", "n1"].map(|node| world.open(node));
    links.iter().for_each(|link| drop(link.take()));
    let events = world.follow_as("n2", &new);
    let here = |part: &Part<u32>| (part.waiter, part.question()) == (7, Some(Question::Online(vec![all[3]])));
    assert!(matches!(&events[..], [Event::Here(part)] if here(part)), "{events:?}");
    let seen = links.map(|link| link.take());
    let names = |seen: &[Seen]| match seen {
        [Seen::Question(_, names)] => names.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(&seen[0]), [all[0], all[2]]);
    assert_eq!(names(&seen[1]), [all[1]]);
}

#[test]
fn each_question_goes_to_the_home_of_what_it_is_about() {
    let ring = ring_of(3);
    let view = View { ring: &ring, me: ME };
    let control = Question::Control { user: "a", control: Control::Join("g") };
    for (question, topic) in
        [(Question::Presence("g"), "g:g"), (Question::User("a"), "u:a"), (control, "u:a")]
    {
        assert_eq!(split_question(view, &question), [(view.home(topic), question.clone())]);
    }
}
