//! What half a million sessions cost a node as they come, and then a new ring, and another node's end:
//! `cargo bench -p ws-node --bench ring_change`.
//!
//! Measured are the call that applies the ring, after which it is known whom it concerns, and each piece of work after it: the
//! longest of them is the longest time that the node's lock is held on behalf of the change. All times are this thread's on a CPU, the
//! best of the rounds; 500,000 sessions do not fit into the caches, so the memory's speed decides. It fails if another node's coming, going
//! or end takes longer to apply than the target; this node's own drain has one round only, and so no best.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up fails")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cluster::grant::Holder;
use cluster::log::{Epoch, Opened, Position, Retentions};
use cluster::ring::{Member, MemberState, Policy, Ring, RingKey, Slot};
use cluster::secret::Secrets;
use cluster::tokens::{Grants, PeerName, Tickets, install_crypto};
use cluster::wire::client::Hello;
use cluster::wire::codes::CloseCode;
use cluster::wire::node::Limits;
use cluster::wire::peer::{FromHome, Interest, Members, ToHome, decode, encode};
use rustix::time::{ClockId, clock_gettime};
use ws_node::core::log_port::{LogAnswer, LogRequest, LogSink};
use ws_node::core::{Admission, Core, CoreConfig, LinkSink, Now, Rebalance, SessionSink, TICK_MS};

const SESSIONS: usize = 500_000;
/// Nodes before the change: with the one that joins there are ten.
const NODES: usize = 9;
const ROUNDS: usize = 5;
/// Topics that another node of 500,000 sessions asked for here: its inboxes, and groups with a member each.
const ASKED_INBOXES: usize = 45_000;
const ASKED_GROUPS: usize = 10_000;
/// The link that it asked on.
const ASKER: u64 = 1_000;
/// The most that the call which applies a ring may take, in milliseconds.
const TARGET_MS: f64 = 1.0;
/// The log's answers in one call, as the worker gives them.
const ANSWERS: usize = 100;

/// A session's queue: counts what it is told.
#[derive(Clone, Default)]
struct Client(Arc<Mutex<usize>>);

/// One direction of a link, and what is asked of the log.
#[derive(Clone)]
struct Queue<T>(Arc<Mutex<Vec<T>>>);

struct Node {
    core: Core<Client, Queue<Bytes>>,
    log: Queue<LogRequest>,
    links: Vec<(String, Queue<Bytes>)>,
    told: Client,
    /// The slot of each session's user.
    slots: Vec<Slot>,
    ms: u64,
}

/// The times of one change.
#[derive(Default)]
struct Costs {
    to_move: usize,
    applying: Duration,
    pieces: Vec<Duration>,
    asked: usize,
    asked_in_ms: u64,
}

