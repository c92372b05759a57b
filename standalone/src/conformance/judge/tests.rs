//! Records in, findings out: what each judge sees in a few events.

use std::collections::BTreeMap;

use cluster::log::{Epoch, Position};
use cluster::wire::client::Since;

use super::*;
use crate::conformance::record::{Answer, ConnId, Echo, Heard, Said, TicketUse, What};

/// A record of events at their times, in one scene.
fn record(scene: Scene, events: impl IntoIterator<Item = (Ms, What)>) -> Record {
    let mut record = Record::default();
    record.add(0, What::Scene { scene, first: 1 });
    for (at, what) in events {
        record.add(at, what);
    }
    record
}

/// What is said of a rule after these events.
fn of(rule: Rule, scene: Scene, events: impl IntoIterator<Item = (Ms, What)>) -> Outcome {
    outcome(rule, &judge(&record(scene, events), 60_000))
}

fn is_broken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Broken { .. })
}

fn opened(conn: ConnId) -> What {
    What::Opened { conn, node: "n1", ticket: TicketUse::Fresh }
}

fn heard(conn: ConnId, heard: Heard) -> What {
    What::Heard { conn, heard }
}

fn said(conn: ConnId, said: Said) -> What {
    What::Said { conn, said }
}

fn hello(resume: &[(&str, u64)]) -> Heard {
    let since = |(topic, offset): &(&str, u64)| {
        ((*topic).to_owned(), Since { epoch: Some(Epoch::new(1)), offset: *offset })
    };
    Heard::Hello {
        replaces: None,
        groups: Vec::new(),
        resume: resume.iter().map(since).collect::<BTreeMap<_, _>>(),
    }
}

fn at(offset: u64) -> Position {
    Position { epoch: Epoch::new(1), offset }
}

fn echo(conn: ConnId, n: u64, key: &str) -> What {
    let (reference, key) = (Some(format!("{n}")), Some(key.to_owned()));
    heard(conn, Heard::Send { reference, key, echo: Some(Echo::Message(n)), ephemeral: false })
}

fn published(n: u64) -> What {
    What::Published { topic: "u:me".into(), n, durable: true }
}

fn lookup() -> What {
    What::Lookup { answer: Answer::Granted { node: "n1" }, token: None, avoid: Vec::new() }
}

fn ended(conn: ConnId) -> What {
    What::Ended { conn, code: Some(1000) }
}

#[test]
fn hello_comes_first_once_and_in_time() {
    let judged =
        |events: Vec<(Ms, What)>| of(Rule::Hello, Scene::Begin, [(0, opened(1))].into_iter().chain(events));
    let online = Heard::Request { reference: None, group: None, joins: false };
    assert_eq!(judged(vec![(5, heard(1, Heard::Pong)), (9, heard(1, hello(&[])))]), Outcome::Ok);
    assert!(is_broken(&judged(vec![(5, heard(1, online)), (9, heard(1, hello(&[])))])));
    assert!(is_broken(&judged(vec![(5, heard(1, hello(&[]))), (9, heard(1, hello(&[])))])));
    assert!(is_broken(&judged(vec![(10_001, heard(1, hello(&[])))])));
    assert!(is_broken(&judged(vec![])));
    assert_eq!(judged(vec![(9, ended(1))]), Outcome::NotSeen);
}

#[test]
fn two_sockets_are_a_move_and_three_are_too_many() {
    let three = [(0, opened(1)), (1, opened(2)), (2, opened(3))];
    assert!(is_broken(&of(Rule::Sockets, Scene::Begin, three)));
    let one_after_the_other = [(0, opened(1)), (1, opened(2)), (2, ended(1)), (3, opened(3))];
    assert_eq!(of(Rule::Sockets, Scene::Begin, one_after_the_other), Outcome::Ok);
    // What the checker closes is the client's no longer, even if its answer is still on its way.
    let closing =
        [(0, opened(1)), (1, opened(2)), (2, What::Closing { conn: 1, code: 4101 }), (3, opened(3))];
    assert_eq!(of(Rule::Sockets, Scene::Begin, closing), Outcome::Ok);
}

