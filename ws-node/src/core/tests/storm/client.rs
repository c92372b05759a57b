//! A client that takes nothing on trust: on each connection it checks that messages come in order, once, and without
//! holes that it was not told of; over all of them it keeps positions as the protocol says.

use std::collections::{BTreeMap, BTreeSet};

use cluster::log::{Epoch, Position};
use serde_json::{Value, json};

use super::super::sinks::Memory;
use super::book::Book;
use super::story;
use crate::core::{CloseCode, SessionKey};

/// Whoever uses the application.
pub(super) struct Client {
    pub(super) user: String,
    /// What it has of each topic, for good.
    pub(super) positions: BTreeMap<String, Position>,
    /// What it asked for in topics that it has nothing of yet.
    wishes: BTreeMap<String, Wish>,
    /// What it follows.
    pub(super) topics: BTreeSet<String>,
    /// At most two: the later one replaces the other.
    pub(super) connections: Vec<Connection>,
}

pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) node: usize,
    pub(super) key: SessionKey,
    pub(super) memory: Memory,
    pub(super) name: Option<String>,
    stands: BTreeMap<String, Stand>,
    requests: BTreeMap<u64, Request>,
    counters: BTreeMap<(String, String), u64>,
}

/// What was asked for of a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wish {
    Nothing,
    All,
    At(Position),
}

#[derive(Debug)]
enum Request {
    Join(String),
    Leave(String),
}

/// Where a connection is in a topic.
#[derive(Debug)]
struct Stand {
    wish: Wish,
    told: Option<Told>,
    at: Option<Position>,
    gap_due: bool,
    live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Pending,
    Whole,
    Partly,
}

pub(in crate::core::tests) fn position_of(value: &Value) -> Option<Position> {
    let epoch = Epoch::from_hex(value.get("epoch")?.as_str()?).unwrap();
    Some(Position { epoch, offset: value["offset"].as_u64().unwrap() })
}

// === impl Client ===

