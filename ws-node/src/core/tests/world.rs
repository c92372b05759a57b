//! Several cores, the links between them, and sessions that remember what they were sent.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cluster::log::{Log, LogConfig};
use cluster::ring::{Member, MemberState, Policy, Ring, RingKey};
use cluster::secret::Secrets;
use cluster::store::MemoryStore;
use cluster::tokens::{Grants, install_crypto};
use cluster::wire::client::{ClientFrame, Hello};

use super::super::log_port::LogAnswer;
use super::super::*;
use super::log::Asked;
use super::sinks::{Memory, Pipe};

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
    pub(super) log: Arc<dyn Log>,
    /// Entries that the log gives at once.
    pub(super) page_max: usize,
    /// What each node asked of it.
    pub(super) asked: Vec<Asked>,
    /// Reads that the log was asked for so far.
    pub(super) reads: usize,
    /// What was carried out for each node, which was not told yet.
    pub(super) done: Vec<Vec<LogAnswer>>,
    config: CoreConfig,
    /// What a new ring leaves to do is done only when the test says so.
    pub(super) lazy: bool,
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
    static MADE: [OnceLock<Arc<Ring>>; 5] = [const { OnceLock::new() }; 5];
    let genesis = || Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    let make = || Arc::new((0..count).fold(genesis(), |ring, number| ring.join(member(number)).unwrap()));
    MADE[count].get_or_init(make).clone()
}

impl World {
    /// So many nodes, all linked, all in the ring.
    pub(super) fn new(count: usize) -> Self {
        Self::with(count, config())
    }

    /// The same with nodes that are set up like this.
    pub(super) fn with(count: usize, config: CoreConfig) -> Self {
        install_crypto();
        let (ring, store) = (ring_of(count), MemoryStore::new());
        let log = store.log("default", LogConfig::default()).unwrap();
        let mut world = Self {
            nodes: vec![],
            ring: ring.clone(),
            links: BTreeMap::new(),
            next_link: 1,
            ms: 1_000,
            tickets: 0,
            store,
            log,
            page_max: usize::MAX,
            reads: 0,
            asked: vec![],
            done: vec![],
            config,
            lazy: false,
        };
        (0..count).for_each(|_| world.add_node());
        world
    }

    /// One more node, linked to all, not in any ring yet.
    pub(super) fn add_node(&mut self) {
        let number = self.nodes.len();
        let Member { id, generation, .. } = member(number);
        let (me, asked) = (PeerName { id, generation }, Asked::default());
        let config = self.config.clone();
        self.nodes.push(Core::new(config, me, self.ring.clone(), Box::new(asked.clone()), fresh_id));
        self.asked.push(asked);
        self.done.push(vec![]);
        for other in 0..number {
            self.open(number, other);
            self.open(other, number);
        }
    }