fn main() -> ExitCode {
    install_crypto();
    let rings: Vec<Arc<Ring>> = rings();
    let mut node = Node::new(&rings[0]);
    let before = resident_bytes();
    let longest = node.fill(&rings[0]);
    println!("{SESSIONS} idle sessions at home: {} bytes each", (resident_bytes() - before) / SESSIONS);
    println!("  the longest time that the coming of one took: {:.3} ms", longest.as_secs_f64() * 1e3);
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    for pair in rings[..=2 * ROUNDS].windows(2) {
        let costs = node.change(&pair[0], &pair[1]);
        if joins.len() == leaves.len() { &mut joins } else { &mut leaves }.push(costs);
    }
    let ends: Vec<_> = (0..ROUNDS).map(|_| node.asker_ends(&rings[2 * ROUNDS])).collect();
    let changes = [("a tenth node joins", joins), ("it leaves again", leaves), ("another node ends", ends)];
    let slow = changes.iter().filter(|(what, rounds)| report(what, rounds) > TARGET_MS).count();
    let drained = Arc::new(rings[2 * ROUNDS].drain("n0"));
    report("this node drains", &[node.change(&rings[2 * ROUNDS], &drained)]);
    if slow == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Node {
    fn new(ring: &Arc<Ring>) -> Self {
        let log = Queue::default();
        let me = PeerName { id: "n0".into(), generation: 1 };
        let mut core = Core::new(config(), me, ring.clone(), Box::new(log.clone()), fresh_id);
        let mut links = Vec::new();
        for (number, link) in (1..=NODES).zip(1..) {
            let (id, queue) = (format!("n{number}"), Queue::default());
            core.home_opened(&id, link, queue.clone());
            links.push((id, queue));
        }
        Self { core, log, links, told: Client::default(), slots: Vec::new(), ms: 1_000 }
    }

    fn now(&self) -> Now {
        Now { tick_ms: self.ms, unix_ms: 1_700_000_000_000 + self.ms }
    }

    /// Sessions of users who are at home here. Returns the longest time that the lock is held for one.
    fn fill(&mut self, ring: &Ring) -> Duration {
        let mut pieces = Vec::new();
        let at_home = |user: &String| {
            ring.home(ring.key().slot(&format!("u:{user}"))).is_some_and(|home| home.id == "n0")
        };
        let users = (0..).map(|number| format!("user-{number:08}")).filter(at_home).take(SESSIONS);
        for (number, user) in users.enumerate() {
            self.slots.push(ring.key().slot(&format!("u:{user}")));
            let holder = Holder { user, avoid: vec![], token_expires_s: None, grants: Grants::default() };
            let jti = format!("ticket-{number}");
            let admission = Admission { holder, jti, expires_s: 0, ring: ring.version() };
            let (told, now) = (self.told.clone(), self.now());
            let (key, time) = timed(|| self.core.admit(admission, told, now));
            pieces.push(time);
            let key = key.map_err(|(code, _)| code).unwrap();
            pieces.push(timed(|| self.core.hello(key, &Hello::default(), now)).1);
            self.answer_log(&mut pieces);
        }
        self.core.tick(self.now());
        assert_eq!(*self.told.0.lock().unwrap(), SESSIONS, "all are welcomed");
        *self.told.0.lock().unwrap() = 0;
        pieces.into_iter().max().unwrap()
    }

    /// Goes by the next ring until nothing is left to do and everybody was asked.
    fn change(&mut self, older: &Ring, next: &Arc<Ring>) -> Costs {
        let mut costs = Costs::default();
        // Whoever was asked before has lost patience by then, and nothing that was before is left.
        self.ms += 10_000_000;
        self.settle();
        let changed = older.changed(next);
        if changed.iter().any(|arc| arc.from == Some("n0")) {
            costs.to_move = changed.positions(&self.slots).len();
        }
        let now = self.now();
        ((), costs.applying) = timed(|| self.core.ring_changed(next.clone(), now));
        costs.pieces.push(costs.applying);
        let began = self.ms;
        loop {
            self.work_off(&mut costs.pieces);
            self.answer_homes(&mut costs.pieces);
            self.answer_log(&mut costs.pieces);
            costs.asked = *self.told.0.lock().unwrap();
            if costs.asked >= costs.to_move {
                break;
            }
            self.ms += TICK_MS;
            let now = self.now();
            costs.pieces.push(timed(|| self.core.tick(now)).1);
        }
        costs.asked_in_ms = self.ms - began;
        *self.told.0.lock().unwrap() = 0;
        costs
    }

    /// A node asks for its topics here, and ends.
    fn asker_ends(&mut self, ring: &Ring) -> Costs {
        let mut costs = Costs::default();
        self.ms += 10_000_000;
        self.settle();
        let is_here = |name: &String| ring.home(ring.key().slot(name)).is_some_and(|home| home.id == "n0");
        let inboxes = (0..).map(|number| format!("u:guest-{number:08}")).filter(is_here).take(ASKED_INBOXES);
        let groups: Vec<_> =
            (0..).map(|number| format!("g:room-{number:08}")).filter(is_here).take(ASKED_GROUPS).collect();
        let names: Vec<_> = inboxes.chain(groups.iter().cloned()).collect();
        // The link's own task has it, too.
        let link = Queue::default();
        self.core.asker_opened(ASKER, link.clone());
        self.core.asker_is(ASKER, "n1");
        let (before, now) = (self.core.topic_count(), self.now());
        for (call, names) in (1..).zip(names.chunks(ANSWERS)) {
            let interest = |name| Interest { topic: name, sessions: 1, known: None, verify: false };
            let topics = names.iter().map(|name| interest(name.as_str())).collect();
            self.core.asked(ASKER, &encode(&ToHome::Interest { call, topics }), now);
            self.answer_log(&mut Vec::new());
        }
        for topic in &groups {
            let joined = vec!["guest"];
            let members = Members { topic, begins: true, joined, left: Vec::new(), watching: false };
            self.core.asked(ASKER, &encode(&ToHome::Members(members)), now);
        }
        self.work_off(&mut Vec::new());
        assert_eq!(self.core.topic_count(), before + names.len(), "all are taken note of");
        ((), costs.applying) = timed(|| self.core.asker_closed(ASKER));
        costs.pieces.push(costs.applying);
        self.work_off(&mut costs.pieces);
        assert_eq!(self.core.topic_count(), before, "nothing is left behind");
        costs
    }

    /// Long after all that was: what half a million sessions left to do comes due in one tick here.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.core.tick(self.now());
            self.work_off(&mut Vec::new());
            self.answer_log(&mut Vec::new());
        }
        *self.told.0.lock().unwrap() = 0;
    }

    fn work_off(&mut self, pieces: &mut Vec<Duration>) {
        loop {
            let now = self.now();
            let (more, time) = timed(|| self.core.work_off(now));
            pieces.push(time);
            if !more {
                return;
            }
        }
    }

    /// The homes take note of interest.
    fn answer_homes(&mut self, pieces: &mut Vec<Duration>) {
        for at in 0..self.links.len() {
            let (id, frames) = (self.links[at].0.clone(), self.links[at].1.take());
            for frame in frames {
                let Some(ToHome::Interest { call, topics }) = decode::<ToHome<'_>>(&frame) else { continue };
                let positions = topics.iter().map(|topic| topic.known).collect();
                let (answer, now) = (encode(&FromHome::Interested { call, positions }), self.now());
                pieces.push(timed(|| self.core.answered_by(&id, &answer, now)).1);
            }
        }
    }

    /// The log opens what it was asked to open.
    fn answer_log(&mut self, pieces: &mut Vec<Duration>) {
        let epoch = Epoch::from_hex("0123456789abcdef").unwrap();
        let position = Position { epoch, offset: 1 };
        let answer = |request| match request {
            LogRequest::Open { topic, .. } => {
                Some(LogAnswer::Opened { topic, result: Ok(Opened { position, first: 1 }) })
            }
            _ => None,
        };
        let mut answers = self.log.take().into_iter().filter_map(answer).peekable();
        while answers.peek().is_some() {
            let (some, now) = (answers.by_ref().take(ANSWERS).collect(), self.now());
            pieces.push(timed(|| self.core.log_answered(some, now)).1);
        }
    }
}

