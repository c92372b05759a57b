//! The record of a run: what the client did and what was done to it, in order. Judges read nothing else.

use std::collections::BTreeMap;

use cluster::log::Position;
use cluster::wire::client::Since;

use super::scene::Scene;

/// Milliseconds since the run began.
pub(super) type Ms = u64;

/// A connection's number, from 1 on.
pub(super) type ConnId = u32;

/// Events that are kept. A client that brings forth more is not heard any further.
const EVENTS_MAX: usize = 20_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// When.
    pub(super) at: Ms,
    /// What.
    pub(super) what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// A scene begins. Connections with lower numbers than this are those of the client before.
    Scene { scene: Scene, first: ConnId },
    /// The client looked up. `token` stands for its token, if it sent one.
    Lookup { answer: Answer, token: Option<u64>, avoid: Vec<String> },
    /// A connection was opened.
    Opened { conn: ConnId, node: &'static str, ticket: TicketUse },
    /// A frame came.
    Heard { conn: ConnId, heard: Heard },
    /// What came is no frame of the protocol.
    Wrong { conn: ConnId, what: String },
    /// A frame was sent.
    Said { conn: ConnId, said: Said },
    /// The checker closes the connection with this code.
    Closing { conn: ConnId, code: u16 },
    /// The checker ends the connection without a word.
    Cut { conn: ConnId },
    /// The connection is over. `code` is that of the client's close frame, if one came.
    Ended { conn: ConnId, code: Option<u16> },
    /// The application was told to begin anew, not before this time.
    Restart { due: Ms },
    /// The application was told to stop.
    Stop,
    /// A message of the checker's, `n`, was passed on for the first time.
    Published { topic: String, n: u64, durable: bool },
    /// An ephemeral message was passed on that its followers have overtaken: the application is not to have it.
    Late { n: u64 },
}

/// A lookup's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A ticket for this node.
    Granted { node: &'static str },
    /// Not now. `by_header` if only `Retry-After` says for how long.
    Refused { retry_ms: Ms, by_header: bool },
}

/// What a connection was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TicketUse {
    /// A ticket of its own.
    Fresh,
    /// One that had opened a connection before.
    Used,
    /// One for another node, or none of ours.
    Wrong,
    /// None.
    Missing,
    /// Subprotocols were offered, and ours was not among them.
    NoSubprotocol,
}

/// A client's frame, as far as judges look at it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// `hello`.
    Hello { replaces: Option<String>, groups: Vec<String>, resume: BTreeMap<String, Since> },
    /// A `send`.
    Send { reference: Option<String>, key: Option<String>, echo: Option<Echo>, ephemeral: bool },
    /// `join`, `leave` and requests.
    Request { reference: Option<String>, group: Option<String>, joins: bool },
    /// `detach`.
    Detach,
    /// `pong`.
    Pong,
    /// An op that is not known.
    Unknown,
}

/// What the application under test says of what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Echo {
    /// The message of this number.
    Message(u64),
    /// A gap in this topic.
    Gap(String),
}

/// What was said to the client, as far as judges look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// `welcome`, with its topics and their heads; none while pending.
    Welcome { session: String, topics: Vec<(String, Option<Position>)> },
    /// `recovered`.
    Recovered { topic: String },
    /// A durable message.
    Message { topic: String, position: Position },
    /// `gap`: the position is this one now.
    Gap { topic: String, position: Position },
    /// `moved`.
    Moved { node: &'static str, spread_ms: Ms },
    /// `ping`.
    Ping,
    /// An op that the protocol does not have.
    Unknown,
    /// The answer to a send.
    Ack { reference: Option<String> },
    /// A send failed for the time being.
    Refused { reference: Option<String>, retry_ms: Ms },
}

/// Events in order.
#[derive(Debug, Default)]
pub(super) struct Record {
    events: Vec<Event>,
}

// === impl Record ===

impl Record {
    /// Adds an event.
    pub(super) fn add(&mut self, at: Ms, what: What) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(Event { at, what });
        }
    }

    /// Whether nothing more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= EVENTS_MAX
    }

    /// All events.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many there are: a place to look from.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Those from a place on.
    pub(super) fn since(&self, mark: usize) -> &[Event] {
        self.events.get(mark..).unwrap_or_default()
    }

    /// Those of one scene; empty if it was not played.
    pub(super) fn of(&self, scene: Scene) -> &[Event] {
        let begins = |event: &Event| matches!(event.what, What::Scene { .. });
        let Some(from) = self
            .events
            .iter()
            .position(|event| matches!(event.what, What::Scene { scene: named, .. } if named == scene))
        else {
            return &[];
        };
        let rest = self.events.get(from..).unwrap_or_default();
        let end = rest.iter().skip(1).position(begins).map_or(rest.len(), |at| at + 1);
        rest.get(..end).unwrap_or_default()
    }
}
