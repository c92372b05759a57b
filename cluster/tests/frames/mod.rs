//! Frames that together have every field there is, for the tests that compare them with docs/PROTOCOL.md.

use ringdial_cluster::log::{Epoch, Position};
use ringdial_cluster::ring::{Signature, Version};
use ringdial_cluster::wire::codes::ErrorCode;
use ringdial_cluster::wire::node::{
    Ack, Error, Failed, Gap, GapReason, GroupAck, HistoryAck, Limits, Message, MessageId, MoveReason, Moved,
    Name, NodeFrame, OnlineAck, PastGap, PastMessage, Presence, PresenceAck, Recovered, Recovery, Removed,
    RingPosition, Standing, Topics, Welcome,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A position as it is told.
const AT: Position = Position { epoch: Epoch::new(1), offset: 7 };

/// Frames of a client that together have all fields of the op; those that exclude each other are in different ones.
pub(crate) fn client_frames(op: &str) -> Vec<Value> {
    let since = json!({ "epoch": "00000000000000ff", "offset": 0 });
    let send =
        |to: Value| json!({ "op": "send", "ref": 1, "to": to, "data": null, "key": "k", "ephemeral": true });
    let history = |way: &str| json!({ "op": "history", "ref": 1, "group": "g", "epoch": "00000000000000ff", "limit": 1, way: 1 });
    match op {
        "hello" => vec![json!({ "op": op, "replaces": "s", "groups": ["g"], "resume": { "u:bob": since } })],
        "send" => {
            let to = [
                json!({ "user": "b" }),
                json!({ "users": ["b"] }),
                json!({ "group": "g" }),
                json!({ "all": true }),
                json!({ "match": { "class": 3 } }),
            ];
            to.into_iter().map(send).collect()
        }
        "join" => vec![json!({ "op": op, "ref": 1, "group": "g", "since": since, "presence": true })],
        "leave" | "presence" => vec![json!({ "op": op, "ref": 1, "group": "g" })],
        "history" => vec![history("after"), history("before")],
        "online" => vec![json!({ "op": op, "ref": 1, "users": ["b"] })],
        op => vec![json!({ "op": op })],
    }
}

/// Frames of a node that together have all their fields, and no field in all that need not be there.
pub(crate) fn node_frames() -> Vec<Value> {
    let reference = RawValue::from_string("1".into()).unwrap();
    let standing = |position, recovered| Standing::In { position, recovered };
    let (full, bare) = (standing(Some(AT), Recovery::Whole), standing(None, Recovery::Pending));
    let topics = [("u:bob", full)];
    let refused = [("u:bob", Standing::Refused { error: ErrorCode::Forbidden })];
    let error = Error::new(None, ErrorCode::BadRequest);
    let late = Error { retry_after_ms: Some(1), ..Error::new(Some(&*reference), ErrorCode::RateLimited) };
    let presence =
        |users, joined, left| NodeFrame::Presence(Presence { group: "g", count: 1, users, joined, left });
    let frames = [
        NodeFrame::Welcome(welcome(&topics)),
        NodeFrame::Welcome(welcome(&refused)),
        NodeFrame::Error(error),
        NodeFrame::Error(late),
        NodeFrame::Recovered(Recovered { topic: "u:bob", standing: full }),
        NodeFrame::Recovered(Recovered { topic: "u:bob", standing: bare }),
        NodeFrame::Removed(Removed { topic: "g:g" }),
        NodeFrame::Gap(Gap {
            topic: "u:bob",
            epoch: AT.epoch,
            after: 1,
            before: 3,
            reason: GapReason::Trimmed,
        }),
        presence(Some(&["a"]), &[], &[]),
        presence(None, &["a"], &["b"]),
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
    // A frame that is added has to be added above, or with the answers below.
    frames.iter().for_each(|frame| match frame {
        NodeFrame::Welcome(_) | NodeFrame::Error(_) | NodeFrame::Recovered(_) | NodeFrame::Gap(_) => {}
        NodeFrame::Presence(_) | NodeFrame::Moved(_) | NodeFrame::Ping | NodeFrame::Bye => {}
        NodeFrame::Ack(_) | NodeFrame::Group(_) | NodeFrame::Roster(_) => {}
        NodeFrame::Online(_) | NodeFrame::History(_) | NodeFrame::Removed(_) => {}
    });
    let id = MessageId { node: "n1", generation: 1, counter: 1 };
    let message = |name| Message { topic: "u:bob", name, from: "alice", data: "1", time: 1 }.to_json();
    let messages = [Name::Entry(AT), Name::Replayed(AT), Name::Origin(id)].map(message);
    let messages = messages.iter().map(|text| serde_json::from_str(text).unwrap());
    frames.iter().map(json_of).chain(messages).collect()
}

/// The answers to each op of a client, as [`node_frames`].
pub(crate) fn acks(reference: &RawValue) -> [(&'static str, Vec<NodeFrame<'_>>); 6] {
    const FAILED: &[Failed] = &[Failed { user: String::new(), code: ErrorCode::Unavailable }];
    let reference = Some(reference);
    let send = |online, position, failed| NodeFrame::Ack(Ack { reference, online, position, failed });
    let group =
        |position, recovered| NodeFrame::Group(GroupAck { reference, topic: "g:g", position, recovered });
    let roster =
        |users, settling| NodeFrame::Roster(PresenceAck { reference, group: "g", count: 1, users, settling });
    let online = |settling| NodeFrame::Online(OnlineAck { reference, online: &["a"], settling });
    let join = Some(Recovery::Whole);
    [
        ("send", vec![send(Some(1), Some(AT), &[]), send(None, None, FAILED)]),
        ("join", vec![group(Some(AT), join), group(None, join)]),
        ("leave", vec![group(Some(AT), None), group(None, None)]),
        ("presence", vec![roster(Some(&["a"]), true), roster(None, false)]),
        ("online", vec![online(true), online(false)]),
        ("history", vec![page(reference, true), page(reference, false)]),
    ]
}

fn page(reference: Option<&RawValue>, full: bool) -> NodeFrame<'_> {
    const ENTRY: &[PastMessage<'_>] = &[PastMessage { offset: 1, from: "", data: RawValue::NULL, time: 1 }];
    NodeFrame::History(HistoryAck {
        reference,
        topic: "g:g",
        position: full.then_some(AT),
        first: full.then_some(1),
        entries: ENTRY,
        more: full,
        gap: full.then_some(PastGap { after: 1, before: 3 }),
        lost: full,
    })
}

fn welcome<'a>(topics: &'a [(&'a str, Standing)]) -> Welcome<'a> {
    Welcome {
        session: "",
        user: "",
        node: "",
        ring: position(),
        heartbeat_ms: 1,
        retry_spread_ms: 1,
        limits: Limits {
            message_bytes: 1,
            sends_per_second: 1,
            sends_burst: 1,
            users_per_send: 1,
            groups: 1,
        },
        topics: Topics(topics),
    }
}

pub(crate) fn json_of(frame: &NodeFrame<'_>) -> Value {
    serde_json::from_str(&frame.to_json()).unwrap()
}

pub(crate) fn position() -> RingPosition {
    RingPosition { version: Version { term: 1, number: 2 }, signature: Signature::new(3) }
}
