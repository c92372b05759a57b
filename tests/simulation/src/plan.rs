//! What a seed means: how large the cluster is, how its network is, who the clients are, and which faults come when.

use cluster::ring::Policy;
use ws_node::core::Rebalance;

use crate::dice::Dice;
use crate::shared::{PLACES, STORE};

/// Virtual time of a run, milliseconds.
pub const END_MS: u64 = 60_000;
/// From here on nothing fails any more.
pub const CALM_MS: u64 = 28_000;
/// By now all have the same view again.
pub const SETTLED_MS: u64 = CALM_MS + 8_000;
/// From here on nobody sends.
pub const QUIET_MS: u64 = 54_000;
/// Lookups that a node is given, a second, where crowds are to wait.
const PACE: u32 = 4;
/// Places of nodes: from 0.
pub const NODES_MAX: usize = 7;
/// The places of lookup services.
pub const LOOKUPS: std::ops::Range<usize> = 8..10;

/// What a seed means.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Nodes in the beginning.
    pub nodes: usize,
    /// Lookup services.
    pub lookups: usize,
    /// Clients.
    pub clients: usize,
    /// How rings are made.
    pub policy: Policy,
    /// Nodes differ in weight, and in each life.
    pub weights: bool,
    /// Whom nodes ask to move.
    pub rebalance: Rebalance,
    /// What nodes do at once after a new ring, 0 for as little as possible.
    pub piece: Option<usize>,
    /// Delays go up to this, milliseconds.
    pub latency_ms: u64,
    /// The log keeps little.
    pub trims: bool,
    /// Lookups that a node is given, a second.
    pub lookups_per_node: u32,
    /// Bytes that may wait on a link.
    pub link_bytes: usize,
    /// What happens when, in order.
    pub faults: Vec<(u64, Fault)>,
}

/// Something happens to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node starts that was not there.
    Join(usize),
    /// A node is told to go away gently.
    Drain(usize),
    /// The same, by the API.
    DrainFromOutside(usize),
    /// A process is gone.
    Crash(usize),
    /// It is started again, if it is not there.
    Restart(usize),
    /// A process is stopped.
    Pause(usize),
    /// It goes on.
    Wake(usize),
    /// Nothing gets from one place to the other.
    Cut(usize, usize),
    /// It does again.
    Heal(usize, usize),
    /// The store takes requests and answers none.
    StoreStalls,
    /// Nobody listens where the store was.
    StoreGone,
    /// It answers again.
    StoreBack,
    /// The store is as empty as on its first day.
    StoreEmpty,
    /// What is stored is copied.
    Copy,
    /// Membership is what it was at the last copy, or nothing.
    MembershipOlder,
    /// The log is.
    LogOlder,
    /// Both are.
    StoreOlder,
    /// Somebody writes rubbish where the ring was, or a ring of another cluster's.
    Garbage(u64),
    /// The log carries out what it is asked, and nobody hears of it.
    AnswersLost,
    /// They do again.
    AnswersHeard,
    /// Of so many notices one is lost or late.
    NoticesBad(u64),
    /// A client takes nothing any more.
    Slow(usize),
    /// It does.
    Quick(usize),
    /// A client's connections break.
    Break(usize),
    /// They fall silent instead.
    Mute(usize),
    /// Everybody's connections break.
    Crowd,
}

/// Kinds of faults; a seed has some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Join,
    Drain,
    Crash,
    Bounce,
    Pause,
    Partition,
    OneWay,
    FromStore,
    Clog,
    StoreStall,
    StoreGone,
    StoreLoss,
    /// A node dies while the store is away.
    Orphans,
    Garbage,
    AnswersLost,
    Notices,
    Clients,
    Crowd,
}

const KINDS: [Kind; 18] = [
    Kind::Join,
    Kind::Drain,
    Kind::Crash,
    Kind::Bounce,
    Kind::Pause,
    Kind::Partition,
    Kind::OneWay,
    Kind::FromStore,
    Kind::Clog,
    Kind::StoreStall,
    Kind::StoreGone,
    Kind::StoreLoss,
    Kind::Orphans,
    Kind::Garbage,
    Kind::AnswersLost,
    Kind::Notices,
    Kind::Clients,
    Kind::Crowd,
];

