//! One connection of a client, and where it is in each topic: messages come in order, once, and without holes that were not
//! told.

use std::collections::{BTreeMap, BTreeSet};

use cluster::log::{Epoch, Position};
use serde_json::Value;

use super::Wish;

/// What a client knows of one of its connections.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Over which socket.
    pub(crate) socket: u64,
    /// To the node at this place.
    pub(crate) place: usize,
    /// The session's name, once it was welcomed.
    pub(crate) name: Option<String>,
    /// Where it is in each topic.
    pub(crate) stands: BTreeMap<String, Stand>,
    /// What was asked about groups.
    requests: BTreeMap<u64, Request>,
    counters: BTreeMap<(String, String), u64>,
    /// Who is in the groups whose members it asked to be told of; `None` until it is told.
    pub(crate) rosters: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Sends that have no answer on this connection yet.
    pub(crate) awaiting: BTreeSet<usize>,
    /// It said `detach`.
    pub(crate) detached: bool,
    /// When it began, milliseconds.
    pub(crate) begun_ms: u64,
    /// When something was heard last, milliseconds.
    pub(crate) heard_ms: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Request {
    Join(String),
    Leave(String),
    /// To be told who is in a group that it is in already.
    Watch,
}

/// Where a connection is in a topic.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    wish: Wish,
    /// What was told of it.
    pub(crate) told: Option<Told>,
    /// The last entry that came, or where it began.
    pub(crate) at: Option<Position>,
    /// A gap must come before anything else.
    pub(crate) gap_due: bool,
    live: bool,
}

/// What a node told of a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Told {
    /// Not yet known.
    Pending,
    /// Nothing is missing.
    Whole,
    /// Something is.
    Partly,
}

impl Connection {
    pub(super) fn new(socket: u64, place: usize, wishes: Vec<(String, Wish)>, now_ms: u64) -> Self {
        Self {
            socket,
            place,
            name: None,
            stands: wishes.into_iter().map(|(topic, wish)| (topic, Stand::new(wish))).collect(),
            requests: BTreeMap::new(),
            counters: BTreeMap::new(),
            rosters: BTreeMap::new(),
            awaiting: BTreeSet::new(),
            detached: false,
            begun_ms: now_ms,
            heard_ms: now_ms,
        }
    }

    /// Whether it was welcomed and knows where it stands in each topic.
    pub(crate) fn is_whole(&self) -> bool {
        let whole = |stand: &Stand| matches!(stand.told, Some(Told::Whole | Told::Partly));
        self.name.is_some() && self.requests.is_empty() && self.stands.values().all(whole)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.name.is_some() && self.requests.is_empty() && !self.detached
    }

    pub(super) fn joins(&mut self, reference: u64, topic: &str, wish: Wish) {
        self.requests.insert(reference, Request::Join(topic.to_owned()));
        self.stands.insert(topic.to_owned(), Stand::new(wish));
    }

    pub(super) fn leaves(&mut self, reference: u64, topic: &str) {
        self.requests.insert(reference, Request::Leave(topic.to_owned()));
    }

    pub(super) fn watches(&mut self, reference: u64) {
        self.requests.insert(reference, Request::Watch);
    }

    pub(super) fn answered(&mut self, reference: u64) -> Option<Request> {
        self.requests.remove(&reference)
    }

    /// Whether `welcome` may leave a topic out: it was joined meanwhile.
    pub(super) fn is_asked(&self, topic: &str) -> bool {
        let about = |request: &Request| matches!(request, Request::Join(name) | Request::Leave(name) if name == topic);
        self.requests.values().any(about)
    }

    /// A durable message came.
    pub(super) fn entry(
        &mut self,
        topic: &str,
        at: Position,
        live: bool,
        complete: bool,
    ) -> Result<(), String> {
        let Some(stand) = self.stands.get_mut(topic) else {
            return Err(format!("{topic} at {at:?} on a connection that does not follow it"));
        };
        if self.name.is_none() || stand.gap_due || !matches!(stand.told, Some(Told::Whole | Told::Partly)) {
            return Err(format!("{topic} at {at:?} comes too early: {stand:?}"));
        }
        let next = stand.at.map(|before| Position { offset: before.offset + 1, ..before });
        if next.is_some_and(|next| next != at) || next.is_none() && complete && at.offset != 1 {
            return Err(format!("{topic} at {at:?} does not follow: {stand:?}"));
        }
        if stand.live && !live {
            return Err(format!("{topic} at {at:?} is replayed to a live session"));
        }
        stand.at = Some(at);
        stand.live |= live;
        Ok(())
    }

