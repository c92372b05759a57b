//! docs/PROTOCOL.md says what this crate does: frames and their fields, codes, limits, the ring document.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod document;

use std::collections::{BTreeMap, BTreeSet};

use document::{fields, table};
use ringdial_cluster::grant::{Grant, Retry};
use ringdial_cluster::limits;
use ringdial_cluster::ring::{
    ALGORITHM, MEMBERS_MAX, Member, MemberState, Policy, Ring, RingKey, SERVICE_BYTES_MAX, Signature,
    Version, public_document,
};
use ringdial_cluster::tokens::{CLOCK_LEEWAY_S, TICKET_BYTES_MAX};
use ringdial_cluster::wire::client::ClientFrame;
use ringdial_cluster::wire::codes::{CloseCode, ClosePolicy, ErrorCode};
use ringdial_cluster::wire::node::{
    Ack, Error, Failed, Limits, Message, MessageId, MoveReason, Moved, NodeFrame, RingPosition, Welcome,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Where the ops of clients are read: the one list of them that there is.
const CLIENT_SOURCE: &str = include_str!("../src/wire/client.rs");

#[test]
fn close_codes_with_reasons_and_policies() {
    let told: Vec<_> = table("close codes")
        .into_iter()
        .map(|row| [row[0].clone(), row[1].clone(), row[2].clone()])
        .collect();
    let policy = |code: &CloseCode| match code.policy() {
        ClosePolicy::LookUpNow => "look up now",
        ClosePolicy::BackOff => "back off",
        ClosePolicy::Stop => "stop",
    };
    let row = |code: &CloseCode| [code.code().to_string(), code.reason().to_owned(), policy(code).to_owned()];
    assert_eq!(told, CloseCode::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn error_codes_with_what_they_mean_for_the_client() {
    let told: Vec<_> = table("error codes")
        .into_iter()
        .map(|row| [row[0].clone(), row[1].clone(), row[2].clone()])
        .collect();
    let row = |code: &ErrorCode| {
        let closes = code.close().map_or(String::new(), |close| close.code().to_string());
        [code.code().to_owned(), yes(code.temporary()).to_owned(), closes]
    };
    assert_eq!(told, ErrorCode::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn ops_of_clients() {
    let arms = CLIENT_SOURCE.split_once("match &*fields.op {").unwrap().1.split_once("_ =>").unwrap().0;
    let patterns: String = arms
        .lines()
        .filter(|line| line.contains("=>"))
        .map(|line| line.split("=>").next().unwrap())
        .collect();
    let in_code: BTreeSet<String> = patterns.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let told: BTreeSet<String> = [table("client frames"), table("unsupported ops")]
        .concat()
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(told, in_code);
    for row in table("unsupported ops") {
        let frame = json!({ "op": row[0], "ref": 1 }).to_string();
        assert!(matches!(ClientFrame::parse(&frame), Ok(ClientFrame::NotSupported { .. })), "{row:?}");
    }
}

/// A field is read if the frame is refused when the field has a wrong type; required, if it is refused without it.
#[test]
fn fields_of_clients_frames() {
    let whole = |op: &str| match op {
        "hello" => json!({ "op": "hello", "replaces": "s1" }),
        "send" => json!({ "op": "send", "ref": "r1", "to": { "user": "bob" }, "data": null }),
        op => json!({ "op": op }),
    };
    for (op, told) in by_op(table("client frames")) {
        let names = told.iter().map(|row| row[1].replace("to", "to.user")).filter(|name| !name.is_empty());
        let expected: BTreeSet<String> = names.chain(["op".to_owned()]).collect();
        assert_eq!(fields(&whole(&op)), expected, "{op}");
        assert!(ClientFrame::parse(&whole(&op).to_string()).is_ok(), "{op}");
        for row in told.iter().filter(|row| !row[1].is_empty()) {
            let mut without = whole(&op);
            without.as_object_mut().unwrap().remove(&row[1]);
            assert_eq!(
                ClientFrame::parse(&without.to_string()).is_err(),
                row[3] == "yes",
                "{op} without {}",
                row[1]
            );
            let mut wrong = whole(&op);
            wrong[&row[1]] = json!([[]]);
            let any = row[2] == "any JSON";
            assert_eq!(ClientFrame::parse(&wrong.to_string()).is_ok(), any, "{op} with a wrong {}", row[1]);
        }
    }
}

#[test]
fn fields_of_nodes_frames() {
    let (full, least) = (node_frames(true), node_frames(false));
    let told = by_op(table("node frames"));
    assert_eq!(told.keys().collect::<Vec<_>>(), full.keys().collect::<Vec<_>>());
    for (op, rows) in told {
        let with = |present: &[&str]| -> BTreeSet<String> {
            let rows = rows.iter().filter(|row| present.contains(&row[3].as_str()));
            rows.map(|row| row[1].clone()).chain(["op".to_owned()]).collect()
        };
        assert_eq!(fields(&full[&op]), with(&["always", "sometimes"]), "{op}");
        assert_eq!(fields(&least[&op]), with(&["always"]), "{op}");
    }
}

#[test]
fn the_answer_to_a_lookup() {
    let grant = Grant {
        id: String::new(),
        service: String::new(),
        node: String::new(),
        url: String::new(),
        ticket: String::new(),
        protocols: Default::default(),
        expires_in_ms: 0,
        ring: position(),
        retry: Retry::default(),
    };
    assert_eq!(first_cells("lookup answer"), fields(&serde_json::to_value(grant).unwrap()));
}

#[test]
fn the_ring_document() {
    let member = Member {
        id: "n1".into(),
        generation: 1,
        url: "ws://n1/ws".into(),
        peer: "n1:1".into(),
        weight: 100,
        state: MemberState::Active,
    };
    let ring = Ring::genesis("default", RingKey::new([0; 16]), Policy::Balanced).join(member).unwrap();
    let document = public_document(&ring);
    assert_eq!(first_cells("ring document"), fields(&document));
    assert_eq!(document["holders"], json!([[0, 65_536]]));
    let algorithm = table("ring document").into_iter().find(|row| row[0] == "algorithm").unwrap();
    assert!(algorithm[2].starts_with(ALGORITHM));
}

#[test]
fn limits_are_those_of_the_code() {
    let told: Vec<(String, String)> =
        table("limits").into_iter().map(|row| (row[0].clone(), row[1].replace(',', ""))).collect();
    let in_code = [
        ("bytes of a user's id", limits::ID_BYTES_MAX as u64),
        ("bytes of a service's name", SERVICE_BYTES_MAX as u64),
        ("bytes of a client's message", limits::MESSAGE_BYTES_MAX as u64),
        ("users of one send", limits::USERS_PER_SEND_MAX as u64),
        ("sessions of a user at a node", limits::SESSIONS_PER_USER_MAX as u64),
        ("sends a second of a session", limits::SENDS_PER_SECOND.into()),
        ("sends at once of a session", limits::SENDS_BURST.into()),
        ("frames a second of a connection", limits::frames_per_second(limits::SENDS_PER_SECOND).into()),
        ("frames at once of a connection", limits::frames_burst(limits::SENDS_BURST).into()),
        ("bytes that wait for a client", limits::OUTBOUND_BYTES_MAX as u64),
        ("bytes of a ticket", TICKET_BYTES_MAX as u64),
        ("seconds that clocks may differ for a ticket", CLOCK_LEEWAY_S),
        ("nodes of a service", MEMBERS_MAX as u64),
    ];
    assert_eq!(told, in_code.map(|(name, limit)| (name.to_owned(), limit.to_string())));
}

/// Every frame of a node by its op, with all its fields or with the fewest.
fn node_frames(full: bool) -> BTreeMap<String, Value> {
    let reference = RawValue::from_string("1".into()).unwrap();
    let failed = [Failed { user: "bob".into(), code: ErrorCode::Unavailable }];
    let limits = Limits { message_bytes: 1, sends_per_second: 1, sends_burst: 1, users_per_send: 1 };
    let mut error = Error::new(full.then_some(&*reference), ErrorCode::RateLimited);
    error.retry_after_ms = full.then_some(1);
    let frames = [
        NodeFrame::Welcome(Welcome {
            session: "",
            user: "",
            node: "",
            ring: position(),
            heartbeat_ms: 1,
            retry_spread_ms: 1,
            limits,
        }),
        NodeFrame::Ack(Ack {
            reference: Some(&reference),
            online: full.then_some(1),
            failed: if full { &failed } else { &[] },
        }),
        NodeFrame::Error(error),
        NodeFrame::Moved(Moved {
            node: "",
            url: "",
            protocols: Default::default(),
            deadline_ms: 1,
            spread_ms: 1,
            reason: MoveReason::Home,
        }),
        NodeFrame::Ping,
        NodeFrame::Bye,
    ];
    // A frame that is added has to be added above.
    frames.iter().for_each(|frame| match frame {
        NodeFrame::Welcome(_) | NodeFrame::Ack(_) | NodeFrame::Error(_) | NodeFrame::Moved(_) => {}
        NodeFrame::Ping | NodeFrame::Bye => {}
    });
    let id = MessageId { node: "n1", generation: 1, counter: 1 };
    let message = Message { topic: "u:bob", id, from: "alice", data: "1", time: 1 }.to_json();
    let texts = frames.iter().map(NodeFrame::to_json).chain([message]);
    let values = texts.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    values.map(|value| (value["op"].as_str().unwrap().to_owned(), value)).collect()
}

fn position() -> RingPosition {
    RingPosition { version: Version { term: 1, number: 2 }, signature: Signature::new(3) }
}

fn by_op(rows: Vec<Vec<String>>) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut by_op: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    rows.into_iter().for_each(|row| by_op.entry(row[0].clone()).or_default().push(row));
    by_op
}

fn first_cells(name: &str) -> BTreeSet<String> {
    table(name).into_iter().map(|row| row[0].clone()).collect()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