#[test]
fn what_is_no_frame_breaks_the_rule_of_frames() {
    let wrong = What::Wrong { conn: 1, what: "bad_json".into() };
    let Outcome::Broken { seen, times } = of(Rule::Frames, Scene::Begin, [(0, opened(1)), (1, wrong)]) else {
        panic!("not found");
    };
    assert_eq!((seen.as_str(), times), ("on connection 1: bad_json", 1));
}

#[test]
fn a_message_comes_once_in_order_and_not_never() {
    let judged = |rule, echoes: Vec<What>| {
        let events = [published(1), published(2)].into_iter().chain(echoes);
        of(rule, Scene::Begin, events.enumerate().map(|(at, what)| (at as Ms, what)))
    };
    let good = || vec![echo(1, 1, "a"), echo(1, 2, "b")];
    for rule in [Rule::Once, Rule::Order, Rule::Arrives] {
        assert_eq!(judged(rule, good()), Outcome::Ok, "{rule:?}");
    }
    assert!(is_broken(&judged(Rule::Order, vec![echo(1, 2, "b"), echo(1, 1, "a")])));
    assert!(is_broken(&judged(Rule::Arrives, vec![echo(1, 1, "a")])));
    assert!(is_broken(&judged(Rule::Once, vec![echo(1, 1, "a"), echo(1, 2, "b"), echo(1, 2, "c")])));
}

#[test]
fn a_repetition_is_no_second_delivery() {
    let again = |second: What| {
        let events = vec![(0, published(1)), (1, echo(1, 1, "a")), (2, ended(1)), (3, second)];
        move |rule| of(rule, Scene::Begin, events.clone())
    };
    let same = again(echo(2, 1, "a"));
    assert_eq!((same(Rule::Once), same(Rule::SameKey)), (Outcome::Ok, Outcome::Ok));
    let other = again(echo(2, 1, "b"));
    assert_eq!(other(Rule::Once), Outcome::Ok);
    assert!(is_broken(&other(Rule::SameKey)));
    let late = [(0, What::Late { n: 1 }), (1, echo(1, 1, "a"))];
    assert!(is_broken(&of(Rule::Once, Scene::Begin, late)));
    // Acknowledged, it was not to be repeated: so the application was given the message again.
    let answered = [
        (0, published(1)),
        (1, echo(1, 1, "a")),
        (2, said(1, Said::Ack { reference: Some("1".into()) })),
        (3, echo(2, 1, "b")),
    ];
    assert!(is_broken(&of(Rule::Once, Scene::Begin, answered)));
}

#[test]
fn waits_that_are_alike_are_not_random() {
    let run = |waits: [Ms; 6]| {
        let mut now = 0;
        let mut events = Vec::new();
        for (i, wait) in waits.into_iter().enumerate() {
            let conn = ConnId::try_from(i).unwrap() + 1;
            let end = if i % 2 == 0 { What::Closing { conn, code: 4199 } } else { What::Cut { conn } };
            events.push((now, end));
            now += wait;
            events.push((now, lookup()));
        }
        move |rule| of(rule, Scene::BackOff, events.clone())
    };
    let random = run([40, 700, 1_100, 300, 20, 650]);
    for rule in [Rule::BackOff, Rule::Lost, Rule::Jitter] {
        assert_eq!(random(rule), Outcome::Ok, "{rule:?}");
    }
    assert!(is_broken(&run([600, 640, 610, 600, 655, 620])(Rule::Jitter)));
    let never = run([3, 500, 9, 900, 2, 100]);
    assert!(is_broken(&never(Rule::BackOff)) && never(Rule::Lost) == Outcome::Ok);
    assert!(is_broken(&run([100, 9_000, 300, 200, 700, 600])(Rule::Lost)));
}