impl SessionSink for Client {
    fn push(&self, frame: Bytes) {
        black_box(frame);
        *self.0.lock().unwrap() += 1;
    }

    fn waiting_bytes(&self) -> usize {
        0
    }

    fn close(&self, _code: CloseCode) {}
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Queue<T> {
    fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl LinkSink for Queue<Bytes> {
    fn send(&self, frame: Bytes) -> bool {
        self.0.lock().unwrap().push(frame);
        true
    }

    fn has_ended(&self) -> bool {
        false
    }
}

impl LogSink for Queue<LogRequest> {
    fn submit(&self, request: LogRequest) -> Result<(), LogRequest> {
        self.0.lock().unwrap().push(request);
        Ok(())
    }
}

/// Nine nodes; then a tenth that joins and leaves, again and again.
fn rings() -> Vec<Arc<Ring>> {
    let genesis = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    let mut ring = (0..NODES).fold(genesis, |ring, number| ring.join(member(number)).unwrap());
    let mut rings = vec![Arc::new(ring.clone())];
    for _ in 0..ROUNDS {
        ring = ring.join(member(NODES)).unwrap();
        rings.push(Arc::new(ring.clone()));
        ring = ring.leave(&[&member(NODES).id]);
        rings.push(Arc::new(ring.clone()));
    }
    rings
}

fn member(number: usize) -> Member {
    Member {
        id: format!("n{number}"),
        generation: number as u64 + 1,
        url: format!("wss://n{number}.ws.example.com/ws"),
        peer: "10.0.0.1:4000".to_owned(),
        weight: 100,
        state: MemberState::Active,
    }
}

fn config() -> CoreConfig {
    let limits = Limits {
        message_bytes: 65_536,
        sends_per_second: 32,
        sends_burst: 64,
        users_per_send: 1_000,
        groups: 128,
    };
    let secrets = Secrets::new("a secret for benchmarks, long enough to be taken", &[]).unwrap();
    CoreConfig {
        service: "default".into(),
        limits,
        sessions_per_user_max: 16,
        outbound_bytes: 1024 * 1024,
        heartbeat_ms: 25_000,
        rebalance: Rebalance::Arcs,
        // So that the bench ends; a piece of work asks as few as with the default.
        move_rate: 20_000,
        move_deadline_ms: 30_000,
        retentions: Retentions::default(),
        presence_grace_ms: 10_000,
        tickets: Tickets::new(secrets.ticket_keys()),
    }
}

fn fresh_id() -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!("{:016x}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = on_cpu();
    let result = work();
    (result, on_cpu() - start)
}

/// How long this thread has been on a CPU.
fn on_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Prints the figures. Returns the milliseconds that applying took.
fn report(what: &str, rounds: &[Costs]) -> f64 {
    let best = |cost: &dyn Fn(&Costs) -> Duration| rounds.iter().map(cost).min().unwrap().as_secs_f64() * 1e3;
    let last = rounds.last().unwrap();
    println!("{what}: {} to move, asked in {} ms", last.to_move, last.asked_in_ms);
    let applying = best(&|costs| costs.applying);
    println!("  the ring applied, and known whom it concerns: {applying:.3} ms, target {TARGET_MS} ms");
    let longest = best(&|costs| costs.pieces.iter().copied().max().unwrap());
    let percentile = best(&|costs| {
        let mut pieces = costs.pieces.clone();
        pieces.sort_unstable();
        pieces[pieces.len() * 999 / 1_000]
    });
    let sum = best(&|costs| costs.pieces.iter().sum());
    println!(
        "  {} pieces of work, together {sum:.1} ms; the longest {longest:.3} ms, 99.9 % within {percentile:.3} ms",
        last.pieces.len()
    );
    applying
}

/// What this process has in memory.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}
