//! Tests of what a process makes of its own sayings and the others'.

use super::*;
use crate::ring::{MemberState, Policy, RingKey};

const LEASE: Duration = Duration::from_secs(3);

fn suspect(id: &str) -> Suspect {
    Suspect { id: id.to_owned(), generation: 1 }
}

fn view() -> Ring {
    let member = |id: &str| Member {
        id: id.to_owned(),
        generation: 1,
        url: "wss://node.example.com/ws".to_owned(),
        peer: "10.0.0.1:4000".to_owned(),
        weight: 100,
        state: MemberState::Active,
    };
    let empty = Ring::genesis("default", RingKey::new([0; 16]), Policy::Balanced);
    ["a", "b"].iter().fold(empty, |ring, id| ring.join(member(id)).unwrap())
}

fn ids(said: &mut Suspicions) -> Vec<String> {
    said.of(Some(&view())).iter().map(|(id, _)| id.to_owned()).collect()
}

/// Tells the store everything; `now` is when it has done so.
fn tell(said: &mut Suspicions, now: Instant) -> Untold {
    let untold = said.untold();
    said.told(&untold, now);
    untold
}

#[test]
fn what_is_said_counts_at_once_and_until_it_is_taken_back() {
    let (mut said, now) = (Suspicions::default(), Instant::now());
    assert!(said.suspect(suspect("a"), now));
    assert!(!said.suspect(suspect("a"), now), "again");
    assert_eq!(ids(&mut said), ["a"]);
    assert_eq!(tell(&mut said, now).dead, [suspect("a")]);
    assert_eq!(said.untold(), Untold::default(), "told once");
    assert!(said.trust(&suspect("a")));
    assert!(ids(&mut said).is_empty());
    assert_eq!(tell(&mut said, now).taken_back, [suspect("a")]);
    assert_eq!(said.untold(), Untold::default());
    assert!(said.suspect(suspect("a"), now), "anew");
}

#[test]
fn what_is_taken_back_and_said_again_while_it_is_told_is_told_again() {
    let (mut said, now) = (Suspicions::default(), Instant::now());
    said.suspect(suspect("a"), now);
    tell(&mut said, now);
    said.trust(&suspect("a"));
    let untold = said.untold();
    said.suspect(suspect("a"), now);
    said.told(&untold, now);
    assert_eq!(ids(&mut said), ["a"]);
    assert_eq!(said.untold().dead, [suspect("a")]);
}

#[test]
fn a_renewal_refutes_what_the_store_knew() {
    let (mut said, start) = (Suspicions::default(), Instant::now());
    said.suspect(suspect("a"), start);
    assert_eq!(said.heard(vec![], start, start, LEASE), 0, "the store was not told");
    tell(&mut said, start + LEASE);
    assert_eq!(said.heard(vec![], start, start + LEASE, LEASE), 0, "asked before it was told");
    assert_eq!(said.heard(vec![suspect("a")], start + LEASE, start + LEASE, LEASE), 0);
    assert_eq!(ids(&mut said), ["a"]);
    let mut now = start + 2 * LEASE;
    for leases in [1, 2, 4, 8, 16, 32, 32] {
        assert_eq!(said.heard(vec![], now, now, LEASE), 1, "a renewal");
        assert!(ids(&mut said).is_empty());
        let until = now + leases * LEASE;
        let before = until - Duration::from_millis(1);
        assert!(!said.suspect(suspect("a"), before));
        said.heard(vec![], before, before, LEASE);
        assert!(ids(&mut said).is_empty(), "not so soon again");
        said.heard(vec![], until, until, LEASE);
        assert_eq!(ids(&mut said), ["a"], "nobody took it back");
        now = until;
        tell(&mut said, now);
    }
    said.heard(vec![], now, now, LEASE);
    assert!(!said.trust(&suspect("a")), "nothing is said any more");
    assert!(said.suspect(suspect("a"), now), "a link that stood in between begins anew");
}

#[test]
fn a_store_that_forgot_refutes_nothing() {
    let (mut said, now) = (Suspicions::default(), Instant::now());
    said.suspect(suspect("a"), now);
    tell(&mut said, now);
    said.tell_again();
    assert_eq!(said.heard(vec![], now, now, LEASE), 0);
    assert_eq!(said.untold().dead, [suspect("a")]);
}

#[test]
fn others_are_believed_until_they_are_heard_no_more() {
    let (mut said, now) = (Suspicions::default(), Instant::now());
    let others = [suspect("a"), Suspect { generation: 2, ..suspect("b") }, suspect("stranger")];
    said.heard(others.to_vec(), now, now, LEASE);
    assert_eq!(ids(&mut said), ["a"], "members of the view, in their present incarnation");
    said.suspect(suspect("b"), now);
    assert_eq!(ids(&mut said), ["a", "b"]);
    said.unheard();
    assert_eq!(ids(&mut said), ["b"]);
}

#[test]
fn who_is_gone_from_the_view_is_forgotten() {
    let (mut said, now) = (Suspicions::default(), Instant::now());
    said.suspect(suspect("a"), now);
    tell(&mut said, now);
    assert!(said.of(Some(&view().leave(&["a"]))).is_empty());
    assert!(ids(&mut said).is_empty());
    assert!(said.suspect(suspect("a"), now));
}
