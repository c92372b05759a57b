//! A session's place in a topic: it arrives, it reads what it missed from the log, it gets what is passed on.

use cluster::log::{Epoch, Page, Position, Read};
use cluster::wire::client::Since;
use cluster::wire::node::{GapReason, Recovery};
use serde_json::value::RawValue;

/// A session that follows a topic.
#[derive(Debug)]
pub(super) struct Follower {
    /// The session.
    pub(super) index: usize,
    /// How it gets the topic's entries.
    pub(super) reading: Reading,
}

/// How a session gets a topic's entries. Ephemeral messages it gets in any case.
#[derive(Debug)]
pub(super) enum Reading {
    /// It was not told yet where it stands, or only that this is pending.
    Arriving(Box<Arrival>),
    /// It reads the log for itself; what is passed on meanwhile is found there.
    Replaying(Box<Replay>),
    /// It gets what is passed on above this offset.
    Live {
        /// The highest offset that it has had otherwise.
        after: u64,
    },
}

/// What a session asked for when it came to a topic.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Where it wants to go on.
    pub(super) since: Option<Since>,
    /// The request to be answered, if it was a `join`.
    pub(super) join: Option<JoinRequest>,
    /// What it will be told, once that is known.
    pub(super) recovery: Option<Recovery>,
    /// What it asked for and will never get. The log may say something else when it is read again.
    pub(super) missed: Option<Missed>,
    /// It was told `pending`.
    pub(super) told: bool,
    /// `welcome` no longer waits for it.
    pub(super) counted: bool,
    /// The read that is out.
    pub(super) reader: Option<u64>,
}

/// What a session will never get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// The first offset behind it.
    pub(super) before: u64,
    /// Where the session goes on.
    pub(super) next: Position,
    pub(super) reason: GapReason,
}

/// A `join` that was not answered yet.
#[derive(Debug)]
pub(super) struct JoinRequest {
    /// The client's name for it.
    pub(super) reference: Option<Box<RawValue>>,
    /// Who comes and goes shall be told, too.
    pub(super) presence: bool,
}

/// How far a session has read.
#[derive(Debug)]
pub(super) struct Replay {
    /// Of this epoch; `None` of whatever there is.
    pub(super) epoch: Option<Epoch>,
    /// Up to this offset.
    pub(super) offset: u64,
    /// The read that is out.
    pub(super) reader: Option<u64>,
}

/// What a session that comes to a topic needs to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// This can be said at once.
    Known(Recovery),
    /// The log has to be asked for the first entry behind `since`.
    Ask,
}

// === impl Follower ===

impl Follower {
    /// A session that has just come.
    pub(super) fn new(index: usize, arrival: Arrival) -> Self {
        Self { index, reading: Reading::Arriving(Box::new(arrival)) }
    }

    /// Whether an entry that is passed on is for it.
    pub(super) fn takes(&self, offset: u64) -> bool {
        matches!(self.reading, Reading::Live { after } if offset > after)
    }

    /// Another epoch has begun: offsets start from 1 again, and what was found out of the old one does not count.
    pub(super) fn forget(&mut self) {
        match &mut self.reading {
            Reading::Live { after } => *after = 0,
            Reading::Arriving(arrival) => {
                (arrival.recovery, arrival.missed, arrival.reader) = (None, None, None);
            }
            // It finds out for itself.
            Reading::Replaying(_) => {}
        }
    }

    /// What it has had of what is passed on, in a topic whose live sessions have had everything up to `offset`. `None`:
    /// what is passed on is not for it.
    pub(super) fn has_had(&self, offset: u64) -> Option<u64> {
        match self.reading {
            Reading::Live { after } => Some(offset.max(after)),
            Reading::Arriving(_) | Reading::Replaying(_) => None,
        }
    }

    /// How far it has come, in a topic whose live sessions have had everything up to `position`.
    pub(super) fn stands_at(&self, position: Option<Position>) -> Option<Position> {
        match &self.reading {
            Reading::Arriving(arrival) => match arrival.since {
                Some(since) => since.position(),
                None => position,
            },
            Reading::Replaying(replay) => replay.epoch.map(|epoch| Position { epoch, offset: replay.offset }),
            Reading::Live { after } => {
                position.map(|position| Position { offset: position.offset.max(*after), ..position })
            }
        }
    }

    pub(super) fn arrival(&mut self) -> Option<&mut Arrival> {
        match &mut self.reading {
            Reading::Arriving(arrival) => Some(arrival),
            Reading::Replaying(_) | Reading::Live { .. } => None,
        }
    }

    pub(super) fn replay(&mut self) -> Option<&mut Replay> {
        match &mut self.reading {
            Reading::Replaying(replay) => Some(replay),
            Reading::Arriving(_) | Reading::Live { .. } => None,
        }
    }
}

// === impl Arrival ===

impl Arrival {
    /// What is to be said to a session that comes to a topic which stands at `head`; `None`: it has no log.
    pub(super) fn begin(&self, head: Option<Position>) -> Beginning {
        match (self.since, head) {
            // Of a topic without a log nothing can be missing that could have been asked for.
            (None, _) | (Some(_), None) | (Some(Since { epoch: None, .. }), Some(_)) => {
                Beginning::Known(Recovery::Whole)
            }
            (Some(Since { epoch: Some(epoch), offset }), Some(head))
                if (Position { epoch, offset }) == head =>
            {
                Beginning::Known(Recovery::Whole)
            }
            (Some(_), Some(_)) => Beginning::Ask,
        }
    }

    /// How it goes on from here, with the topic at `head`.
    pub(super) fn go_on(&self, head: Option<Position>) -> Reading {
        let Some(head) = head else { return Reading::Live { after: 0 } };
        match self.since {
            None => Reading::Live { after: head.offset },
            // Beyond the head, too, if the log has confirmed it: it only was not passed on yet.
            Some(Since { epoch: Some(epoch), offset })
                if epoch == head.epoch && offset >= head.offset && self.recovery == Some(Recovery::Whole) =>
            {
                Reading::Live { after: offset }
            }
            Some(Since { epoch: None, .. }) if head.offset == 0 => Reading::Live { after: 0 },
            Some(Since { epoch, offset }) => {
                Reading::Replaying(Box::new(Replay { epoch, offset, reader: None }))
            }
        }
    }
}

// === impl Missed ===

impl Missed {
    /// What is missing by an answer of the log, if anything is.
    pub(super) fn of(read: &Read) -> Option<Self> {
        let (before, next, reason) = match read {
            Read::Page(page) => return Self::on(page),
            Read::OtherEpoch(head) => (1, Position { offset: 0, ..*head }, GapReason::LogLost),
            Read::RolledBack(head) => (head.offset.saturating_add(1), *head, GapReason::LogLost),
            Read::Absent => return None,
        };
        Some(Self { before, next, reason })
    }

    /// What a page leaves out.
    pub(super) fn on(page: &Page) -> Option<Self> {
        let before = page.gap?.before;
        let next = Position { offset: before.saturating_sub(1), ..page.position };
        Some(Self { before, next, reason: GapReason::Trimmed })
    }
}

// === impl Replay ===

impl Replay {
    /// Whether it has read everything that the topic, which stands at `head`, was passed on; then it gets what comes.
    pub(super) fn has_reached(&self, head: Position) -> bool {
        self.epoch == Some(head.epoch) && self.offset >= head.offset
    }
}
