//! The decisions of a drain: when it is over, and who is somewhere to go.

use cluster::membership::Suspect;
use cluster::ring::Member;

use super::Others::{SeemDead, TakeUsers};
use super::*;

const S: Duration = Duration::from_secs(1);

#[test]
fn it_waits_for_the_sessions_and_then_a_moment_for_those_on_their_way() {
    let began = Instant::now();
    let mut course = Course::new(By::Process, began, 30 * S);
    assert_eq!(course.look(3, TakeUsers, began), None);
    assert_eq!(course.look(1, TakeUsers, began + S), None);
    assert_eq!(course.look(0, TakeUsers, began + 2 * S), None);
    assert_eq!(course.look(1, TakeUsers, began + 2 * S + QUIET / 2), None, "one was on its way");
    assert_eq!(course.look(0, TakeUsers, began + 3 * S), None);
    assert_eq!(course.look(0, TakeUsers, began + 3 * S + QUIET / 2), None);
    assert_eq!(course.look(0, TakeUsers, began + 3 * S + QUIET), Some(Over::Empty));
}

#[test]
fn it_does_not_wait_for_nothing() {
    let began = Instant::now();
    let begun = |deadline| Course::new(By::Process, began, deadline);
    assert_eq!(begun(30 * S).look(0, TakeUsers, began), Some(Over::Empty), "nobody was there");
    assert_eq!(begun(30 * S).look(5, Others::None, began), Some(Over::NowhereToGo));
    assert_eq!(begun(Duration::ZERO).look(5, TakeUsers, began), Some(Over::Deadline));
    let mut course = begun(30 * S);
    assert_eq!(course.look(5, TakeUsers, began + 30 * S - S / 10), None);
    assert_eq!(
        course.look(5, Others::None, began + 30 * S - S / 10),
        Some(Over::NowhereToGo),
        "the others went"
    );
}

#[test]
fn who_asked_through_the_api_finds_the_node_draining_a_moment_later() {
    let began = Instant::now();
    for (sessions, others, over) in
        [(0, TakeUsers, Over::Empty), (3, Others::None, Over::NowhereToGo), (3, TakeUsers, Over::Deadline)]
    {
        let mut course = Course::new(By::Membership, began, Duration::ZERO);
        assert_eq!(course.look(sessions, others, began), None);
        assert_eq!(course.look(sessions, others, began + QUIET), Some(over));
    }
}

#[test]
fn it_ends_at_the_deadline_whoever_comes_and_goes() {
    let began = Instant::now();
    let mut course = Course::new(By::Process, began, 2 * S);
    for tenth in 0..20 {
        assert_eq!(course.look((tenth as usize + 1) % 2, TakeUsers, began + S / 10 * tenth), None);
    }
    assert_eq!(course.look(1, TakeUsers, began + 2 * S), Some(Over::Deadline));
}

#[test]
fn it_goes_on_when_the_others_seemed_dead_for_a_moment_only() {
    let began = Instant::now();
    let mut course = Course::new(By::Process, began, 30 * S);
    assert_eq!(course.look(5, SeemDead, began), None);
    assert_eq!(course.look(5, SeemDead, began + DEAD - S / 10), None);
    assert_eq!(course.look(5, TakeUsers, began + DEAD), None);
    assert_eq!(course.look(5, SeemDead, began + DEAD + S), None, "the time begins anew");
    assert_eq!(course.look(5, SeemDead, began + 2 * DEAD + S), Some(Over::NowhereToGo));
}

fn two() -> Ring {
    use cluster::ring::{Policy, RingKey};
    let member = |id: &str, generation| Member {
        id: id.into(),
        generation,
        url: format!("ws://{id}/ws"),
        peer: format!("{id}:1"),
        weight: 100,
        state: MemberState::Active,
    };
    let empty = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    empty.join(member("n1", 1)).unwrap().join(member("n2", 2)).unwrap()
}

#[test]
fn only_members_that_take_users_are_somewhere_to_go() {
    let (two, one) = (two(), two().leave(&["n2"]));
    let nobody = Suspects::default();
    for alone in [&one, &one.drain("n1"), &two.drain("n2"), &two.drain("n2").drain("n1")] {
        assert_eq!(others(alone, &nobody, "n1"), Others::None);
    }
    assert_eq!(others(&two, &nobody, "n1"), TakeUsers);
    assert_eq!(others(&two.drain("n1"), &nobody, "n1"), TakeUsers);
    let dead = |generation| Suspects::from_iter([Suspect { id: "n2".into(), generation }]);
    assert_eq!(others(&two, &dead(2), "n1"), SeemDead);
    assert_eq!(others(&two, &dead(1), "n1"), TakeUsers, "it was an earlier life");
}

#[test]
fn only_what_the_ring_says_of_this_incarnation_counts() {
    let drained = two().drain("n1");
    assert!(drains(&drained, Some(1)));
    assert!(!drains(&two(), Some(1)) && !drains(&drained, Some(2)));
    assert!(!drains(&drained, Some(3)) && !drains(&drained, None), "it was an earlier life");
}