#[test]
fn a_closed_client_is_quiet() {
    let judged =
        |rule, rest: Vec<(Ms, What)>| of(rule, Scene::Close, [(0, What::Stop)].into_iter().chain(rest));
    assert_eq!(judged(Rule::Quiet, vec![(5, ended(1))]), Outcome::Ok);
    assert_eq!(judged(Rule::CloseFrame, vec![(5, ended(1))]), Outcome::Ok);
    assert!(is_broken(&judged(Rule::Quiet, vec![(5, ended(1)), (900, lookup())])));
    assert!(is_broken(&judged(Rule::Quiet, vec![])));
    assert!(is_broken(&judged(Rule::CloseFrame, vec![(5, What::Ended { conn: 1, code: None })])));
}

#[test]
fn hello_names_what_follows_from_what_was_said() {
    let topic = || "u:me".to_owned();
    let welcome = |head| Said::Welcome { session: "s".into(), topics: vec![(topic(), head)] };
    let judged = |rule, said_then: Vec<Said>, named: &[(&str, u64)]| {
        let before = said_then.into_iter().map(|it| said(1, it));
        let events = before.chain([heard(2, hello(named))]);
        of(rule, Scene::Resume, events.enumerate().map(|(at, what)| (at as Ms, what)))
    };
    let message = |offset| Said::Message { topic: topic(), position: at(offset) };
    let gap = |offset| Said::Gap { topic: topic(), position: at(offset) };
    let said_then = || vec![welcome(Some(at(3))), message(4), message(4), gap(9)];
    assert_eq!(judged(Rule::Resume, said_then(), &[("u:me", 9)]), Outcome::Ok);
    assert!(is_broken(&judged(Rule::Resume, said_then(), &[("u:me", 4)])));
    assert!(is_broken(&judged(Rule::Resume, said_then(), &[])));
    let pending = || vec![welcome(Some(at(3))), welcome(None)];
    assert_eq!(judged(Rule::Pending, pending(), &[("u:me", 3)]), Outcome::Ok);
    assert!(is_broken(&judged(Rule::Pending, pending(), &[])));
    assert_eq!(judged(Rule::Resume, pending(), &[]), Outcome::NotSeen);
}

#[test]
fn the_head_is_no_position_of_a_client_that_asked_for_everything() {
    let topic = || "u:me".to_owned();
    let all = || Heard::Hello {
        replaces: None,
        groups: Vec::new(),
        resume: BTreeMap::from([(topic(), Since { epoch: None, offset: 0 })]),
    };
    let judged = |head, then: Option<u64>, next: Heard| {
        let welcome = Said::Welcome { session: "s".into(), topics: vec![(topic(), Some(at(head)))] };
        let message = then.map(|offset| said(1, Said::Message { topic: topic(), position: at(offset) }));
        let events = [heard(1, all()), said(1, welcome)].into_iter().chain(message).chain([heard(2, next)]);
        of(Rule::Resume, Scene::Resume, events.enumerate().map(|(at, what)| (at as Ms, what)))
    };
    assert_eq!(judged(3, None, all()), Outcome::NotSeen, "nothing of it has come");
    assert_eq!(judged(3, Some(4), hello(&[("u:me", 4)])), Outcome::Ok);
    assert!(is_broken(&judged(3, Some(4), all())));
    assert_eq!(judged(0, None, hello(&[("u:me", 0)])), Outcome::Ok);
    assert!(is_broken(&judged(0, None, all())), "there was nothing, and what comes from now on is asked for");
}

#[test]
fn only_what_is_mandatory_and_was_played_decides() {
    let findings = [broken(Rule::CloseFrame, "cut")];
    assert!(behaved(&findings, &[]));
    assert!(!behaved(&findings, &[Scene::Close]), "`quiet` was not seen");
    let quiet = [broken(Rule::CloseFrame, "cut"), kept(Rule::Quiet)];
    assert!(behaved(&quiet, &[Scene::Close]));
    assert!(!behaved(&[broken(Rule::Sockets, "three")], &[Scene::Close]));
}

