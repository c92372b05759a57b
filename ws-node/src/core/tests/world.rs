//! Several cores, the links between them, and sessions that remember what they were sent.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use cluster::log::LogConfig;
use cluster::ring::{Member, MemberState, Policy, Ring, RingKey};
use cluster::secret::Secrets;
use cluster::store::MemoryStore;
use cluster::tokens::{Grants, install_crypto};
use cluster::wire::client::{ClientFrame, Hello};
use cluster::wire::peer::{Audience, Publish, ToHome, decode};
use serde_json::Value;

use super::super::log_port::LogAnswer;
use super::super::*;
use super::log::{Asked, answer};

/// What a session was sent: JSON frames, and a close code.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<(Vec<Value>, Option<CloseCode>)>>);

/// One direction of a link.
#[derive(Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<(VecDeque<Bytes>, Room)>>);

/// How many more frames a pipe takes.
struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(usize::MAX)
    }
}

struct Link {
    from: usize,
    to: usize,
    there: Pipe,
    back: Pipe,
}

pub(super) struct World {
    pub(super) nodes: Vec<Core<Memory, Pipe>>,
    pub(super) ring: Arc<Ring>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    pub(super) ms: u64,
    tickets: u64,
    /// The log that all share.
    pub(super) store: MemoryStore,
    /// What each node asked of it.
    asked: Vec<Asked>,
}

thread_local! {
    static IDS: Cell<u64> = const { Cell::new(0) };
}

fn fresh_id() -> String {
    IDS.with(|ids| {
        ids.set(ids.get() + 1);
        format!("id-{}", ids.get())
    })
}

pub(super) fn member(number: usize) -> Member {
    Member {
        id: format!("n{number}"),
        generation: 100 + number as u64,
        url: format!("wss://n{number}.test/ws"),
        peer: format!("10.0.0.{number}:1"),
        weight: 100,
        state: MemberState::Active,
    }
}

/// A ring of the nodes 0 to `count`.
pub(super) fn ring_of(count: usize) -> Arc<Ring> {
    let genesis = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    Arc::new((0..count).fold(genesis, |ring, number| ring.join(member(number)).unwrap()))
}

impl World {
    /// So many nodes, all linked, all in the ring.
    pub(super) fn new(count: usize) -> Self {
        install_crypto();
        let ring = ring_of(count);
        let mut world = Self {
            nodes: vec![],
            ring: ring.clone(),
            links: BTreeMap::new(),
            next_link: 1,
            ms: 1_000,
            tickets: 0,
            store: MemoryStore::new(),
            asked: vec![],
        };
        (0..count).for_each(|_| world.add_node());
        world
    }

    /// One more node, linked to all, not in any ring yet.
    pub(super) fn add_node(&mut self) {
        let number = self.nodes.len();
        let Member { id, generation, .. } = member(number);
        let (me, asked) = (PeerName { id, generation }, Asked::default());
        self.nodes.push(Core::new(config(), me, self.ring.clone(), Box::new(asked.clone()), fresh_id));
        self.asked.push(asked);
        for other in 0..number {
            self.open(number, other);
            self.open(other, number);
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { tick_ms: self.ms, unix_ms: 1_700_000_000_000 + self.ms }
    }

    /// Opens the link on which `from` uses `to` as a home.
    pub(super) fn open(&mut self, from: usize, to: usize) {
        self.open_with_room(from, to, usize::MAX);
    }

    /// The same with room for so many frames.
    pub(super) fn open_with_room(&mut self, from: usize, to: usize, frames: usize) {
        let (id, there, back) = (self.next_link, Pipe::default(), Pipe::default());
        there.set_room(frames);
        self.next_link += 1;
        self.links.insert(id, Link { from, to, there: there.clone(), back: back.clone() });
        self.nodes[to].asker_opened(id, back);
        self.nodes[from].home_opened(&format!("n{to}"), id, there);
    }

    /// Breaks it, with everything that is on its way.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        let id = self.link(from, to);
        self.links.remove(&id);
        self.nodes[to].asker_closed(id);
        self.nodes[from].home_closed(&format!("n{to}"), id);
    }

