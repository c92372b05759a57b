//! Who waits for the end of a request, and what they are told. Pure.

use cluster::homes::Done;
use cluster::wire::codes::ErrorCode;
use cluster::wire::peer::Answer;
use cluster::wire::topic::inbox_owner;
use tokio::sync::oneshot;

use super::parcel::Recipients;
use crate::api::backend::{PresenceState, Sent, UserState};

/// Where the outcome of a message comes.
pub(super) type Receipt = oneshot::Receiver<Result<Sent, ErrorCode>>;

/// Where the answer to a question comes.
pub(super) type Reply = oneshot::Receiver<Result<Known, ErrorCode>>;

/// Somebody who waits. They may give up at any time; then nobody is told.
#[derive(Debug)]
pub(super) enum Waiter {
    /// For the outcome of a message.
    Message(Kind, oneshot::Sender<Result<Sent, ErrorCode>>),
    /// For the answer to a question.
    Question(oneshot::Sender<Result<Known, ErrorCode>>),
}

/// What is told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How many sessions were interested, and where it is.
    One,
    /// Whom of several it failed for.
    Several,
    /// That it was passed on.
    Everyone,
}

/// What a home answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// How a user stands.
    User(UserState),
    /// Who is in a group.
    Presence(PresenceState),
    /// With how many sessions it was done, and how many could be in no more groups.
    Told { sessions: u32, refused: u32 },
    /// How many sessions a node has.
    Sessions(u32),
}

/// Answers a request whose parts have all come to an end.
pub(super) fn finish(done: Done<Waiter>) {
    let Done { waiter, online, position, failed } = done;
    let (kind, sender) = match waiter {
        Waiter::Message(kind, sender) => (kind, sender),
        // A question has no part that can be settled.
        Waiter::Question(_) => return,
    };
    let user = |topic: &str| inbox_owner(topic).unwrap_or(topic).to_owned();
    let sent = match (kind, failed.first()) {
        (Kind::Several, _) => {
            let failed = failed.iter().map(|(topic, code)| (user(topic), *code)).collect();
            Ok(Sent { failed, ..Sent::default() })
        }
        (Kind::One | Kind::Everyone, Some((_, code))) => Err(*code),
        (Kind::One, None) => Ok(Sent { online: Some(online), position, failed: Vec::new() }),
        (Kind::Everyone, None) => Ok(Sent::default()),
    };
    let _ = sender.send(sent);
}

// === impl Waiter ===

impl Waiter {
    /// Tells that nothing came of it.
    pub(super) fn give_up(self, code: ErrorCode) {
        match self {
            Self::Message(_, sender) => {
                let _ = sender.send(Err(code));
            }
            Self::Question(sender) => {
                let _ = sender.send(Err(code));
            }
        }
    }

    /// Tells the answer to a question.
    pub(super) fn tell(self, known: Result<Known, ErrorCode>) {
        if let Self::Question(sender) = self {
            let _ = sender.send(known);
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(super) fn of(to: &Recipients) -> Self {
        match to {
            Recipients::Topics { several: false, .. } => Self::One,
            Recipients::Topics { several: true, .. } => Self::Several,
            Recipients::Everyone { .. } => Self::Everyone,
        }
    }
}

// === impl Known ===

impl Known {
    /// `None` for the answer to a question that is not asked here.
    pub(super) fn of(answer: &Answer<'_>) -> Option<Self> {
        match answer {
            Answer::User { online, sessions, settling } => {
                let (online, sessions, settling) = (*online, *sessions, *settling);
                Some(Self::User(UserState { online, sessions, settling }))
            }
            Answer::Presence { count, users, settling } => {
                let owned = |users: &Vec<&str>| users.iter().map(|user| (*user).to_owned()).collect();
                let (count, users, settling) = (*count, users.as_ref().map(owned), *settling);
                Some(Self::Presence(PresenceState { count, users, settling }))
            }
            Answer::Done { sessions, refused } => Some(Self::Told { sessions: *sessions, refused: *refused }),
            Answer::Sessions(sessions) => Some(Self::Sessions(*sessions)),
            Answer::Online { .. } => None,
        }
    }
}