/// A move as it should be, of a client with two sends under way.
fn moved() -> Vec<What> {
    let new_hello =
        Heard::Hello { replaces: Some("old".into()), groups: Vec::new(), resume: BTreeMap::new() };
    let welcome = |session: &str| Said::Welcome { session: session.into(), topics: Vec::new() };
    vec![
        opened(1),
        heard(1, hello(&[])),
        said(1, welcome("old")),
        echo(1, 1, "a"),
        echo(1, 2, "b"),
        said(1, Said::Moved { node: "n2", spread_ms: 300 }),
        What::Opened { conn: 2, node: "n2", ticket: TicketUse::Fresh },
        heard(2, new_hello),
        said(2, welcome("new")),
        echo(2, 1, "a"),
        echo(2, 2, "b"),
        said(2, Said::Recovered { topic: "u:me".into() }),
        heard(1, Heard::Detach),
        ended(1),
    ]
}

/// What is said of a rule when the events of [`moved`] are changed.
fn of_move(rule: Rule, change: impl FnOnce(&mut Vec<What>)) -> Outcome {
    let mut events = moved();
    change(&mut events);
    of(rule, Scene::Move, events.into_iter().enumerate().map(|(at, what)| (at as Ms, what)))
}

#[test]
fn a_move_makes_before_it_breaks() {
    let rules = [
        Rule::MoveFollowed,
        Rule::MoveSocket,
        Rule::MoveReplaces,
        Rule::MoveRepeats,
        Rule::MoveDetach,
        Rule::Sockets,
    ];
    for rule in rules {
        assert_eq!(of_move(rule, |_| {}), Outcome::Ok, "{rule:?}");
    }
    // The old one ends before the new one has its welcome; or there never is a new one.
    assert!(is_broken(&of_move(Rule::MoveSocket, |events| events.insert(7, ended(1)))));
    let alone = |events: &mut Vec<What>| drop(events.splice(6.., [ended(1), lookup(), opened(2)]));
    assert!(is_broken(&of_move(Rule::MoveSocket, alone)) && is_broken(&of_move(Rule::MoveFollowed, alone)));
    // A client that does not move at all only does not do what it should.
    let stays = |events: &mut Vec<What>| events.truncate(6);
    assert!(is_broken(&of_move(Rule::MoveFollowed, stays)));
    assert_eq!(of_move(Rule::MoveSocket, stays), Outcome::NotSeen);
}

#[test]
fn what_is_unanswered_is_repeated_in_order_before_detach() {
    let swapped = |events: &mut Vec<What>| events.swap(9, 10);
    let forgotten = |events: &mut Vec<What>| drop(events.remove(10));
    let another = |events: &mut Vec<What>| events[10] = echo(2, 2, "c");
    let late = |events: &mut Vec<What>| events.swap(10, 12);
    for change in [swapped as fn(&mut Vec<What>), forgotten, another, late] {
        assert!(is_broken(&of_move(Rule::MoveRepeats, change)));
    }
    assert!(is_broken(&of_move(Rule::MoveDetach, |events| events.swap(11, 12))), "while pending");
    assert!(is_broken(&of_move(Rule::MoveDetach, |events| drop(events.remove(12)))), "closed instead");
}

#[test]
fn a_move_that_fails_changes_nothing() {
    let failed = |rest: Vec<What>| {
        let moved = said(1, Said::Moved { node: "n3", spread_ms: 300 });
        let events = [opened(1), moved].into_iter().chain(rest);
        of(Rule::FailedMove, Scene::FailedMove, events.enumerate().map(|(at, what)| (at as Ms, what)))
    };
    assert_eq!(failed(vec![echo(1, 1, "a")]), Outcome::Ok);
    assert!(is_broken(&failed(vec![lookup()])));
    assert!(is_broken(&failed(vec![ended(1)])));
}
