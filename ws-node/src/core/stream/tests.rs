//! What a stream asks of the log next, and what it forgets with the answer.

use cluster::homes::Requests;
use cluster::log::Epoch;
use cluster::ring::{Policy, Ring, RingKey};

use super::*;

fn at(epoch: u64, offset: u64) -> Position {
    Position { epoch: Epoch::new(epoch), offset }
}

fn message(number: u64, bytes: usize) -> Waiting {
    Waiting {
        request: Requests::default().open((), 1, 0),
        origin: ("n1".into(), 1, number),
        from: "alice".into(),
        key: number.to_string().into(),
        data: vec![b' '; bytes].into(),
        due_ms: number,
    }
}

fn next(stream: &Stream) -> Option<LogRequest> {
    let ring = Ring::genesis("default", RingKey::new([0; 16]), Policy::Balanced);
    stream.next(&"u:bob".into(), Slot::new(0), Fence::of(&ring), Some(Retention::default()))
}

fn sent(stream: &mut Stream) {
    let batch = next(stream).map_or(0, |request| request.message_count());
    stream.sent(batch);
}

fn keys(request: Option<LogRequest>) -> Vec<String> {
    match request {
        Some(LogRequest::Append { messages, .. }) => messages.iter().map(|m| m.key.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn known(stream: &Stream) -> Option<Position> {
    match next(stream) {
        Some(LogRequest::Open { known, .. } | LogRequest::Append { known, .. }) => known,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_request_is_out_and_failed_messages_come_first_again() {
    let mut stream = Stream::default();
    (0..3).for_each(|number| stream.push(message(number, 1)));
    assert_eq!(keys(next(&stream)), ["0", "1", "2"]);
    sent(&mut stream);
    stream.push(message(3, 1));
    assert_eq!(next(&stream), None);
    stream.failed();
    assert_eq!(keys(next(&stream)), ["0", "1", "2", "3"]);
    sent(&mut stream);
    assert_eq!(stream.appended(at(1, 4)).len(), 4);
    assert!(!stream.is_busy());
}

#[test]
fn batches_are_bounded_in_bytes_and_take_one_large_message() {
    let mut stream = Stream::default();
    stream.push(message(0, BATCH_BYTES_MAX + 1));
    (1..4).for_each(|number| stream.push(message(number, BATCH_BYTES_MAX / 2)));
    assert_eq!(keys(next(&stream)), ["0"]);
    sent(&mut stream);
    stream.appended(at(1, 1));
    assert_eq!(keys(next(&stream)), ["1", "2"]);
    (4..1_000).for_each(|number| stream.push(message(number, 0)));
    sent(&mut stream);
    stream.appended(at(1, 3));
    assert_eq!(keys(next(&stream)).len(), BATCH_MESSAGES_MAX);
}

#[test]
fn what_followers_know_is_told_to_the_log_until_it_has_answered() {
    let mut stream = Stream::default();
    assert_eq!(stream.stands_for(Some(at(1, 5)), false), None);
    stream.learn(Some(at(1, 4)));
    assert_eq!(known(&stream), Some(at(1, 5)));
    open(&mut stream, at(1, 6));
    assert_eq!(stream.stands_for(Some(at(1, 6)), false), stream.position);
    assert_eq!(stream.stands_for(Some(at(2, 9)), false), stream.position, "the home's word counts");
    assert_eq!(stream.stands_for(Some(at(1, 7)), false), None, "more than was passed on: ask");
    assert_eq!(known(&stream), Some(at(1, 7)));
    open(&mut stream, at(1, 7));
    assert_eq!(stream.stands_for(None, false), Some(at(1, 7)));
    assert_eq!(stream.stands_for(None, true), None);
}

#[test]
fn what_comes_to_be_doubted_while_the_log_is_asked_is_asked_again() {
    let mut stream = Stream::default();
    sent(&mut stream);
    assert_eq!(stream.stands_for(Some(at(1, 9)), false), None);
    stream.opened(at(1, 3));
    stream.position = Some(at(1, 3));
    assert_eq!(known(&stream), Some(at(1, 9)));
    open(&mut stream, at(2, 0));
    stream.doubt();
    sent(&mut stream);
    assert_eq!(stream.stands_for(None, false), None, "the log will say");
    stream.doubt();
    stream.opened(at(2, 0));
    assert!(next(&stream).is_some());
}

#[test]
fn what_is_known_of_several_epochs_is_kept_until_the_log_tells_which_one_counts() {
    let mut stream = Stream::default();
    stream.learn(Some(at(1, 9)));
    stream.learn(Some(at(2, 5)));
    stream.learn(Some(at(2, 4)));
    sent(&mut stream);
    stream.opened(at(2, 3));
    stream.position = Some(at(2, 3));
    assert_eq!(known(&stream), Some(at(2, 5)));
}

#[test]
fn what_was_not_confirmed_may_have_been_done() {
    let mut stream = Stream { position: Some(at(1, 1)), ..Stream::default() };
    stream.push(message(0, 1));
    sent(&mut stream);
    stream.failed();
    assert_eq!(stream.take_overdue(9).len(), 1);
    assert!(matches!(next(&stream), Some(LogRequest::Open { .. })));
}

fn open(stream: &mut Stream, position: Position) {
    sent(stream);
    stream.opened(position);
    stream.position = Some(position);
}

#[test]
fn messages_are_given_up_when_they_are_due() {
    let mut stream = Stream::default();
    let from = |from: &str, number| Waiting { from: from.into(), ..message(number, 1) };
    (0..4).for_each(|number| stream.push(from(&format!("user{number}"), number)));
    assert_eq!(stream.take_overdue(1).len(), 2);
    assert_eq!(keys(next(&stream)), ["2", "3"]);
}

#[test]
fn what_was_sent_behind_a_message_that_is_given_up_is_given_up_with_it() {
    let mut stream = Stream::default();
    let by = |node: &str, from: &str, number| {
        let origin = (node.into(), 1, number);
        Waiting { origin, from: from.into(), ..message(number, 1) }
    };
    // alice's node is gone, or deaf to her: she sends again, by another one.
    for (node, from, number) in
        [("n1", "bob", 5), ("n1", "alice", 1), ("n1", "bob", 6), ("n1", "alice", 7), ("n2", "alice", 8)]
    {
        stream.push(by(node, from, number));
    }
    let given_up: Vec<String> =
        stream.take_overdue(1).iter().map(|message| message.key.to_string()).collect();
    assert_eq!(given_up, ["1", "7"]);
    assert_eq!(keys(next(&stream)), ["5", "6", "8"]);
}
