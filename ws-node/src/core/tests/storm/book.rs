//! What everybody was told in a storm: one message in one place, each send answered once, in order.

use std::collections::BTreeMap;

use cluster::log::Position;
use serde_json::Value;

/// What can be told of a message's place, whoever tells it.
pub(super) struct Book {
    /// The data that was seen at each place.
    places: BTreeMap<(String, String, u64), u64>,
    /// All sends, by the number that is their data.
    pub(super) sends: Vec<Send>,
    /// The log may lose what it held, and then gives places a second time.
    pub(super) loses: bool,
    /// The log keeps little.
    pub(super) trims: bool,
}

/// Something that a client sent.
pub(super) struct Send {
    pub(super) topics: Vec<String>,
    pub(super) key: Option<String>,
    pub(super) durable: bool,
    /// Which connection it was first sent on.
    pub(super) connection: u64,
    /// It was sent on another connection, too.
    pub(super) repeated: bool,
    pub(super) answer: Answer,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// None came yet.
    Open,
    /// The connection ended first.
    Never,
    Ack(Option<Position>),
    /// It failed for these topics; for all if none is named.
    Failed(Vec<String>),
}

impl Book {
    pub(super) fn new(loses: bool, trims: bool) -> Self {
        Self { places: BTreeMap::new(), sends: vec![], loses, trims }
    }

    /// Somebody was told that this is at that place.
    pub(super) fn at(&mut self, topic: &str, at: Position, data: u64) {
        let place = (topic.to_owned(), at.epoch.to_string(), at.offset);
        let before = *self.places.entry(place.clone()).or_insert(data);
        assert!(self.loses || before == data, "{place:?} is {before} and {data}");
    }

    pub(super) fn is_open_on(&self, connection: u64) -> bool {
        self.sends.iter().any(|send| send.connection == connection && send.answer == Answer::Open)
    }

    /// A send was answered with an `ack`.
    pub(super) fn acked(&mut self, number: u64, frame: &Value) {
        let position = super::client::position_of(frame);
        let send = &mut self.sends[number as usize];
        assert_eq!(send.answer, Answer::Open, "a second answer to {number}: {frame}");
        let failed = |failed: &Value| format!("u:{}", failed["user"].as_str().unwrap());
        let failed: Vec<String> = frame["failed"].as_array().into_iter().flatten().map(failed).collect();
        send.answer = if failed.is_empty() { Answer::Ack(position) } else { Answer::Failed(failed) };
        assert_eq!(position.is_some(), send.durable && send.topics.len() == 1, "{frame}");
        if let Some(position) = position {
            let topic = send.topics[0].clone();
            self.at(&topic, position, number);
        }
    }

    /// It was answered with an `error`.
    pub(super) fn failed(&mut self, number: u64, frame: &Value) {
        let send = &mut self.sends[number as usize];
        assert_eq!(send.answer, Answer::Open, "a second answer to {number}: {frame}");
        assert_eq!(frame["temporary"], true, "{frame}");
        send.answer = Answer::Failed(send.topics.clone());
    }

    /// Compares everything with what the log holds of a topic in the end.
    pub(super) fn compare(&self, topic: &str, head: Option<Position>, entries: &[(u64, u64)]) {
        let mut offsets: BTreeMap<u64, u64> = BTreeMap::new();
        for (offset, number) in entries {
            assert!(offsets.insert(*number, *offset).is_none(), "{number} was stored twice in {topic}");
        }
        if let Some(head) = head.filter(|_| !self.loses) {
            for ((_, epoch, offset), number) in self.places.iter().filter(|((name, ..), _)| name == topic) {
                assert_eq!(*epoch, head.epoch.to_string(), "{topic}");
                let kept = offsets.get(number) == Some(offset);
                let trimmed = self.trims && entries.first().is_none_or(|(first, _)| first > offset);
                assert!(kept || trimmed, "{number} is not in {topic} at {offset}");
            }
        }
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (number, send) in (0..).zip(&self.sends).filter(|(_, send)| send.durable) {
            if !send.topics.iter().any(|name| name == topic) {
                continue;
            }
            let stored = match &send.answer {
                Answer::Ack(_) => true,
                Answer::Failed(failed) => !failed.iter().any(|name| name == topic),
                Answer::Open => panic!("{number} was never answered"),
                Answer::Never => false,
            };
            let offset = offsets.get(&number);
            assert!(!stored || offset.is_some() || self.loses || self.trims, "{number} was lost in {topic}");
            if let Some(offset) = offset.filter(|_| stored && !send.repeated && !self.loses) {
                let before = last.insert(send.connection, *offset);
                assert!(before < Some(*offset), "{number} overtook an earlier one in {topic}");
            }
        }
    }
}
