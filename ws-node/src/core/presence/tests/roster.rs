//! The roster of one group: first in, last out, graces, new homes, big groups.

use cluster::limits::ROSTER_MAX;

use super::super::roster::{Change, Known, Roster, Source};
use super::{GRACE, name, names, text};

const A: Source = Source::Link(1);
const B: Source = Source::Link(2);

fn roster() -> Roster {
    Roster::new(GRACE)
}

/// A roster whose members everybody knows.
fn roster_of(source: Source, users: &str) -> Roster {
    let mut roster = roster();
    roster.replace(source, &names(users), 0);
    roster.poll(0);
    roster
}

/// What is told, as `+joined -left`.
fn told(roster: &mut Roster, now_ms: u64) -> String {
    match roster.poll(now_ms) {
        None => String::new(),
        Some(Change::Whole) => format!("={}", text(&roster.users().unwrap())),
        Some(Change::Count) => format!("#{}", roster.count()),
        Some(Change::Users { joined, left }) => format!("+{} -{}", text(&joined), text(&left)),
    }
}

fn crowd(numbers: std::ops::Range<usize>) -> Vec<std::sync::Arc<str>> {
    numbers.map(|number| name(format!("u{number:05}"))).collect()
}

#[test]
fn first_in_and_last_out_over_all_sources() {
    let mut roster = roster();
    roster.joined(A, &name("ann"));
    assert_eq!(told(&mut roster, 0), "+ann -");
    roster.joined(B, &name("ann"));
    roster.joined(Source::Here, &name("ann"));
    roster.left(A, "ann", false, 1_000);
    roster.left(Source::Here, "ann", false, 1_000);
    assert_eq!(told(&mut roster, 1_000), "");
    roster.left(B, "ann", false, 2_000);
    assert_eq!(told(&mut roster, 2_000), "+ -ann");
    assert!(roster.is_empty());
}

#[test]
fn who_left_is_gone_at_once_and_who_was_lost_after_the_grace() {
    let mut roster = roster_of(A, "ann bob");
    roster.left(A, "ann", false, 5_000);
    roster.left(A, "bob", true, 5_000);
    assert_eq!(told(&mut roster, 5_000), "+ -ann");
    assert_eq!(roster.count(), 1);
    assert_eq!(roster.due(), Some(5_000 + GRACE));
    assert_eq!(told(&mut roster, 5_000 + GRACE - 1), "");
    assert_eq!(told(&mut roster, 5_000 + GRACE), "+ -bob");
    assert_eq!(roster.due(), None);
}

#[test]
fn who_comes_back_within_the_grace_was_never_gone() {
    for source in [A, B, Source::Here] {
        let mut roster = roster_of(A, "ann");
        roster.left(A, "ann", true, 5_000);
        roster.joined(source, &name("ann"));
        assert_eq!(told(&mut roster, 5_000 + 2 * GRACE), "");
        assert_eq!(roster.count(), 1);
    }
}

#[test]
fn the_grace_of_a_lost_session_outlasts_another_ones_leave_and_ends_with_a_return() {
    let mut roster = roster_of(A, "ann");
    roster.joined(B, &name("ann"));
    roster.left(A, "ann", true, 5_000);
    roster.left(B, "ann", false, 5_100);
    assert_eq!(told(&mut roster, 5_000 + GRACE - 1), "");
    roster.joined(B, &name("ann"));
    roster.left(B, "ann", false, 5_000 + GRACE - 1);
    assert_eq!(told(&mut roster, 5_000 + GRACE - 1), "+ -ann");
}

#[test]
fn what_a_source_says_of_others_members_is_nothing() {
    let mut roster = roster_of(A, "ann");
    roster.left(B, "ann", false, 5_000);
    roster.left(B, "nobody", true, 5_000);
    roster.gone(B, 5_000);
    assert_eq!(told(&mut roster, 5_000 + GRACE), "");
    assert_eq!(roster.count(), 1);
}

