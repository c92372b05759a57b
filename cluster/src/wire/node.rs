//! Frames from node to client.

mod topic;

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::client::Reference;
use super::codes::ErrorCode;
use crate::log::{Epoch, Position};
use crate::ring::{Signature, Version};

/// What a `message` frame takes beside its texts, about.
const MESSAGE_BYTES: usize = 160;

pub use self::topic::{
    Gap, GapReason, GroupAck, HistoryAck, OnlineAck, PastGap, PastMessage, Presence, PresenceAck, Recovered,
    Recovery, Removed, Standing, Topics,
};

/// A frame to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum NodeFrame<'a> {
    /// The answer to `hello`.
    Welcome(Welcome<'a>),
    /// A send was passed on.
    Ack(Ack<'a>),
    /// A group was joined or left.
    #[serde(rename = "ack")]
    Group(GroupAck<'a>),
    /// Who is in a group.
    #[serde(rename = "ack")]
    Roster(PresenceAck<'a>),
    /// Who is online.
    #[serde(rename = "ack")]
    Online(OnlineAck<'a>),
    /// A page of the past.
    #[serde(rename = "ack")]
    History(HistoryAck<'a>),
    /// Something went wrong.
    Error(Error<'a>),
    /// Where the session stands in a topic that was `pending`, or that the back end made it join.
    Recovered(Recovered<'a>),
    /// The back end took the session out of a group.
    Removed(Removed<'a>),
    /// Messages of a topic are missing.
    Gap(Gap<'a>),
    /// Who came to a group and who left it.
    Presence(Presence<'a>),
    /// Connect there, then detach here.
    Moved(Moved<'a>),
    /// Say something.
    Ping,
    /// Nothing more will come after this.
    Bye,
}

/// The answer to `hello`.
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// The session's name, for `hello.replaces`.
    pub session: &'a str,
    /// The user.
    pub user: &'a str,
    /// The node's id.
    pub node: &'a str,
    /// The ring as the node sees it.
    pub ring: RingPosition,
    /// After so much silence the node asks with `ping`.
    pub heartbeat_ms: u64,
    /// After an unexpected close a client waits a random part of this.
    pub retry_spread_ms: u64,
    /// What a session may do.
    pub limits: Limits,
    /// Where its topics stand.
    pub topics: Topics<'a>,
}

/// Version and signature of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RingPosition {
    /// Which version.
    pub version: Version,
    /// The checksum of its table.
    pub signature: Signature,
}

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of one message, at most.
    pub message_bytes: usize,
    /// Sends a second, at most.
    pub sends_per_second: u32,
    /// Sends at once, at most.
    pub sends_burst: u32,
    /// Users that one send may name.
    pub users_per_send: usize,
    /// Groups that a session may be in.
    pub groups: usize,
}

/// A message: the one frame that is encoded for every recipient at once, and never parsed on the way.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The topic it was sent to.
    pub topic: &'a str,
    /// Which of the topic's messages it is.
    pub name: Name<'a>,
    /// The user who sent it.
    pub from: &'a str,
    /// What was sent, untouched: valid JSON.
    pub data: &'a str,
    /// When its home took it or the log stored it, milliseconds since 1970.
    pub time: u64,
}

/// What tells a topic's messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A durable one, as it is passed on.
    Entry(Position),
    /// A durable one, read from the log for somebody who missed it.
    Replayed(Position),
    /// An ephemeral one: a lower number than one seen from there is a repetition.
    Origin(MessageId<'a>),
}

/// The name of an ephemeral message: `<node>.<generation>-<counter>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId<'a> {
    /// The sender's node.
    pub node: &'a str,
    /// That node's generation.
    pub generation: u64,
    /// Grows with every message of that node.
    pub counter: u64,
}

/// A send was passed on.
#[derive(Debug, Serialize)]
pub struct Ack<'a> {
    /// The client's name for the send.
    #[serde(rename = "ref")]
    pub reference: Reference<'a>,
    /// Sessions that the home knew to be interested: no receipt. Absent for several users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<u32>,
    /// Where a durable message to one topic is.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Of several users, those it failed for.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub failed: &'a [Failed],
}

/// One of several users whom a send did not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Which user.
    pub user: String,
    /// Why.
    pub code: ErrorCode,
}

/// Something went wrong.
#[derive(Debug, Serialize)]
pub struct Error<'a> {
    /// Which request, if it was one.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Reference<'a>,
    /// The stable code.
    pub code: ErrorCode,
    /// Cause and remedy.
    pub message: &'static str,
    /// Whether the same may succeed later.
    pub temporary: bool,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// Connect there, then detach here.
#[derive(Debug, Serialize)]
pub struct Moved<'a> {
    /// The new node's id.
    pub node: &'a str,
    /// Its address.
    pub url: &'a str,
    /// What to offer as subprotocols: ours, and the new ticket.
    pub protocols: [String; 2],
    /// How long this offer stands.
    pub deadline_ms: u64,
    /// Wait a random part of this first.
    pub spread_ms: u64,
    /// Why.
    pub reason: MoveReason,
}

/// Why a session should move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// The user's home is another node.
    Home,
    /// This node is going away.
    Draining,
}

impl NodeFrame<'_> {
    /// The frame as JSON text.
    pub fn to_json(&self) -> String {
        // Every type here serialises; a failure would be a bug that the tests of this file show.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Message<'_> {
    /// The `message` frame as JSON text. Assembled by hand, since `data` is valid JSON already and would be parsed again.
    pub fn to_json(&self) -> String {
        let Self { topic, name, from, data, time } = self;
        let (topic, from) = (quoted(topic), quoted(from));
        // Made for every message: it is to be allocated once and not grow piece by piece.
        let mut json = String::with_capacity(MESSAGE_BYTES + topic.len() + from.len() + data.len());
        let pieces = [r#"{"op":"message","topic":"#, &topic, ","];
        pieces.into_iter().for_each(|piece| json.push_str(piece));
        // Writing to a string cannot fail.
        let _ = write!(json, "{name}");
        [r#","from":"#, &from, r#","data":"#, data].into_iter().for_each(|piece| json.push_str(piece));
        let _ = write!(json, r#","time":{time}}}"#);
        json
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>, epoch: Epoch, offset: u64| {
            write!(f, r#""epoch":"{epoch}","offset":{offset}"#)
        };
        match self {
            Self::Entry(at) => place(f, at.epoch, at.offset),
            Self::Replayed(at) => {
                place(f, at.epoch, at.offset).and_then(|()| f.write_str(r#","replayed":true"#))
            }
            Self::Origin(id) => write!(f, r#""id":{}"#, quoted(&id.to_string())),
        }
    }
}

impl<'a> Error<'a> {
    /// The frame for `code`.
    pub fn new(reference: Reference<'a>, code: ErrorCode) -> Self {
        Self { reference, code, message: code.message(), temporary: code.temporary(), retry_after_ms: None }
    }
}

impl fmt::Display for MessageId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}-{}", self.node, self.generation, self.counter)
    }
}

fn quoted(text: &str) -> String {
    // Text always serialises.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn a_message_keeps_its_data_and_names_its_origin() {
        let id = MessageId { node: "n1", generation: 5, counter: 17 };
        let message =
            |name| Message { topic: "u:\"bob\"", name, from: "alice", data: r#"{"z": 1.0}"#, time: 9 };
        let expected = r#"{"op":"message","topic":"u:\"bob\"","id":"n1.5-17","from":"alice","data":{"z": 1.0},"time":9}"#;
        assert_eq!(message(Name::Origin(id)).to_json(), expected);
        let at = Position { epoch: Epoch::new(10), offset: 3 };
        let place = r#""epoch":"000000000000000a","offset":3"#;
        let expected = expected.replace(r#""id":"n1.5-17""#, place);
        assert_eq!(message(Name::Entry(at)).to_json(), expected);
        let expected = expected.replace(place, &format!("{place},\"replayed\":true"));
        assert_eq!(message(Name::Replayed(at)).to_json(), expected);
    }

    #[test]
    fn an_error_answers_its_four_questions() {
        let reference = RawValue::from_string("\"7\"".into()).unwrap();
        let frame = NodeFrame::Error(Error::new(Some(&reference), ErrorCode::Unavailable)).to_json();
        assert!(
            frame.starts_with(
                r#"{"op":"error","ref":"7","code":"unavailable","message":"the recipient's home"#
            ),
            "{frame}"
        );
        assert!(frame.ends_with(r#""temporary":true}"#), "{frame}");
    }

    #[test]
    fn frames_without_fields_are_just_their_op() {
        assert_eq!(NodeFrame::Ping.to_json(), r#"{"op":"ping"}"#);
        assert_eq!(NodeFrame::Bye.to_json(), r#"{"op":"bye"}"#);
    }
}
