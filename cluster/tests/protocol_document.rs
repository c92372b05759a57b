//! docs/PROTOCOL.md says what this crate does: frames and their fields, codes, limits, the ring document.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod document;
mod frames;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use document::{fields, table};
use frames::{acks, client_frames, json_of, node_frames, position};
use ringdial_cluster::grant::{Grant, Retry};
use ringdial_cluster::limits;
use ringdial_cluster::log::{LogConfig, Retention};
use ringdial_cluster::ring::{
    ALGORITHM, MEMBERS_MAX, Member, MemberState, Policy, Ring, RingKey, SERVICE_BYTES_MAX, public_document,
};
use ringdial_cluster::tokens::{CLOCK_LEEWAY_S, TICKET_BYTES_MAX};
use ringdial_cluster::wire::client::ClientFrame;
use ringdial_cluster::wire::codes::{CloseCode, ClosePolicy, ErrorCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Where the ops of clients are read: the one list of them that there is.
const CLIENT_SOURCE: &str = include_str!("../src/wire/client/fields.rs");

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
    let arms = CLIENT_SOURCE.split_once("match &*self.op {").unwrap().1.split_once("_ =>").unwrap().0;
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
    for (op, told) in by_op(table("client frames")) {
        let wholes = client_frames(&op);
        let known: BTreeSet<String> = wholes.iter().flat_map(named_fields).collect();
        let names = told.iter().map(|row| row[1].clone()).filter(|name| !name.is_empty());
        assert_eq!(known, names.chain(["op".to_owned()]).collect(), "{op}");
        for whole in wholes {
            assert!(ClientFrame::parse(&whole.to_string()).is_ok(), "{whole}");
            told.iter().for_each(|row| assert_field(&whole, row));
        }
    }
}

#[test]
fn fields_of_nodes_frames() {
    assert_fields("node frames", &by_name(node_frames(), |frame| &frame["op"]));
}

#[test]
fn fields_of_answers() {
    let reference = RawValue::from_string("1".into()).unwrap();
    let answers = acks(&reference).map(|(to, frames)| {
        let frames: Vec<Value> = frames.iter().map(json_of).collect();
        assert!(frames.iter().all(|frame| frame["op"] == "ack" && frame["ref"] == 1));
        (to.to_owned(), frames)
    });
    assert_fields("answers", &BTreeMap::from(answers));
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
        ("bytes of a user's id, of a group's name, of a key", limits::ID_BYTES_MAX as u64),
        ("bytes of a service's name", SERVICE_BYTES_MAX as u64),
        ("bytes of a client's message", limits::MESSAGE_BYTES_MAX as u64),
        ("users of one send, or of one online", limits::USERS_PER_SEND_MAX as u64),
        ("attributes of a match", limits::MATCH_ATTRIBUTES_MAX as u64),
        ("bytes of a match", limits::MATCH_BYTES_MAX as u64),
        ("sessions of a user at a node", limits::SESSIONS_PER_USER_MAX as u64),
        ("groups of a session", limits::GROUPS_PER_SESSION_MAX as u64),
        ("groups and topics of one hello", limits::TOPICS_PER_HELLO_MAX as u64),
        ("entries of a page of history", limits::HISTORY_LIMIT_MAX as u64),
        ("entries of a page of history, if limit is left out", limits::HISTORY_LIMIT as u64),
        ("bytes of data of a page of history", limits::HISTORY_BYTES_MAX as u64),
        ("users of a group who are named", limits::ROSTER_MAX as u64),
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

#[test]
fn what_the_log_keeps() {
    let told: Vec<(String, u64)> = table("limits of the log")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace(',', "").parse().unwrap()))
        .collect();
    let (log, seconds) = (LogConfig::default(), |at: usize| Duration::from_secs(told[at].1));
    let retention = Retention::new(u32::try_from(told[0].1).unwrap(), seconds(1)).unwrap();
    assert_eq!(retention, Retention::default(), "{told:?}");
    let in_code = [
        ("newest messages of a topic", told[0].1),
        ("seconds that a message is kept", told[1].1),
        ("seconds that a key is remembered", log.key_age.as_secs()),
        ("newest messages of a topic whose keys are remembered", log.key_messages.into()),
        ("seconds that a topic's epoch and head are remembered", log.position_age.as_secs()),
    ];
    assert_eq!(told, in_code.map(|(name, limit)| (name.to_owned(), limit)));
}

/// What the table says of a field is true of a frame that has it.
fn assert_field(whole: &Value, row: &[String]) {
    let name = row[1].replace("<topic>", "u:bob").replace("<attribute>", "class");
    let pointer = format!("/{}", name.replace('.', "/"));
    if name.is_empty() || whole.pointer(&pointer).is_none() {
        return;
    }
    let mut without = whole.clone();
    let (outer, inner) = pointer.rsplit_once('/').unwrap();
    without.pointer_mut(outer).unwrap().as_object_mut().unwrap().remove(inner);
    let required = row[3] != "no";
    assert_eq!(ClientFrame::parse(&without.to_string()).is_err(), required, "{whole} without {name}");
    let mut wrong = whole.clone();
    *wrong.pointer_mut(&pointer).unwrap() = json!([[]]);
    let any = row[2] == "any JSON";
    assert_eq!(ClientFrame::parse(&wrong.to_string()).is_ok(), any, "{whole} with a wrong {name}");
}

/// Fields are "always" there if they are in every one of an op's frames, "sometimes" if only in some.
fn assert_fields(name: &str, in_code: &BTreeMap<String, Vec<Value>>) {
    let told = by_op(table(name));
    assert_eq!(told.keys().collect::<Vec<_>>(), in_code.keys().collect::<Vec<_>>());
    for (op, frames) in in_code {
        let sets: Vec<BTreeSet<String>> = frames.iter().map(named_fields).collect();
        let all: BTreeSet<String> = sets.iter().flatten().cloned().collect();
        let row = |field: &String| {
            let always = sets.iter().all(|set| set.contains(field));
            (field.clone(), if always { "always" } else { "sometimes" }.to_owned())
        };
        let expected: BTreeMap<String, String> = all.iter().filter(|field| *field != "op").map(row).collect();
        let rows = told[op].iter().filter(|row| !row[1].is_empty());
        assert_eq!(
            rows.map(|row| (row[1].clone(), row[3].clone())).collect::<BTreeMap<_, _>>(),
            expected,
            "{op}"
        );
    }
}

fn by_name(frames: Vec<Value>, name: impl Fn(&Value) -> &Value) -> BTreeMap<String, Vec<Value>> {
    let mut by_name: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for frame in frames {
        by_name.entry(name(&frame).as_str().unwrap().to_owned()).or_default().push(frame);
    }
    by_name
}

/// Its fields; what stands for any topic, or any attribute, as the tables call it.
fn named_fields(frame: &Value) -> BTreeSet<String> {
    let named =
        |field: String| field.replace(".u:bob", ".<topic>").replace("match.class", "match.<attribute>");
    fields(frame).into_iter().map(named).collect()
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