impl Client {
    pub(super) fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            positions: BTreeMap::new(),
            wishes: BTreeMap::new(),
            topics: [format!("u:{user}")].into(),
            connections: vec![],
        }
    }

    /// Where it wants to go on. `all`: whether it wants everything of a topic that it has nothing of.
    fn wish(&mut self, topic: &str, all: bool) -> Wish {
        let new = if all { Wish::All } else { Wish::Nothing };
        let wish = *self.wishes.entry(topic.to_owned()).or_insert(new);
        self.positions.get(topic).map_or(wish, |position| Wish::At(*position))
    }

    /// The first frame of a connection.
    pub(super) fn hello(
        &mut self,
        number: u64,
        node: usize,
        key: SessionKey,
        memory: Memory,
        all: bool,
    ) -> String {
        let topics: Vec<String> = self.topics.iter().cloned().collect();
        let wishes: Vec<_> = topics.iter().map(|topic| (topic.clone(), self.wish(topic, all))).collect();
        let resume: serde_json::Map<String, Value> =
            wishes.iter().filter_map(|(topic, wish)| Some((topic.clone(), wish.since()?))).collect();
        let groups: Vec<&str> = topics.iter().filter_map(|topic| topic.strip_prefix("g:")).collect();
        let replaces = self.connections.last().and_then(|connection| connection.name.clone());
        self.connections.push(Connection {
            number,
            node,
            key,
            memory,
            name: None,
            stands: wishes.into_iter().map(|(topic, wish)| (topic, Stand::new(wish))).collect(),
            requests: BTreeMap::new(),
            counters: BTreeMap::new(),
        });
        json!({ "op": "hello", "resume": resume, "groups": groups, "replaces": replaces }).to_string()
    }

    /// The frame that joins a group on its latest connection.
    pub(super) fn join(&mut self, topic: &str, reference: u64, all: bool) -> String {
        let wish = self.wish(topic, all);
        self.topics.insert(topic.to_owned());
        let connection = self.connections.last_mut().unwrap();
        connection.requests.insert(reference, Request::Join(topic.to_owned()));
        connection.stands.insert(topic.to_owned(), Stand::new(wish));
        let group = topic.strip_prefix("g:").unwrap();
        json!({ "op": "join", "ref": reference, "group": group, "since": wish.since() }).to_string()
    }

    /// The frame that leaves it.
    pub(super) fn leave(&mut self, topic: &str, reference: u64) -> String {
        self.topics.remove(topic);
        let connection = self.connections.last_mut().unwrap();
        connection.requests.insert(reference, Request::Leave(topic.to_owned()));
        let group = topic.strip_prefix("g:").unwrap();
        json!({ "op": "leave", "ref": reference, "group": group }).to_string()
    }

    /// Whether it has one connection, and stands somewhere in each of its topics. (Two that both ask for what comes from
    /// now on would begin at two places.)
    pub(super) fn may_move(&self) -> bool {
        self.connections.len() == 1
            && self.topics.iter().all(|topic| self.positions.contains_key(topic) || topic == "g:none")
    }

    /// Whether its latest connection follows a topic and waits for no answer about groups.
    pub(super) fn may_leave(&self, topic: &str) -> bool {
        let last = self.connections.last();
        last.is_some_and(|connection| connection.requests.is_empty() && connection.stands.contains_key(topic))
    }

    pub(super) fn may_join(&self, topic: &str) -> bool {
        let last = self.connections.last();
        last.is_some_and(|connection| {
            connection.requests.is_empty() && !connection.stands.contains_key(topic)
        })
    }

    /// Reads whatever it was sent; answers the connections that have ended.
    pub(super) fn read(&mut self, book: &mut Book) -> Vec<Connection> {
        for at in 0..self.connections.len() {
            for frame in self.connections[at].memory.take() {
                self.take(at, &frame, book);
            }
        }
        let replaced = |connection: &mut Connection| connection.memory.closed() == Some(CloseCode::Normal);
        let ended: Vec<_> = self.connections.extract_if(.., replaced).collect();
        for connection in &ended {
            assert!(!self.connections.is_empty(), "closed without another one");
            assert!(!book.is_open_on(connection.number), "closed before all was answered");
        }
        let closed: Vec<_> = self.connections.iter().map(|connection| connection.memory.closed()).collect();
        assert!(closed.iter().all(Option::is_none), "{closed:?}");
        ended
    }

    fn take(&mut self, at: usize, frame: &Value, book: &mut Book) {
        let connection = &mut self.connections[at];
        story::add(format_args!("  {} on {} at n{}: {frame}", self.user, connection.number, connection.node));
        let op = frame["op"].as_str().unwrap();
        let topic = frame["topic"].as_str().unwrap_or_default().to_owned();
        match op {
            "welcome" => {
                assert!(connection.name.is_none(), "a second welcome");
                connection.name = Some(frame["session"].as_str().unwrap().to_owned());
                let topics = frame["topics"].as_object().unwrap();
                for topic in connection.stands.keys() {
                    let asked = connection.requests.values().any(|request| request.topic() == topic);
                    assert!(asked || topics.contains_key(topic), "{topic} is not in {frame}");
                }
                for (topic, standing) in topics {
                    self.told(at, topic, standing, book);
                }
            }
            "recovered" => {
                let stand = &connection.stands[&topic];
                assert_eq!(stand.told, Some(Told::Pending), "{frame}");
                self.told(at, &topic, frame, book);
            }
            "message" if frame.get("id").is_some() => connection.ephemeral(&topic, frame),
            "message" => {
                let position = position_of(frame).unwrap();
                book.at(&topic, position, frame["data"].as_u64().unwrap());
                let live = frame.get("replayed").is_none();
                connection.entry(&topic, position, live, book);
                self.took(&topic, position, book);
            }
            "gap" => {
                connection.gap(&topic, frame, book);
                self.jumped(&topic, frame);
            }
            "ack" => {
                let reference = frame["ref"].as_u64().unwrap();
                match connection.requests.remove(&reference) {
                    Some(Request::Join(topic)) => self.told(at, &topic, frame, book),
                    Some(Request::Leave(topic)) => {
                        let stand = connection.stands.remove(&topic).unwrap();
                        let known =
                            stand.told.is_some_and(|told| told != Told::Pending) || stand.at.is_some();
                        assert!(!known || stand.at == position_of(frame), "{stand:?} but {frame}");
                    }
                    None => book.acked(reference, frame),
                }
            }
            "error" => book.failed(frame["ref"].as_u64().unwrap_or_else(|| panic!("{frame}")), frame),
            "moved" | "bye" => {}
            other => panic!("{other}"),
        }
    }

    fn told(&mut self, at: usize, topic: &str, standing: &Value, book: &Book) {
        let head = position_of(standing);
        let Some(stand) = self.connections[at].stands.get_mut(topic) else { panic!("{topic}: {standing}") };
        let Some(told) = Told::of(&standing["recovered"]) else { panic!("{standing}") };
        stand.told = Some(told);
        if told == Told::Pending {
            stand.at = stand.wish.position();
            return;
        }
        stand.at = match stand.wish {
            Wish::Nothing => head,
            Wish::All => head.filter(|head| head.offset == 0),
            Wish::At(position) => Some(position),
        };
        stand.gap_due = told == Told::Partly;
        assert!(stand.wish.position().is_some() || told == Told::Whole, "{standing}");
        assert!(book.loses || book.trims || told == Told::Whole, "{topic}: {standing} {stand:?}");
        if let (Wish::At(position), Some(head)) = (stand.wish, head) {
            assert!(told == Told::Partly || position.epoch == head.epoch, "{standing} {stand:?}");
        }
        if let (Some(position), true) = (stand.at, stand.wish != Wish::All || head.is_some()) {
            self.positions.entry(topic.to_owned()).or_insert(position);
        }
    }

    fn took(&mut self, topic: &str, at: Position, book: &Book) {
        let before = self.positions.get(topic);
        if before.is_some_and(|before| before.epoch != at.epoch || before.offset >= at.offset) {
            return;
        }
        if let Some(before) = before.filter(|_| !book.loses && !book.trims) {
            assert_eq!(at.offset, before.offset + 1, "{} missed some of {topic}", self.user);
        }
        self.positions.insert(topic.to_owned(), at);
    }

    fn jumped(&mut self, topic: &str, frame: &Value) {
        let epoch = Epoch::from_hex(frame["epoch"].as_str().unwrap()).unwrap();
        let next = Position { epoch, offset: frame["before"].as_u64().unwrap() - 1 };
        let position = self.positions.entry(topic.to_owned()).or_insert(next);
        let passed = position.epoch == next.epoch && position.offset >= next.offset;
        if frame["reason"] == "log_lost" && position.epoch != next.epoch || !passed {
            *position = next;
        }
    }

    /// What would not be right in the end: it must stand at the end of each of its topics.
    pub(super) fn assert_at(&self, heads: &BTreeMap<String, Option<Position>>) {
        let connection = self.connections.last().expect("it is connected");
        assert!(connection.requests.is_empty(), "unanswered: {:?}", connection.requests);
        for topic in &self.topics {
            let stand = &connection.stands[topic];
            let Some(head) = heads[topic] else { continue };
            let told = stand.told.filter(|told| *told != Told::Pending);
            assert!(told.is_some() && !stand.gap_due, "{} was not told of {topic}: {stand:?}", self.user);
            let at = stand.at.or((head.offset == 0).then_some(head));
            assert_eq!(at, Some(head), "{} in {topic}: {stand:?}", self.user);
        }
    }
}