/// Writes the faults of a plan.
struct Writer {
    dice: Dice,
    nodes: usize,
    /// The next place for a new node.
    next: usize,
    lookups: usize,
    clients: usize,
    faults: Vec<(u64, Fault)>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let nodes = dice.between(2, 5) as usize;
        let lookups = dice.between(1, 2) as usize;
        let clients = dice.between(8, 13) as usize;
        let mut plan = Self {
            seed,
            nodes,
            lookups,
            clients,
            policy: if dice.one_in(2) { Policy::Balanced } else { Policy::Hashed },
            weights: dice.one_in(3),
            rebalance: match dice.below(16) {
                0 => Rebalance::All,
                1 => Rebalance::None,
                _ => Rebalance::Arcs,
            },
            piece: dice.pick(&[None, Some(0), Some(20)]).flatten(),
            latency_ms: dice.pick(&[0, 1, 2, 4, 20]).unwrap_or(1),
            trims: dice.one_in(10),
            lookups_per_node: if dice.one_in(4) { PACE } else { 5_000 },
            link_bytes: if dice.one_in(10) { 4_096 } else { 4 * 1024 * 1024 },
            faults: Vec::new(),
        };
        // Some runs are quiet: what fails there fails for no reason.
        if !dice.one_in(8) {
            let mut writer = Writer { dice, nodes, next: nodes, lookups, clients, faults: Vec::new() };
            writer.write();
            plan.faults = writer.faults;
            if plan.faults.iter().any(|(_, fault)| *fault == Fault::Crowd) {
                plan.lookups_per_node = PACE;
            }
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }
}

impl Writer {
    fn write(&mut self) {
        let kinds: Vec<Kind> = (0..self.dice.between(1, 4)).filter_map(|_| self.dice.pick(&KINDS)).collect();
        let mut at = self.dice.between(3_000, 7_000);
        for _ in 0..self.dice.between(2, 8) {
            let Some(kind) = self.dice.pick(&kinds) else { return };
            self.incident(kind, at);
            at += self.dice.between(300, 6_000);
            if at > CALM_MS - 3_000 {
                return;
            }
        }
    }

    /// How long something lasts: short, beyond a lease, or long.
    fn length(&mut self) -> u64 {
        match self.dice.below(3) {
            0 => self.dice.between(50, 900),
            1 => self.dice.between(900, 4_500),
            _ => self.dice.between(4_500, 15_000),
        }
    }

    fn at(&mut self, at: u64, fault: Fault) {
        self.faults.push((at.min(CALM_MS), fault));
    }

    fn node(&mut self) -> usize {
        self.dice.index(self.nodes)
    }

    /// Any process.
    fn process(&mut self) -> usize {
        if self.dice.one_in(5) { LOOKUPS.start + self.dice.index(self.lookups) } else { self.node() }
    }

