//! Frames from client to node. Read without copying what the client sent: `data` stays the text that it was.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::codes::ErrorCode;
use crate::limits;

/// A frame from a client.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    /// The first frame.
    Hello(Hello<'a>),
    /// A message for somebody.
    Send(Send<'a>),
    /// The session goes on at another node.
    Detach,
    /// The answer to a `ping`.
    Pong,
    /// An op of a later version of the protocol that this node does not do.
    NotSupported {
        /// The client's name for the request.
        reference: Reference<'a>,
    },
    /// An unknown op: ignored.
    Unknown,
}

/// The client's name for a request: a string or a number, sent back as it came.
pub type Reference<'a> = Option<&'a RawValue>;

/// The first frame of a connection.
#[derive(Debug, Default)]
pub struct Hello<'a> {
    /// The session that this one continues.
    pub replaces: Option<Cow<'a, str>>,
}

/// A message for somebody.
#[derive(Debug)]
pub struct Send<'a> {
    /// The client's name for it.
    pub reference: Reference<'a>,
    /// Whom it is for.
    pub to: Target<'a>,
    /// Any JSON.
    pub data: &'a RawValue,
}

/// Whom a message is for.
#[derive(Debug, PartialEq)]
pub enum Target<'a> {
    /// One user.
    User(Cow<'a, str>),
    /// Several users, at most [`limits::USERS_PER_SEND_MAX`].
    Users(Vec<Cow<'a, str>>),
}

/// Why a frame was refused.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The client's name for the request, if it could be read.
    pub reference: Reference<'a>,
    /// What is wrong.
    pub code: ErrorCode,
}

/// Every field of every frame, unread: what another op's field holds is nobody's business.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    to: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    replaces: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TargetFields<'a> {
    #[serde(borrow, default)]
    user: Option<Text<'a>>,
    #[serde(borrow, default)]
    users: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    group: Option<&'a RawValue>,
    #[serde(borrow, default)]
    all: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "match")]
    matching: Option<&'a RawValue>,
}

/// A string that is borrowed where it has no escapes. (A plain `Cow` inside `Option` or `Vec` is always copied.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> ClientFrame<'a> {
    /// Reads one text frame.
    ///
    /// # Errors
    /// What is wrong with it, and which request it was if that could be read.
    pub fn parse(text: &'a str) -> Result<Self, Refusal<'a>> {
        let fields: Fields<'a> =
            serde_json::from_str(text).map_err(|_| Refusal { reference: None, code: ErrorCode::BadJson })?;
        let reference = checked_reference(fields.reference)?;
        let refuse = |code| Refusal { reference, code };
        match &*fields.op {
            "hello" => Ok(Self::Hello(Hello { replaces: optional_text(fields.replaces).map_err(refuse)? })),
            "send" => {
                let to = fields.to.ok_or_else(|| refuse(ErrorCode::BadRequest))?;
                let data = fields.data.ok_or_else(|| refuse(ErrorCode::BadRequest))?;
                Ok(Self::Send(Send { reference, to: Target::parse(to).map_err(refuse)?, data }))
            }
            "detach" => Ok(Self::Detach),
            "pong" => Ok(Self::Pong),
            "join" | "leave" | "presence" | "history" | "online" | "auth" => {
                Ok(Self::NotSupported { reference })
            }
            _ => Ok(Self::Unknown),
        }
    }
}

impl Send<'_> {
    /// How many sends it counts as: one, or to several users one for each [`limits::SEND_COST_BYTES`] that its copies
    /// take together, since every inbox gets a frame of its own.
    pub fn cost(&self) -> u32 {
        match &self.to {
            Target::User(_) => 1,
            Target::Users(users) => {
                let copies = users.len().saturating_mul(self.data.get().len());
                u32::try_from(copies / limits::SEND_COST_BYTES).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

impl<'a> Target<'a> {
    fn parse(raw: &'a RawValue) -> Result<Self, ErrorCode> {
        let fields: TargetFields<'a> = serde_json::from_str(raw.get()).map_err(|_| ErrorCode::BadRequest)?;
        let others = [fields.group, fields.all, fields.matching].iter().flatten().count();
        match (fields.user, fields.users, others) {
            (Some(Text(user)), None, 0) if limits::is_id(&user) => Ok(Self::User(user)),
            (None, Some(users), 0) if users.len() > limits::USERS_PER_SEND_MAX => {
                Err(ErrorCode::TooManyUsers)
            }
            (None, Some(users), 0) if users.iter().all(|Text(user)| limits::is_id(user)) => {
                Ok(Self::Users(users.into_iter().map(|Text(user)| user).collect()))
            }
            (Some(_), None, 0) | (None, Some(_), 0) => Err(ErrorCode::BadId),
            (None, None, 1) => Err(ErrorCode::NotSupported),
            _ => Err(ErrorCode::BadRequest),
        }
    }
}

/// A reference is a string or a number, and short: it is held and sent back.
fn checked_reference(raw: Option<&RawValue>) -> Result<Reference<'_>, Refusal<'_>> {
    match raw {
        None => Ok(None),
        Some(value) if value.get() == "null" => Ok(None),
        Some(value) => {
            let scalar =
                value.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
            if scalar && value.get().len() <= limits::ID_BYTES_MAX {
                Ok(Some(value))
            } else {
                Err(Refusal { reference: None, code: ErrorCode::BadRequest })
            }
        }
    }
}

/// A field that is there, also when it is `null`: `null` is data like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn optional_text(raw: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, ErrorCode> {
    let Some(raw) = raw else { return Ok(None) };
    let text: Option<Text<'_>> = serde_json::from_str(raw.get()).map_err(|_| ErrorCode::BadRequest)?;
    match text {
        Some(Text(text)) if limits::is_id(&text) => Ok(Some(text)),
        Some(_) => Err(ErrorCode::BadId),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
