//! Waiting for a ring, step by step.

use bytes::Bytes;

use super::super::batch::{Kind, begin, push, stamp};
use super::*;

const WAIT: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn batch(ring: u64, frames: &[(Kind, &[u8])]) -> Batch {
    let mut message = Vec::new();
    begin(&mut message);
    for (kind, payload) in frames {
        push(&mut message, *kind, payload);
    }
    stamp(&mut message, ring);
    Batch::parse(message.into()).unwrap()
}

fn payload(ring: u64, text: &str) -> Batch {
    batch(ring, &[(Kind::Payload, text.as_bytes())])
}

fn heartbeat(ring: u64) -> Batch {
    batch(ring, &[(Kind::Heartbeat, b"")])
}

fn texts(follow: &mut Follow, have: u64, now: Instant) -> Vec<Bytes> {
    std::iter::from_fn(|| follow.next(have, now)).flat_map(|due| due.batch.payloads()).collect()
}

fn fresh(bytes_max: usize) -> (Follow, Asks, Instant) {
    (Follow::new(WAIT, bytes_max), Asks::default(), Instant::now())
}

#[test]
fn a_batch_of_a_known_ring_passes_at_once() {
    let (mut follow, mut asks, now) = fresh(1000);
    follow.arrived(payload(3, "a"));
    assert!(!follow.ask(3, now, &mut asks));
    assert_eq!(texts(&mut follow, 3, now), ["a"]);
    assert!(!follow.is_waiting());
}

#[test]
fn frames_wait_in_order_and_one_request_is_out() {
    let (mut follow, mut asks, now) = fresh(1000);
    follow.arrived(payload(4, "a"));
    assert!(follow.ask(3, now, &mut asks));
    follow.arrived(payload(5, "b"));
    follow.arrived(payload(3, "c")); // not behind, but comes after a
    assert!(!follow.ask(3, now + WAIT / 2, &mut asks), "one is out");
    assert_eq!(texts(&mut follow, 3, now), Vec::<Bytes>::new());
    assert_eq!(texts(&mut follow, 4, now), ["a"]);
    assert_eq!(texts(&mut follow, 5, now), ["b", "c"]);
}

#[test]
fn an_answer_makes_room_for_a_request_about_a_later_version() {
    let (mut follow, mut asks, now) = fresh(1000);
    follow.arrived(heartbeat(4));
    assert!(follow.ask(3, now, &mut asks));
    follow.answered();
    assert!(!follow.ask(3, now + WAIT / 2, &mut asks), "the keeper may need a moment");
    follow.arrived(heartbeat(5));
    assert!(follow.ask(3, now + WAIT / 2, &mut asks));
    assert!(!follow.ask(3, now + WAIT, &mut asks));
    assert!(follow.ask(3, now + WAIT / 2 + WAIT, &mut asks), "an unanswered request lapses");
    follow.answered();
    assert!(!follow.ask(5, now + 3 * WAIT, &mut asks), "no longer behind");
}

#[test]
fn of_several_links_one_asks_at_a_time() {
    let (mut one, mut asks, now) = fresh(1000);
    let (mut other, _, _) = fresh(1000);
    one.arrived(heartbeat(4));
    other.arrived(heartbeat(4));
    assert!(one.ask(3, now, &mut asks));
    assert!(!other.ask(3, now + WAIT / SPACING - MS, &mut asks));
    assert!(other.ask(3, now + WAIT / SPACING, &mut asks));
    one.answered();
    one.arrived(heartbeat(5));
    assert!(one.ask(3, now + WAIT / SPACING, &mut asks), "a later version is another question");
}

#[test]
fn a_ring_that_does_not_come_is_waited_for_once() {
    let (mut follow, mut asks, now) = fresh(1000);
    follow.arrived(payload(4, "a"));
    assert!(follow.next(3, now).is_none());
    follow.arrived(payload(6, "b"));
    assert!(follow.next(3, now + WAIT - MS).is_none());
    assert!(follow.next(3, now + WAIT).unwrap().missed);
    assert!(!follow.next(3, now + WAIT).unwrap().missed);
    follow.arrived(payload(5, "c"));
    assert!(follow.ask(3, now + WAIT, &mut asks), "it goes on asking");
    assert_eq!(texts(&mut follow, 3, now + WAIT), ["c"], "but not waiting");
    follow.arrived(payload(7, "d"));
    assert!(follow.next(3, now + WAIT).is_none(), "a later version gets its own wait");
}

#[test]
fn what_may_wait_is_bounded() {
    let (mut follow, _, now) = fresh(100);
    follow.arrived(payload(4, &"x".repeat(90)));
    assert!(!follow.is_full());
    follow.arrived(payload(4, "y"));
    assert!(follow.is_full());
    texts(&mut follow, 4, now);
    assert!(!follow.is_full() && follow.held_bytes == 0);
}
