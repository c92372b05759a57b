//! What sessions are told, whatever their home says.

use super::super::given::{Given, Tell};
use super::{names, text};

fn told(tell: Option<Tell>) -> String {
    match tell {
        None => String::new(),
        Some(Tell::Roster(users)) => format!("={}", text(&users)),
        Some(Tell::Count(count)) => format!("#{count}"),
        Some(Tell::Change { count, joined, left }) => format!("{count} +{} -{}", text(&joined), text(&left)),
    }
}

#[test]
fn first_the_roster_and_then_changes() {
    let mut given = Given::default();
    assert_eq!(told(given.current()), "");
    assert_eq!(told(given.changed(names("ann"), vec![])), "", "nothing was given to change");
    assert_eq!(told(given.whole(names("bob ann"))), "=ann bob");
    assert_eq!(told(given.changed(names("cid"), names("bob"))), "2 +cid -bob");
    assert_eq!(told(given.current()), "=ann cid");
}

#[test]
fn the_roster_of_a_new_home_becomes_a_difference() {
    let mut given = Given::default();
    given.whole(names("ann bob cid"));
    assert_eq!(told(given.whole(names("ann cid dan"))), "3 +dan -bob");
    assert_eq!(told(given.whole(names("ann cid dan"))), "");
    assert_eq!(told(given.whole(names(""))), "0 + -ann cid dan");
}

#[test]
fn what_is_said_twice_is_told_once() {
    let mut given = Given::default();
    given.whole(names("ann"));
    assert_eq!(told(given.changed(names("ann"), names("bob"))), "");
    assert_eq!(told(given.changed(names("ann cid"), names("bob"))), "2 +cid -");
}

#[test]
fn numbers_for_a_big_group_and_the_roster_again_when_it_is_small() {
    let mut given = Given::default();
    given.whole(names("ann"));
    assert_eq!(told(given.counted(1_001)), "#1001");
    assert_eq!(told(given.counted(1_001)), "");
    assert_eq!(told(given.changed(names("bob"), vec![])), "");
    assert_eq!(told(given.current()), "#1001");
    assert_eq!(told(given.whole(names("ann bob"))), "=ann bob");
}
