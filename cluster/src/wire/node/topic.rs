//! Frames about topics: where they stand, what is missing of them, who is in them, what they held.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::log::{Epoch, Position};
use crate::wire::client::Reference;
use crate::wire::codes::ErrorCode;

/// The topics of a `welcome`, as a JSON object.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a>(pub &'a [(&'a str, Standing)]);

/// Where a session stands in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Standing {
    /// It follows it.
    In {
        /// The topic's newest entry; absent where there is no log, or before it was asked.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
        /// Whether everything that was asked for follows.
        recovered: Recovery,
    },
    /// It was refused.
    Refused {
        /// Why.
        error: ErrorCode,
    },
}

/// Whether a topic's missed messages follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// All that were asked for, if any were.
    Whole,
    /// Not all: a `gap` says which are missing.
    Partly,
    /// The log has not answered: a `recovered` frame follows.
    Pending,
}

/// How a topic that was `pending` was recovered, or that the back end made the session join.
#[derive(Debug, Serialize)]
pub struct Recovered<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Where it stands, and what follows.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The back end took the session out of a group: nothing more of it comes.
#[derive(Debug, Serialize)]
pub struct Removed<'a> {
    /// The group's topic.
    pub topic: &'a str,
}

/// Messages of a topic that the session will never get: the application must fetch its state anew. The client's position
/// becomes `before` - 1 of `epoch`.
#[derive(Debug, Serialize)]
pub struct Gap<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The epoch that goes on.
    pub epoch: Epoch,
    /// The offset before the first missing one.
    pub after: u64,
    /// The offset behind the last missing one.
    pub before: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The log keeps only so many, or only for so long.
    Trimmed,
    /// The log was lost, whole or its newest part.
    LogLost,
}

/// A request about a group was done.
#[derive(Debug, Serialize)]
pub struct GroupAck<'a> {
    /// The client's name for the request.
    #[serde(rename = "ref")]
    pub reference: Reference<'a>,
    /// The group's topic.
    pub topic: &'a str,
    /// Where it stands.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Of a join: what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovery>,
}

/// Users who came to a group and left it: first in, last out.
#[derive(Debug, Serialize)]
pub struct Presence<'a> {
    /// The group.
    pub group: &'a str,
    /// Users in it now.
    pub count: u32,
    /// Everybody, at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<&'a [&'a str]>,
    /// Users who came.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub joined: &'a [&'a str],
    /// Users who left.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub left: &'a [&'a str],
}

/// Who is in a group.
#[derive(Debug, Serialize)]
pub struct PresenceAck<'a> {
    /// The client's name for the request.
    #[serde(rename = "ref")]
    pub reference: Reference<'a>,
    /// The group.
    pub group: &'a str,
    /// Users in it.
    pub count: u32,
    /// Who they are, unless there are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<&'a [&'a str]>,
    /// The home is new and does not know of everybody yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settling: bool,
}

/// Who is online.
#[derive(Debug, Serialize)]
pub struct OnlineAck<'a> {
    /// The client's name for the request.
    #[serde(rename = "ref")]
    pub reference: Reference<'a>,
    /// Those of the users asked about who are.
    pub online: &'a [&'a str],
    /// A home is new: who is not named may still come back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settling: bool,
}

/// A page of a topic's past.
#[derive(Debug, Serialize)]
pub struct HistoryAck<'a> {
    /// The client's name for the request.
    #[serde(rename = "ref")]
    pub reference: Reference<'a>,
    /// The topic.
    pub topic: &'a str,
    /// Epoch and newest entry; absent if nothing was ever written.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The oldest offset that the log holds; head + 1 if it holds none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Ascending after an offset, descending before one.
    pub entries: &'a [PastMessage<'a>],
    /// Whether the log holds more in this direction.
    pub more: bool,
    /// What is missing between the cursor and the first of `entries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<PastGap>,
    /// The epoch that was asked for is gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// An entry of the log.
#[derive(Debug, Serialize)]
pub struct PastMessage<'a> {
    /// Its offset.
    pub offset: u64,
    /// The user who sent it.
    pub from: &'a str,
    /// What was sent, untouched.
    pub data: &'a RawValue,
    /// When it was stored, milliseconds since 1970.
    pub time: u64,
}

/// Trimmed entries: all between two offsets, both exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PastGap {
    /// The offset before the first missing one.
    pub after: u64,
    /// The offset behind the last missing one.
    pub before: u64,
}

// === impl Topics ===

impl Serialize for Topics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (topic, standing) in self.0 {
            map.serialize_entry(topic, standing)?;
        }
        map.end()
    }
}

// === impl Recovery ===

impl Serialize for Recovery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole => serializer.serialize_bool(true),
            Self::Partly => serializer.serialize_bool(false),
            Self::Pending => serializer.serialize_str("pending"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_is_flat() {
        let position = Some(Position { epoch: Epoch::new(10), offset: 3 });
        let topics = [
            ("u:bob", Standing::In { position, recovered: Recovery::Whole }),
            ("g:a", Standing::In { position: None, recovered: Recovery::Pending }),
            ("g:b", Standing::Refused { error: ErrorCode::Forbidden }),
        ];
        let expected = concat!(
            r#"{"u:bob":{"epoch":"000000000000000a","offset":3,"recovered":true},"#,
            r#""g:a":{"recovered":"pending"},"g:b":{"error":"forbidden"}}"#
        );
        assert_eq!(serde_json::to_string(&Topics(&topics)).unwrap(), expected);
    }
}
