//! Frames from client to node. Read without copying what the client sent: `data` stays the text that it was.

mod fields;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::fields::Fields;
use super::codes::ErrorCode;
use crate::limits;
use crate::log::{Cursor, Epoch, Position};

/// A frame from a client.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    /// The first frame.
    Hello(Hello<'a>),
    /// A message for somebody.
    Send(Send<'a>),
    /// The session wants a group's messages.
    Join(Join<'a>),
    /// The session no longer wants them.
    Leave(About<'a>),
    /// Who is in a group?
    Presence(About<'a>),
    /// What does the log hold?
    History(History<'a>),
    /// Who of these is online?
    Online(Online<'a>),
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
    /// Groups to join.
    pub groups: Vec<Cow<'a, str>>,
    /// Topics, and what the client has had of them. Groups among them are joined.
    pub resume: Vec<(String, Since)>,
}

/// Where a client wants to go on in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The life of the topic that the offset belongs to. Without it, offset 0 asks for all that the log holds.
    pub epoch: Option<Epoch>,
    /// The newest offset that the client has had.
    pub offset: u64,
}

/// A message for somebody.
#[derive(Debug)]
pub struct Send<'a> {
    /// The client's name for it.
    pub reference: Reference<'a>,
    /// Whom it is for.
    pub to: Target<'a>,
    /// Makes the send the same one however often it is repeated.
    pub key: Option<Cow<'a, str>>,
    /// To be passed on only, and not stored.
    pub ephemeral: bool,
    /// Any JSON.
    pub data: &'a RawValue,
}

/// Whom a message is for.
#[derive(Debug)]
pub enum Target<'a> {
    /// One user.
    User(Cow<'a, str>),
    /// Several users, at most [`limits::USERS_PER_SEND_MAX`].
    Users(Vec<Cow<'a, str>>),
    /// A group.
    Group(Cow<'a, str>),
    /// Everybody.
    All,
    /// Everybody with these attributes: a JSON object of scalars.
    Match(&'a RawValue),
}

/// A session wants a group's messages.
#[derive(Debug)]
pub struct Join<'a> {
    /// The client's name for the request.
    pub reference: Reference<'a>,
    /// The group.
    pub group: Cow<'a, str>,
    /// Where to go on.
    pub since: Option<Since>,
    /// Who comes and goes shall be told, too.
    pub presence: bool,
}

/// A request about a group and nothing more.
#[derive(Debug)]
pub struct About<'a> {
    /// The client's name for the request.
    pub reference: Reference<'a>,
    /// The group.
    pub group: Cow<'a, str>,
}

/// A request for a page of a topic's past.
#[derive(Debug)]
pub struct History<'a> {
    /// The client's name for the request.
    pub reference: Reference<'a>,
    /// Which group's; the session's own inbox without one.
    pub group: Option<Cow<'a, str>>,
    /// Of this epoch only.
    pub epoch: Option<Epoch>,
    /// From where, and which way.
    pub cursor: Cursor,
    /// Entries wanted, at most.
    pub limit: usize,
}

/// A question who is online.
#[derive(Debug)]
pub struct Online<'a> {
    /// The client's name for the request.
    pub reference: Reference<'a>,
    /// Who is asked about, at most [`limits::USERS_PER_SEND_MAX`].
    pub users: Vec<Cow<'a, str>>,
}

/// Why a frame was refused.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The client's name for the request, if it could be read.
    pub reference: Reference<'a>,
    /// What is wrong.
    pub code: ErrorCode,
}

// === impl Since ===

impl Since {
    /// The position that it is, if it names an epoch.
    pub fn position(self) -> Option<Position> {
        self.epoch.map(|epoch| Position { epoch, offset: self.offset })
    }
}

// === impl ClientFrame ===

impl<'a> ClientFrame<'a> {
    /// Reads one text frame.
    ///
    /// # Errors
    /// What is wrong with it, and which request it was if that could be read.
    pub fn parse(text: &'a str) -> Result<Self, Refusal<'a>> {
        let fields: Fields<'a> =
            serde_json::from_str(text).map_err(|_| Refusal { reference: None, code: ErrorCode::BadJson })?;
        let reference = fields.reference()?;
        fields.frame(reference).map_err(|code| Refusal { reference, code })
    }
}

// === impl Send ===

impl Send<'_> {
    /// How many sends it counts as: one, or to several users one for each [`limits::SEND_COST_USERS`] of them, or for each
    /// [`limits::SEND_COST_BYTES`] that its copies take together, since every inbox gets a message of its own.
    pub fn cost(&self) -> u32 {
        match &self.to {
            Target::Users(users) => {
                let copies = users.len().saturating_mul(self.data.get().len()) / limits::SEND_COST_BYTES;
                let cost = copies.max(users.len() / limits::SEND_COST_USERS);
                u32::try_from(cost).unwrap_or(u32::MAX).max(1)
            }
            Target::User(_) | Target::Group(_) | Target::All | Target::Match(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests;