#[test]
fn a_dead_nodes_members_leave_after_the_grace_unless_they_are_elsewhere_by_then() {
    let mut roster = roster_of(A, "ann bob cid");
    roster.joined(B, &name("ann"));
    roster.gone(A, 5_000);
    roster.joined(B, &name("bob"));
    assert_eq!(told(&mut roster, 5_000), "");
    assert_eq!(told(&mut roster, 5_000 + GRACE), "+ -cid");
}

#[test]
fn a_link_that_opens_again_changes_nothing() {
    // Either end may come first.
    for new_first in [true, false] {
        let mut roster = roster_of(A, "ann bob");
        if new_first {
            roster.replace(B, &names("ann bob"), 5_000);
        }
        roster.gone(A, 5_000);
        roster.replace(B, &names("ann"), 5_000 + GRACE - 1);
        roster.joined(B, &name("bob"));
        assert_eq!(told(&mut roster, 5_000 + 3 * GRACE), "");
        assert_eq!(roster.count(), 2);
    }
}

#[test]
fn a_list_that_comes_in_parts_tells_nobody_to_have_left() {
    let mut roster = roster_of(A, "ann bob cid");
    roster.replace(A, &names("ann dan"), 5_000);
    roster.joined(A, &name("bob"));
    assert_eq!(told(&mut roster, 5_000), "+dan -");
    assert_eq!(told(&mut roster, 5_000 + GRACE), "+ -cid");
}

#[test]
fn a_list_that_is_said_again_does_not_end_anothers_grace() {
    let mut roster = roster_of(A, "ann");
    roster.joined(B, &name("ann"));
    roster.left(B, "ann", true, 5_000);
    roster.replace(A, &names("ann"), 5_100);
    roster.left(A, "ann", false, 5_200);
    assert_eq!(told(&mut roster, 5_200), "");
    assert_eq!(told(&mut roster, 5_000 + GRACE), "+ -ann");
}

#[test]
fn without_a_grace_a_lost_socket_is_a_leave() {
    let mut roster = Roster::new(0);
    roster.joined(A, &name("ann"));
    roster.poll(0);
    roster.gone(A, 500);
    assert_eq!(told(&mut roster, 500), "+ -ann");
}

#[test]
fn a_new_home_tells_everybody_and_only_after_a_grace() {
    let mut roster = roster();
    roster.settle(GRACE);
    roster.replace(A, &names("ann bob"), 10);
    roster.left(A, "bob", false, 20);
    roster.left(A, "ann", true, 30);
    roster.joined(B, &name("cid"));
    assert!(roster.is_settling(GRACE - 1) && !roster.is_settling(GRACE));
    assert_eq!(told(&mut roster, GRACE - 1), "");
    assert_eq!(roster.due(), Some(GRACE));
    assert_eq!(told(&mut roster, GRACE), "=ann cid");
    assert_eq!(told(&mut roster, GRACE + 30), "", "the pace");
    assert_eq!(told(&mut roster, GRACE + 100), "+ -ann");
}

#[test]
fn a_home_that_comes_back_settles_again_and_tells_everybody() {
    let mut roster = roster_of(A, "ann");
    roster.joined(A, &name("bob"));
    roster.settle(8_000);
    assert_eq!(told(&mut roster, 7_999), "");
    assert_eq!(told(&mut roster, 8_000), "=ann bob");
}

#[test]
fn a_new_home_of_nobody_says_so() {
    let mut roster = roster();
    roster.settle(GRACE);
    assert_eq!(told(&mut roster, GRACE), "=");
    assert_eq!(roster.due(), None);
}

#[test]
fn what_is_told_is_net() {
    let mut roster = roster_of(A, "ann bob");
    roster.left(A, "ann", false, 5_000);
    roster.joined(A, &name("cid"));
    roster.joined(A, &name("ann"));
    roster.left(A, "cid", false, 5_000);
    assert_eq!(told(&mut roster, 5_000), "");
    roster.left(A, "bob", false, 5_000);
    roster.joined(A, &name("dan"));
    assert_eq!(told(&mut roster, 5_000), "+dan -bob");
}