    /// A gap was told.
    pub(super) fn gap(&mut self, topic: &str, frame: &Value) -> Result<(), String> {
        let wrong = |stand: &Stand| Err(format!("{frame} {stand:?}"));
        let Some(stand) = self.stands.get_mut(topic) else { return Err(format!("{frame} is not followed")) };
        let (Some(after), Some(before)) = (frame["after"].as_u64(), frame["before"].as_u64()) else {
            return wrong(stand);
        };
        let Some(epoch) = frame["epoch"].as_str().and_then(Epoch::from_hex) else { return wrong(stand) };
        // Who asked for everything, and got nothing of it before it was lost, stands before its beginning; also if what took
        // its place was trimmed by the time that it was read.
        let begins = match frame["reason"].as_str() {
            Some("trimmed") => (after == 0).then_some(epoch),
            _ => (before == 1).then_some(Epoch::new(0)),
        };
        let all = begins.filter(|_| stand.wish == Wish::All).map(|epoch| Position { epoch, offset: 0 });
        let Some(at) = stand.at.or(all) else { return wrong(stand) };
        let told = matches!(stand.told, Some(Told::Whole | Told::Partly));
        let fits = match frame["reason"].as_str() {
            Some("trimmed") => epoch == at.epoch && before > after + 1,
            Some("log_lost") if epoch == at.epoch => before <= after,
            Some("log_lost") => before == 1,
            _ => false,
        };
        if self.name.is_none() || !told || after != at.offset || !fits || before == 0 {
            return wrong(stand);
        }
        stand.at = Some(Position { epoch, offset: before - 1 });
        stand.gap_due = false;
        Ok(())
    }

    /// An ephemeral message came: of one topic and origin they grow.
    pub(super) fn ephemeral(&mut self, topic: &str, origin: &str, counter: u64) -> Result<(), String> {
        if self.name.is_none() || !self.stands.contains_key(topic) {
            return Err(format!("{topic} {origin}-{counter} is not for this connection"));
        }
        let last = self.counters.insert((topic.to_owned(), origin.to_owned()), counter);
        if last >= Some(counter) {
            return Err(format!("{topic} {origin}-{counter} after {last:?}"));
        }
        Ok(())
    }
}

// === impl Stand ===

impl Stand {
    /// Behind which place it asked for what there is.
    pub(super) fn begins(&self) -> Option<Position> {
        self.wish.position()
    }

    fn new(wish: Wish) -> Self {
        Self { wish, told: None, at: None, gap_due: false, live: false }
    }

    /// A node tells where the topic stands. Answers where the client begins, if it has no position yet.
    pub(super) fn told(&mut self, standing: &Value, complete: bool) -> Result<Option<Position>, String> {
        let wrong = || Err(format!("{standing} {self:?}"));
        let told = match &standing["recovered"] {
            Value::Bool(true) => Told::Whole,
            Value::Bool(false) => Told::Partly,
            Value::String(text) if text == "pending" => Told::Pending,
            _ => return wrong(),
        };
        if self.told.is_some_and(|before| before != Told::Pending) {
            return wrong();
        }
        let head = position_of(standing);
        if told == Told::Partly && (complete || self.wish.position().is_none()) {
            return wrong();
        }
        if let (Wish::At(position), Some(head)) = (self.wish, head)
            && told == Told::Whole
            && position.epoch != head.epoch
        {
            return wrong();
        }
        self.told = Some(told);
        if told == Told::Pending {
            self.at = self.wish.position();
            return Ok(None);
        }
        self.at = match self.wish {
            Wish::Nothing => head,
            Wish::All => head.filter(|head| head.offset == 0),
            Wish::At(position) => Some(position),
        };
        self.gap_due = told == Told::Partly;
        Ok(self.at.filter(|_| self.wish != Wish::All || head.is_some()))
    }
}

/// The position in a frame.
pub(crate) fn position_of(value: &Value) -> Option<Position> {
    let epoch = Epoch::from_hex(value.get("epoch")?.as_str()?)?;
    Some(Position { epoch, offset: value["offset"].as_u64()? })
}