    pub(super) fn pipe(&self, from: usize, to: usize) -> Pipe {
        self.links[&self.link(from, to)].there.clone()
    }

    fn link(&self, from: usize, to: usize) -> u64 {
        *self.links.iter().find(|(_, link)| (link.from, link.to) == (from, to)).unwrap().0
    }

    /// Carries requests from one node to another.
    pub(super) fn carry_there(&mut self, from: usize, to: usize) {
        let (id, pipe) = (self.link(from, to), self.pipe(from, to));
        let now = self.now();
        pipe.drain().iter().for_each(|frame| self.nodes[to].asked(id, frame, now));
    }

    /// Carries answers back.
    pub(super) fn carry_back(&mut self, from: usize, to: usize) {
        let pipe = self.links[&self.link(from, to)].back.clone();
        let now = self.now();
        pipe.drain().iter().for_each(|frame| self.nodes[from].answered_by(&format!("n{to}"), frame, now));
    }

    /// Carries everything until nothing is on its way.
    pub(super) fn settle(&mut self) {
        while self.answer_logs()
            || self.links.values().any(|link| !link.there.is_empty() || !link.back.is_empty())
        {
            let pairs: Vec<_> = self.links.values().map(|link| (link.from, link.to)).collect();
            for (from, to) in pairs {
                self.carry_there(from, to);
                self.carry_back(from, to);
            }
        }
    }

    /// Answers whatever was asked of the log; false if nothing was.
    pub(super) fn answer_logs(&mut self) -> bool {
        let mut answered = false;
        for node in 0..self.nodes.len() {
            answered |= self.answer_log(node, usize::MAX) > 0;
        }
        answered
    }

    /// Answers so many of a node's requests to the log; how many that were.
    pub(super) fn answer_log(&mut self, node: usize, most: usize) -> usize {
        let requests = self.asked[node].take(most);
        let log = self.store.log("default", LogConfig::default()).unwrap();
        let answers: Vec<LogAnswer> = requests.iter().map(|request| answer(&*log, request)).collect();
        let (count, now) = (answers.len(), self.now());
        if count > 0 {
            self.nodes[node].log_answered(answers, now);
        }
        count
    }