// === impl Connection ===

impl Connection {
    fn entry(&mut self, topic: &str, at: Position, live: bool, book: &Book) {
        let stand =
            self.stands.get_mut(topic).unwrap_or_else(|| panic!("{topic} at {at:?} after leaving it"));
        assert!(self.name.is_some() && !stand.gap_due, "{stand:?} {at:?}");
        assert!(matches!(stand.told, Some(Told::Whole | Told::Partly)), "{topic} {stand:?} {at:?}");
        match stand.at {
            Some(before) => {
                let next = Position { offset: before.offset + 1, ..before };
                assert_eq!(at, next, "{topic} {stand:?}");
            }
            None => assert!(at.offset == 1 || book.trims || book.loses, "{topic} {stand:?} {at:?}"),
        }
        assert!(live || !stand.live, "{topic} replays {at:?} to a live session");
        stand.at = Some(at);
        stand.live |= live;
    }

    fn gap(&mut self, topic: &str, frame: &Value, book: &Book) {
        let stand = self.stands.get_mut(topic).unwrap_or_else(|| panic!("{frame} after leaving"));
        assert!(
            self.name.is_some() && matches!(stand.told, Some(Told::Whole | Told::Partly)),
            "{frame} {stand:?}"
        );
        let at = stand.at.unwrap_or_else(|| panic!("{frame} {stand:?}"));
        let (after, before) = (frame["after"].as_u64().unwrap(), frame["before"].as_u64().unwrap());
        let epoch = Epoch::from_hex(frame["epoch"].as_str().unwrap()).unwrap();
        assert_eq!(after, at.offset, "{frame} {stand:?}");
        match frame["reason"].as_str().unwrap() {
            "trimmed" => assert!(book.trims && epoch == at.epoch && before > after + 1, "{frame} {stand:?}"),
            "log_lost" if epoch == at.epoch => assert!(book.loses && before <= after, "{frame} {stand:?}"),
            "log_lost" => assert!(book.loses && before == 1, "{frame} {stand:?}"),
            other => panic!("{other}"),
        }
        stand.at = Some(Position { epoch, offset: before - 1 });
        stand.gap_due = false;
    }

    fn ephemeral(&mut self, topic: &str, frame: &Value) {
        assert!(self.name.is_some() && self.stands.contains_key(topic), "{frame}");
        let (origin, counter) = frame["id"].as_str().unwrap().rsplit_once('-').unwrap();
        let counter: u64 = counter.parse().unwrap();
        let last = self.counters.insert((topic.to_owned(), origin.to_owned()), counter);
        assert!(last < Some(counter), "{frame}");
    }
}

// === impl Request ===

impl Request {
    fn topic(&self) -> &str {
        let (Self::Join(topic) | Self::Leave(topic)) = self;
        topic
    }
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

// === impl Stand ===

impl Stand {
    fn new(wish: Wish) -> Self {
        Self { wish, told: None, at: None, gap_due: false, live: false }
    }
}

// === impl Told ===

impl Told {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(true) => Some(Self::Whole),
            Value::Bool(false) => Some(Self::Partly),
            Value::String(text) if text == "pending" => Some(Self::Pending),
            _ => None,
        }
    }
}