    fn incident(&mut self, kind: Kind, at: u64) {
        let until = at + self.length();
        match kind {
            Kind::Join if self.next < NODES_MAX => {
                self.at(at, Fault::Join(self.next));
                self.next += 1;
                self.nodes += 1;
            }
            Kind::Join => {}
            Kind::Drain => {
                let node = self.node();
                let fault =
                    if self.dice.one_in(3) { Fault::DrainFromOutside(node) } else { Fault::Drain(node) };
                self.at(at, fault);
                let back = at + self.dice.between(3_000, 12_000);
                self.at(back, Fault::Restart(node));
            }
            Kind::Crash | Kind::Bounce => {
                let process = self.process();
                self.at(at, Fault::Crash(process));
                let soon = at + self.dice.between(50, 1_500);
                self.at(if kind == Kind::Bounce { soon } else { until }, Fault::Restart(process));
            }
            Kind::Pause => {
                let process = self.process();
                self.at(at, Fault::Pause(process));
                self.at(until, Fault::Wake(process));
            }
            Kind::Partition | Kind::OneWay => {
                let (one, other) = (self.process(), self.process());
                self.cut(one, other, at, until);
                if kind == Kind::Partition {
                    self.cut(other, one, at, until);
                }
            }
            Kind::FromStore => {
                let process = self.process();
                let way = self.dice.below(3);
                if way != 0 {
                    self.cut(process, STORE, at, until);
                }
                if way != 1 {
                    self.cut(STORE, process, at, until);
                }
            }
            Kind::Clog => self.clog(at),
            Kind::StoreStall | Kind::StoreGone => {
                let stalls = kind == Kind::StoreStall;
                self.at(at, if stalls { Fault::StoreStalls } else { Fault::StoreGone });
                self.at(until, Fault::StoreBack);
            }
            Kind::StoreLoss => self.loss(at, until),
            Kind::Orphans => self.orphans(at),
            Kind::Garbage => {
                let number = self.dice.number();
                self.at(at, Fault::Garbage(number));
            }
            Kind::AnswersLost => {
                self.at(at, Fault::AnswersLost);
                self.at(until.min(at + 4_000), Fault::AnswersHeard);
            }
            Kind::Notices => {
                let one_in = self.dice.between(1, 3);
                self.at(at, Fault::NoticesBad(one_in));
                self.at(until, Fault::NoticesBad(0));
            }
            Kind::Clients => self.client(at, until),
            Kind::Crowd => self.crowd(at),
        }
    }

    /// All clients come back at once, again and again.
    fn crowd(&mut self, at: u64) {
        let pause_ms = self.dice.between(200, 600);
        (0..6).for_each(|times| self.at(at + times * pause_ms, Fault::Crowd));
    }

    fn cut(&mut self, from: usize, to: usize, at: u64, until: u64) {
        if from != to {
            self.at(at, Fault::Cut(from, to));
            self.at(until, Fault::Heal(from, to));
        }
    }

    /// Ways between nodes clog one after the other, and are released in any order.
    fn clog(&mut self, at: u64) {
        for _ in 0..self.dice.between(2, 6) {
            let (from, to) = (self.node(), self.node());
            let begins = at + self.dice.below(2_000);
            let ends = begins + self.dice.between(100, 4_500);
            self.cut(from, to, begins, ends);
        }
    }

    /// The store is gone for a moment, or not even that, and has lost something.
    fn loss(&mut self, at: u64, until: u64) {
        let copied = at.saturating_sub(self.dice.between(300, 6_000));
        self.at(copied, Fault::Copy);
        let all = [Fault::StoreEmpty, Fault::MembershipOlder, Fault::LogOlder, Fault::StoreOlder];
        let Some(fault) = self.dice.pick(&all) else { return };
        if self.dice.one_in(3) {
            self.at(at, fault);
        } else {
            self.at(at, Fault::StoreGone);
            let until = until.min(at + 5_000);
            self.at(until, fault);
            self.at(until, Fault::StoreBack);
        }
    }

    fn orphans(&mut self, at: u64) {
        let (node, stalls) = (self.node(), self.dice.one_in(2));
        self.at(at, if stalls { Fault::StoreStalls } else { Fault::StoreGone });
        let (dies, back) = (at + self.dice.between(0, 1_500), at + self.dice.between(8_000, 13_000));
        self.at(dies, Fault::Crash(node));
        self.at(back, Fault::StoreBack);
        let restart = back + self.dice.between(0, 3_000);
        self.at(restart, Fault::Restart(node));
    }

    fn client(&mut self, at: u64, until: u64) {
        let client = self.dice.index(self.clients);
        match self.dice.below(3) {
            0 => {
                self.at(at, Fault::Slow(client));
                self.at(until, Fault::Quick(client));
            }
            1 => self.at(at, Fault::Break(client)),
            _ => self.at(at, Fault::Mute(client)),
        }
    }
}

const _: () = assert!(NODES_MAX <= LOOKUPS.start && LOOKUPS.end <= STORE && STORE < PLACES);
