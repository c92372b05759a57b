//! What the back end's API needs of the nodes of one service. `peers` does it over links; tests do it in memory.

use async_trait::async_trait;
use cluster::log::Position;
use cluster::wire::codes::ErrorCode;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The nodes of one service, as the back end's API sees them. Every call returns within a bounded time.
#[async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    /// Sends each message to the home of its topic; the answers are in the order of the messages. Messages for one topic
    /// are sent in their order. An error of one message says nothing about the others.
    async fn send(&self, messages: Vec<OutMessage>) -> Vec<Result<Sent, ErrorCode>>;

    /// Whether a user is online, as the home of their inbox knows it.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] if the home could not be asked.
    async fn user(&self, user: &str) -> Result<UserState, ErrorCode>;

    /// Ends all present sessions of a user with `session_revoked`, and tells how many were told to close.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] if the home, or a node that holds sessions, could not be asked: others may have ended.
    async fn end_sessions(&self, user: &str) -> Result<u32, ErrorCode>;

    /// Who is in a group, as its home knows it.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] if the home could not be asked.
    async fn presence(&self, group: &str) -> Result<PresenceState, ErrorCode>;

    /// Makes all present sessions of a user join (`member`) or leave a group, whatever their token allows, and tells how
    /// many sessions that concerns.
    ///
    /// # Errors
    /// As [`Backend::end_sessions`], or what a session's limits forbid ([`ErrorCode::code`] `too_many_groups`).
    async fn set_member(&self, group: &str, user: &str, member: bool) -> Result<u32, ErrorCode>;

    /// How many sessions each of these nodes has, in their order; `None` for those that do not say so within a second.
    async fn sessions(&self, nodes: &[&str]) -> Vec<Option<u32>>;
}

/// A message from the application's back end. All of it has been checked against the limits.
#[derive(Debug, Clone)]
pub(crate) struct OutMessage {
    /// The sender that receivers are told, and the scope of `key`. Empty: the application itself, which is no user.
    pub(crate) from: String,
    /// Whom it is for.
    pub(crate) to: Target,
    /// Any JSON.
    pub(crate) data: Box<RawValue>,
    /// What makes the send idempotent.
    pub(crate) key: Option<String>,
    /// Whether it is only passed on. Always so for [`Target::All`] and [`Target::Match`].
    pub(crate) ephemeral: bool,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// A user's inbox.
    User(String),
    /// Several users' inboxes, at most [`USERS_PER_SEND_MAX`](cluster::limits::USERS_PER_SEND_MAX), each once; none is
    /// sent to nobody, and that is no error.
    Users(Vec<String>),
    /// A group.
    Group(String),
    /// Every session.
    All,
    /// Every session whose attributes have all of these values.
    Match(Map<String, Value>),
}

/// What became of a message that was taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sent {
    /// Sessions that were interested, as the topic's home counts them; `None` for several users and for broadcasts.
    pub(crate) online: Option<u32>,
    /// Where a durable message is in the log of its one topic.
    pub(crate) position: Option<Position>,
    /// Of several users: those that it did not reach the inbox of, and why.
    pub(crate) failed: Vec<(String, ErrorCode)>,
}

/// How a user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserState {
    /// Whether the user has a session, or lost the last one within the grace.
    pub(crate) online: bool,
    /// Sessions at this moment, on all nodes.
    pub(crate) sessions: u32,
    /// Whether the home took over so lately that it may not know of all sessions yet.
    pub(crate) settling: bool,
}

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresenceState {
    /// Users in it.
    pub(crate) count: u32,
    /// Which; `None` where there are more than 1,000.
    pub(crate) users: Option<Vec<String>>,
    /// Whether the home took over so lately that it may not know of all members yet.
    pub(crate) settling: bool,
}