    /// Another process takes the place of a node whose links are gone.
    pub(super) fn restart(&mut self, node: usize) {
        let Member { id, generation, .. } = member(node);
        let (me, asked) = (PeerName { id, generation: generation + 100 }, Asked::default());
        let config = self.config.clone();
        self.nodes[node] = Core::new(config, me, self.ring.clone(), Box::new(asked.clone()), fresh_id);
        self.asked[node] = asked;
        self.done[node].clear();
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.open(node, other);
            self.open(other, node);
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
        self.nodes[to].asker_is(id, &format!("n{from}"));
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

    /// The way back on the same link.
    pub(super) fn pipe_back(&self, from: usize, to: usize) -> Pipe {
        self.links[&self.link(from, to)].back.clone()
    }

    pub(super) fn is_linked(&self, from: usize, to: usize) -> bool {
        self.links.values().any(|link| (link.from, link.to) == (from, to))
    }

    fn link(&self, from: usize, to: usize) -> u64 {
        *self.links.iter().find(|(_, link)| (link.from, link.to) == (from, to)).unwrap().0
    }

    /// Carries requests from one node to another.
    pub(super) fn carry_there(&mut self, from: usize, to: usize) {
        while self.carry_one_there(from, to) {}
    }

    /// Carries answers back.
    pub(super) fn carry_back(&mut self, from: usize, to: usize) {
        while self.carry_one_back(from, to) {}
    }

    /// Carries one request; false if there is none.
    pub(super) fn carry_one_there(&mut self, from: usize, to: usize) -> bool {
        let (id, now) = (self.link(from, to), self.now());
        let Some(frame) = self.pipe(from, to).pop() else { return false };
        self.nodes[to].asked(id, &frame, now);
        true
    }

    /// Carries one answer back; false if there is none.
    pub(super) fn carry_one_back(&mut self, from: usize, to: usize) -> bool {
        let Some(frame) = self.pipe_back(from, to).pop() else { return false };
        let now = self.now();
        self.nodes[from].answered_by(&format!("n{to}"), &frame, now);
        true
    }

    /// Carries everything that is on links.
    pub(super) fn settle_links(&mut self) {
        let pairs: Vec<_> = self.links.values().map(|link| (link.from, link.to)).collect();
        for (from, to) in pairs.iter().chain(&pairs) {
            self.carry_there(*from, *to);
            self.carry_back(*from, *to);
        }
    }

    /// Carries everything until nothing is on its way.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let answered = self.answer_logs();
            if !answered && self.links.values().all(|link| link.there.is_empty() && link.back.is_empty()) {
                return;
            }
            let pairs: Vec<_> = self.links.values().map(|link| (link.from, link.to)).collect();
            for (from, to) in pairs {
                self.carry_there(from, to);
                self.carry_back(from, to);
            }
        }
        panic!("it never comes to rest");
    }

    /// Lets time pass, with ticks.
    pub(super) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.ms += 100;
            let now = self.now();
            self.nodes.iter_mut().for_each(|node| node.tick(now));
            if !self.lazy {
                (0..self.nodes.len()).for_each(|node| self.work_off(node));
            }
        }
    }

    /// Makes a node go by a ring.
    pub(super) fn show(&mut self, node: usize, ring: &Arc<Ring>) {
        let now = self.now();
        self.nodes[node].ring_changed(ring.clone(), now);
        if !self.lazy {
            self.work_off(node);
        }
    }

    /// Has a node do what is left to be done now.
    pub(super) fn work_off(&mut self, node: usize) {
        let now = self.now();
        while self.nodes[node].work_off(now) {}
    }

    /// What a ticket for this user says, and a session's memory.
    pub(super) fn admission(&mut self, user: &str) -> (Admission, Memory) {
        self.tickets += 1;
        let grants = Grants { permissions: vec!["join:*".into()], ..Grants::default() };
        let holder = Holder { user: user.into(), avoid: vec![], token_expires_s: None, grants };
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

    /// Says something as a client would.
    pub(super) fn say(&mut self, node: usize, key: SessionKey, text: &str) {
        let (now, core) = (self.now(), &mut self.nodes[node]);
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Hello(hello)) => core.hello(key, &hello, now),
            Ok(ClientFrame::Send(send)) => core.send(key, &send, now),
            Ok(ClientFrame::Join(join)) => core.join(key, &join, now),
            Ok(ClientFrame::Leave(leave)) => core.leave(key, &leave, now),
            Ok(ClientFrame::History(history)) => core.history(key, &history, now),
            Ok(ClientFrame::Presence(about)) => core.presence(key, &about, now),
            Ok(ClientFrame::Online(online)) => core.online(key, &online, now),
            Ok(ClientFrame::Detach) => core.detach(key),
            other => panic!("{other:?}"),
        }
    }

    /// Sends something durable.
    pub(super) fn post(&mut self, node: usize, key: SessionKey, to: &str, data: u64) {
        let to = format!(r#""to":{{"user":"{to}"}}"#);
        self.say(node, key, &format!(r#"{{"op":"send","ref":{data},{to},"data":{data}}}"#));
    }

    /// Sends something ephemeral.
    pub(super) fn send(&mut self, node: usize, key: SessionKey, to: &str, data: u64) {
        let to = format!(r#""to":{{"user":"{to}"}}"#);
        self.say(node, key, &format!(r#"{{"op":"send","ref":{data},{to},"ephemeral":true,"data":{data}}}"#));
    }
}

/// Nodes that take as much as a test sends.
pub(super) fn generous() -> CoreConfig {
    let limits = Limits { sends_per_second: 100_000, sends_burst: 100_000, ..config().limits };
    CoreConfig { limits, ..config() }
}

/// How the nodes of a world are set up, unless a test wants it otherwise.
pub(super) fn config() -> CoreConfig {
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
        outbound_bytes: 1024 * 1024,
        heartbeat_ms: 25_000,
        rebalance: Rebalance::Arcs,
        move_rate: 2_000,
        move_deadline_ms: 30_000,
        retentions: Retentions::default(),
        presence_grace_ms: 10_000,
        tickets: Tickets::new(
            Secrets::new("a secret for tests, long enough to be taken", &[]).unwrap().ticket_keys(),
        ),
    }
}