    /// Lets time pass, with ticks.
    pub(super) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.ms += 100;
            let now = self.now();
            self.nodes.iter_mut().for_each(|node| node.tick(now));
        }
    }

    /// Makes a node go by a ring.
    pub(super) fn show(&mut self, node: usize, ring: &Arc<Ring>) {
        let now = self.now();
        self.nodes[node].ring_changed(ring.clone(), now);
    }

    /// What a ticket for this user says, and a session's memory.
    pub(super) fn admission(&mut self, user: &str) -> (Admission, Memory) {
        self.tickets += 1;
        let holder =
            Holder { user: user.into(), avoid: vec![], token_expires_s: None, grants: Grants::default() };
        let jti = format!("ticket-{}", self.tickets);
        let ring = self.ring.version();
        (Admission { holder, jti, expires_s: u64::MAX / 2, ring }, Memory::default())
    }

    /// A session's beginning, before `hello`.
    pub(super) fn admit(&mut self, node: usize, user: &str, avoid: &[&str]) -> (SessionKey, Memory) {
        let (mut admission, memory) = self.admission(user);
        admission.holder.avoid = avoid.iter().map(ToString::to_string).collect();
        let now = self.now();
        let Ok(key) = self.nodes[node].admit(admission, memory.clone(), now) else { panic!("refused") };
        (key, memory)
    }

    /// A session that said `hello`.
    pub(super) fn connect(&mut self, node: usize, user: &str) -> (SessionKey, Memory) {
        let (key, memory) = self.admit(node, user, &[]);
        let now = self.now();
        self.nodes[node].hello(key, &Hello::default(), now);
        self.answer_logs();
        (key, memory)
    }

    /// The node that is a user's home.
    pub(super) fn home(&self, user: &str) -> usize {
        let id = &self.ring.home(self.ring.key().slot(&format!("u:{user}"))).unwrap().id;
        id[1..].parse().unwrap()
    }

    /// A user whose home is this node now and that one in another ring.
    pub(super) fn user_from_to(&self, from: usize, to: usize, next: &Ring) -> String {
        let home = |user: &str| next.home(next.key().slot(&format!("u:{user}"))).unwrap().id.clone();
        let fits = |user: &String| self.home(user) == from && home(user) == format!("n{to}");
        (0..).map(|n| format!("user{n}")).find(fits).unwrap()
    }

    /// A user whose home is this node; another one for another number.
    pub(super) fn user_of(&self, node: usize, number: usize) -> String {
        (0..).map(|n| format!("user{n}")).filter(|user| self.home(user) == node).nth(number).unwrap()
    }

    /// Sends as a client would.
    pub(super) fn say(&mut self, node: usize, key: SessionKey, text: &str) {
        let now = self.now();
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Send(send)) => self.nodes[node].send(key, &send, now),
            other => panic!("{other:?}"),
        }
    }

    /// Sends something ephemeral.
    pub(super) fn send(&mut self, node: usize, key: SessionKey, to: &str, data: u64) {
        let to = format!(r#""to":{{"user":"{to}"}}"#);
        self.say(node, key, &format!(r#"{{"op":"send","ref":{data},{to},"ephemeral":true,"data":{data}}}"#));
    }
}

fn config() -> CoreConfig {
    CoreConfig {
        service: "default".into(),
        limits: Limits {
            message_bytes: 65_536,
            sends_per_second: 32,
            sends_burst: 64,
            users_per_send: 1_000,
            groups: 5,
        },
        sessions_per_user_max: 3,
        heartbeat_ms: 25_000,
        rebalance: Rebalance::Arcs,
        move_rate: 2_000,
        move_deadline_ms: 30_000,
        retentions: Retentions::default(),
        tickets: Tickets::new(
            Secrets::new("a secret for tests, long enough to be taken", &[]).unwrap().ticket_keys(),
        ),
    }
}

impl Memory {
    /// Every frame, taken out.
    pub(super) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap().0)
    }

    /// The ops of every frame, taken out.
    pub(super) fn ops(&self) -> Vec<String> {
        self.take().iter().map(|frame| frame["op"].as_str().unwrap().to_owned()).collect()
    }

    /// The data of every message, taken out with all else.
    pub(super) fn data(&self) -> Vec<u64> {
        self.take()
            .iter()
            .filter(|frame| frame["op"] == "message")
            .map(|frame| frame["data"].as_u64().unwrap())
            .collect()
    }

    pub(super) fn closed(&self) -> Option<CloseCode> {
        self.0.lock().unwrap().1
    }
}

impl SessionSink for Memory {
    fn push(&self, frame: Bytes) {
        let begin = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        self.0.lock().unwrap().0.push(serde_json::from_slice(&frame[begin..]).unwrap());
    }

    fn waiting_bytes(&self) -> usize {
        0
    }

    fn close(&self, code: CloseCode) {
        self.0.lock().unwrap().1.get_or_insert(code);
    }
}

impl Pipe {
    pub(super) fn drain(&self) -> Vec<Bytes> {
        self.0.lock().unwrap().0.drain(..).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().0.is_empty()
    }

    pub(super) fn set_room(&self, frames: usize) {
        self.0.lock().unwrap().1 = Room(frames);
    }

    /// How many messages for how many topics are on their way.
    pub(super) fn publishes(&self) -> Vec<usize> {
        let frames = self.0.lock().unwrap().0.clone();
        let topics = |frame: &Bytes| match decode(frame) {
            Some(ToHome::Publish(Publish { to: Audience::Topics(topics), .. })) => Some(topics.len()),
            _ => None,
        };
        frames.iter().filter_map(topics).collect()
    }
}

impl LinkSink for Pipe {
    fn send(&self, frame: Bytes) -> bool {
        let mut pipe = self.0.lock().unwrap();
        let Some(left) = pipe.1.0.checked_sub(1) else { return false };
        pipe.1 = Room(left);
        pipe.0.push_back(frame);
        true
    }
}
