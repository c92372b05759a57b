//! A client as a stranger would write one from docs/PROTOCOL.md: it keeps positions, resumes, repeats what was not
//! answered, moves when it is asked to. And it takes nothing on trust: whatever contradicts the protocol is told.

mod connection;
mod roster;
mod take;
mod watched;

use std::collections::{BTreeMap, BTreeSet};

use cluster::log::Position;
use serde_json::{Value, json};

pub(crate) use self::connection::{Connection, Told, position_of};
pub(crate) use self::take::Facts;
pub(crate) use self::watched::watched;

/// Whoever uses the application.
pub(crate) struct Client {
    /// Its name.
    pub(crate) user: String,
    /// It does not do what `moved` asks.
    pub(crate) stays: bool,
    /// It wants to be told who is in its groups.
    pub(crate) watches: bool,
    /// What it has of each topic, for good.
    pub(crate) positions: BTreeMap<String, Position>,
    /// Connections that may go by another epoch than the position, and tell later of what the other one told.
    behind: BTreeMap<String, BTreeSet<u64>>,
    /// What it asked for in topics that it has nothing of yet.
    wishes: BTreeMap<String, Wish>,
    /// What it follows.
    pub(crate) topics: BTreeSet<String>,
    /// At most two: the later one is to replace the other.
    pub(crate) connections: Vec<Connection>,
    /// Sends that have no answer yet, in order.
    pub(crate) open: BTreeSet<usize>,
    /// Attempts that failed in a row.
    pub(crate) failures: u32,
    /// Nodes that it could not reach lately.
    pub(crate) avoid: Vec<String>,
    /// It takes nothing from its sockets.
    pub(crate) slow: bool,
    /// Names what it waits for now; anything else is too late.
    pub(crate) serial: u64,
    /// It is opening a connection: the first one, or another one to move to.
    pub(crate) opening: bool,
    /// Numbers that it took over, by topic; forgotten where the log lost something.
    taken: BTreeMap<String, BTreeSet<u64>>,
    /// The last ephemeral message of each topic and origin.
    counters: BTreeMap<(String, String), u64>,
    /// When it joined or left a group last.
    pub(crate) changed_ms: u64,
    /// Asked for everything that the log holds where it knows nothing yet.
    pub(crate) all: bool,
    /// Its last question after members.
    asked: u64,
}

/// What was asked for of a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wish {
    /// What comes from now on.
    Nothing,
    /// All that the log holds.
    All,
    /// What comes after this.
    At(Position),
}

/// What a client has to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// Say this on that socket.
    Say(u64, String),
    /// Open another connection with this ticket, then leave the present one.
    Move {
        /// The node's address.
        url: String,
        /// The ticket.
        ticket: String,
        /// Wait a random part of this first, milliseconds.
        spread_ms: u64,
    },
    /// The new connection stands: repeat what was not answered.
    Repeat(u64),
}

impl Client {
    /// One that follows its inbox.
    pub(crate) fn new(user: &str, stays: bool, all: bool) -> Self {
        Self {
            user: user.to_owned(),
            stays,
            watches: false,
            asked: 2_000_000,
            positions: BTreeMap::new(),
            behind: BTreeMap::new(),
            wishes: BTreeMap::new(),
            topics: [format!("u:{user}")].into(),
            connections: Vec::new(),
            open: BTreeSet::new(),
            failures: 0,
            avoid: Vec::new(),
            slow: false,
            serial: 0,
            opening: false,
            taken: BTreeMap::new(),
            counters: BTreeMap::new(),
            changed_ms: 0,
            all,
        }
    }

    /// The connection that it sends on: the latest one that was welcomed.
    pub(crate) fn main(&self) -> Option<&Connection> {
        self.connections.iter().rev().find(|connection| connection.name.is_some() && !connection.detached)
    }

    /// The connection over a socket.
    pub(crate) fn on(&mut self, socket: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.socket == socket)
    }

    /// The first frame of a connection over `socket`, which it takes for its latest.
    pub(crate) fn hello(&mut self, socket: u64, place: usize, now_ms: u64) -> String {
        let topics: Vec<String> = self.topics.iter().cloned().collect();
        let wishes: Vec<_> = topics.iter().map(|topic| (topic.clone(), self.wish(topic))).collect();
        let resume: serde_json::Map<String, Value> =
            wishes.iter().filter_map(|(topic, wish)| Some((topic.clone(), wish.since()?))).collect();
        let groups: Vec<&str> = topics.iter().filter_map(|topic| topic.strip_prefix("g:")).collect();
        let replaces = self.main().and_then(|connection| connection.name.clone());
        let hello = json!({ "op": "hello", "resume": resume, "groups": groups, "replaces": replaces });
        self.connections.push(Connection::new(socket, place, wishes, now_ms));
        hello.to_string()
    }

    /// The frame that joins a group on its connection, or leaves it.
    pub(crate) fn join(&mut self, topic: &str, reference: u64) -> Option<(u64, String)> {
        let wish = self.wish(topic);
        let at = self.idle()?;
        self.topics.insert(topic.to_owned());
        let watches = self.watches;
        let connection = &mut self.connections[at];
        connection.joins(reference, topic, wish);
        if watches {
            connection.rosters.insert(topic.to_owned(), None);
        }
        let group = topic.strip_prefix("g:")?;
        let frame = json!({ "op": "join", "ref": reference, "group": group, "since": wish.since(),
            "presence": watches });
        Some((connection.socket, frame.to_string()))
    }

    /// The frame that leaves it.
    pub(crate) fn leave(&mut self, topic: &str, reference: u64) -> Option<(u64, String)> {
        let at = self.idle()?;
        let connection = &mut self.connections[at];
        if !connection.stands.contains_key(topic) {
            return None;
        }
        self.topics.remove(topic);
        connection.leaves(reference, topic);
        let group = topic.strip_prefix("g:")?;
        Some((connection.socket, json!({ "op": "leave", "ref": reference, "group": group }).to_string()))
    }

    /// Whether it stands somewhere in each of its topics: two connections that both ask for what comes from now on would
    /// begin at two places.
    pub(crate) fn may_move(&self) -> bool {
        let stands = |topic: &String| self.positions.contains_key(topic) || is_ephemeral(topic);
        self.connections.len() == 1 && !self.opening && self.topics.iter().all(stands)
    }

    /// Whether it joined or left a group within three seconds.
    pub(crate) fn changed_lately(&self, now_ms: u64) -> bool {
        now_ms < self.changed_ms + 3_000
    }

    /// Its only connection, with nothing about groups under way.
    fn idle(&self) -> Option<usize> {
        let [connection] = &self.connections[..] else { return None };
        (connection.is_idle() && !self.opening).then_some(0)
    }

    /// Where it wants to go on.
    fn wish(&mut self, topic: &str) -> Wish {
        let new = if self.all { Wish::All } else { Wish::Nothing };
        let wish = *self.wishes.entry(topic.to_owned()).or_insert(new);
        self.positions.get(topic).map_or(wish, |position| Wish::At(*position))
    }
}

/// Whether a topic has no log.
pub(crate) fn is_ephemeral(topic: &str) -> bool {
    topic == "g:none"
}

// === impl Wish ===

impl Wish {
    fn since(self) -> Option<Value> {
        match self {
            Self::Nothing => None,
            Self::All => Some(json!({ "offset": 0 })),
            Self::At(at) => Some(json!({ "epoch": at.epoch.to_string(), "offset": at.offset })),
        }
    }

    fn position(self) -> Option<Position> {
        match self {
            Self::At(position) => Some(position),
            Self::Nothing | Self::All => None,
        }
    }
}