#[test]
fn who_begins_to_watch_is_told_what_all_others_were_told() {
    let mut roster = roster_of(A, "ann bob");
    roster.joined(A, &name("cid"));
    roster.left(A, "ann", false, 10);
    assert_eq!(roster.users().unwrap(), names("bob cid"));
    assert_eq!(roster.known(), Some(Known::Users(names("ann bob"))), "the change is still to be told to all");
    roster.joined(A, &name("ann"));
    assert_eq!(told(&mut roster, 100), "+cid -");
    assert_eq!(roster.known(), Some(Known::Users(names("ann bob cid"))));
    roster.settle(GRACE);
    assert_eq!(roster.known(), None);
    roster.replace(A, &crowd(0..ROSTER_MAX + 1), 0);
    roster.poll(GRACE);
    roster.joined(B, &name("dan"));
    assert_eq!(roster.known(), Some(Known::Count(ROSTER_MAX + 1)));
}

#[test]
fn the_first_change_is_told_at_once_and_more_of_them_together() {
    let mut roster = roster_of(A, "ann");
    for (now_ms, user, expected) in
        [(5_000, "bob", "+bob -"), (5_010, "cid", ""), (5_020, "dan", ""), (5_100, "eve", "+cid dan eve -")]
    {
        roster.joined(A, &name(user));
        assert_eq!(told(&mut roster, now_ms), expected);
    }
    assert_eq!(roster.due(), None);
}

#[test]
fn telling_is_slower_the_more_it_costs() {
    let mut roster = roster();
    roster.replace(A, &crowd(0..500), 0);
    assert!(roster.poll(0).is_some());
    roster.joined(A, &name("ann"));
    // 500 names to 500 members cost as much as 500 + 5,000 frames; 10,000 may go a second.
    assert_eq!(roster.due(), Some(550));
    assert_eq!(told(&mut roster, 549), "");
    assert_eq!(told(&mut roster, 550), "+ann -");
}

#[test]
fn a_big_group_is_told_by_number_and_by_name_again_when_it_is_small() {
    let mut roster = roster();
    roster.replace(A, &crowd(0..ROSTER_MAX), 0);
    assert!(matches!(roster.poll(0), Some(Change::Users { joined, .. }) if joined.len() == ROSTER_MAX));
    assert_eq!(roster.users().unwrap().len(), ROSTER_MAX);
    roster.joined(A, &name("x"));
    assert_eq!(told(&mut roster, 10_000), "#1001");
    assert_eq!(roster.users(), None);
    roster.joined(A, &name("y"));
    roster.left(A, "y", false, 10_100);
    assert_eq!(told(&mut roster, 11_000), "", "the same number");
    roster.joined(B, &name("y"));
    assert_eq!(told(&mut roster, 12_000), "#1002");
    roster.gone(B, 13_000);
    assert_eq!(told(&mut roster, 13_000 + GRACE), "#1001");
    roster.left(A, "x", false, 20_000);
    assert_eq!(told(&mut roster, 20_000), format!("={}", text(&crowd(0..ROSTER_MAX))));
    roster.left(A, "u00007", false, 30_000);
    assert_eq!(told(&mut roster, 30_000), "+ -u00007");
}

#[test]
fn a_new_home_of_a_big_group_tells_the_number() {
    let mut roster = roster();
    roster.settle(GRACE);
    roster.replace(A, &crowd(0..ROSTER_MAX + 1), 0);
    assert_eq!(told(&mut roster, GRACE), "#1001");
}

#[test]
fn who_flaps_leaves_no_memory_behind() {
    let mut roster = roster_of(A, "ann");
    for now_ms in 0..10_000 {
        roster.left(A, "ann", true, now_ms);
        assert_eq!(roster.parting.len(), 1);
        roster.joined(A, &name("ann"));
    }
    assert_eq!((roster.parting.len(), roster.due()), (0, None));
}
