//! A node's own members of a group: first and last sessions, and what the home is told.

use super::super::members::{Members, Report};
use super::{GRACE, name, names, text};

fn members_of(users: &str) -> Members {
    let mut members = Members::new(GRACE);
    names(users).iter().for_each(|user| assert!(members.joined(user)));
    members
}

/// What a home is told, as `*` for a beginning, `+joined`, `-left`, `?lost`.
fn told(members: &mut Members) -> String {
    let mut told = vec![];
    assert!(members.tell(|report| {
        told.extend(report.begins.then(|| "*".to_owned()));
        told.extend(report.joined.iter().map(|user| format!("+{user}")));
        told.extend(
            report.left.iter().map(|(user, lost)| format!("{}{user}", if *lost { "?" } else { "-" })),
        );
        true
    }));
    told.join(" ")
}

#[test]
fn only_the_first_session_and_the_last_one_count() {
    let mut members = members_of("ann");
    assert!(!members.joined(&name("ann")));
    assert_eq!(members.left("ann", true, 0), None);
    assert_eq!(members.left("nobody", true, 0), None);
    assert_eq!(text(&members.users()), "ann");
    assert_eq!(members.left("ann", false, GRACE), Some(false));
    assert!(members.is_idle());
}

#[test]
fn a_user_is_lost_if_one_of_the_sessions_was_lost_a_moment_ago() {
    let mut members = members_of("ann");
    members.joined(&name("ann"));
    members.left("ann", true, 0);
    assert_eq!(members.left("ann", false, GRACE - 1), Some(true));
    members.joined(&name("ann"));
    members.joined(&name("ann"));
    members.left("ann", true, 0);
    members.joined(&name("ann"));
    members.left("ann", false, 1);
    assert_eq!(members.left("ann", false, 1), Some(false), "the lost one came back");
}

#[test]
fn a_home_is_told_of_everybody_and_then_of_changes() {
    let mut members = members_of("bob ann");
    assert_eq!(told(&mut members), "", "nobody is to be told");
    members.tell_all();
    members.joined(&name("cid"));
    members.left("bob", false, 0);
    assert_eq!(told(&mut members), "* +ann +cid");
    assert_eq!(told(&mut members), "");
    members.joined(&name("dan"));
    members.left("ann", false, 0);
    members.left("cid", true, 0);
    assert_eq!(told(&mut members), "+dan -ann ?cid");
    members.tell_nobody();
    members.joined(&name("eve"));
    assert_eq!(told(&mut members), "");
    members.tell_all();
    assert_eq!(told(&mut members), "* +dan +eve");
}

#[test]
fn what_is_over_before_it_was_told_is_not_told() {
    let mut members = members_of("ann");
    members.tell_all();
    told(&mut members);
    members.joined(&name("bob"));
    members.left("bob", true, 0);
    members.left("ann", false, 0);
    members.joined(&name("ann"));
    assert_eq!(told(&mut members), "");
}

#[test]
fn what_a_link_does_not_take_is_told_later_and_in_parts() {
    let mut members = Members::new(GRACE);
    for number in 0..1_200 {
        members.joined(&name(format!("u{number:04}")));
    }
    members.tell_all();
    let mut reports: Vec<Report> = vec![];
    let take_two = |reports: &mut Vec<Report>, report: &Report| {
        let room = reports.len() < 2;
        reports.extend(room.then(|| report.clone()));
        room
    };
    assert!(!members.tell(|report| take_two(&mut reports, report)));
    members.left("u0000", false, 0);
    members.left("u1199", false, 0);
    assert!(members.tell(|report| {
        reports.push(report.clone());
        true
    }));
    let begins: Vec<_> = reports.iter().map(|report| report.begins).collect();
    let sizes: Vec<_> = reports.iter().map(|report| (report.joined.len(), report.left.len())).collect();
    assert_eq!(begins, [true, false, false]);
    assert_eq!(sizes, [(500, 0), (500, 0), (199, 1)]);
    assert_eq!(reports[2].left, [(name("u0000"), false)]);
}

#[test]
fn a_first_part_that_was_not_taken_still_begins() {
    let mut members = members_of("ann");
    members.tell_all();
    assert!(!members.tell(|_| false));
    assert_eq!(told(&mut members), "* +ann");
}

#[test]
fn when_more_left_than_stayed_the_whole_list_is_told_instead() {
    let mut members = members_of("ann");
    for number in 0..5_000 {
        members.joined(&name(number));
    }
    members.tell_all();
    told(&mut members);
    for number in 0..5_000 {
        members.left(&number.to_string(), false, 0);
    }
    assert_eq!(told(&mut members), "* +ann");
}
