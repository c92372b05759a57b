//! Processes: nodes with the real keeper, core and log worker; lookup services with the real keeper. They start, crash,
//! stop and go on, and go away gently.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::cluster::membership::{Keeper, KeeperConfig, MemberSpec, Role, Suspects};
use ::cluster::ring::{MemberState, Version};
use ::cluster::tokens::{PeerName, random_id};
use edge::peer::follow::Asks;
use lookup_service::Pacing;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use ws_node::core::log_port::LogAnswer;
use ws_node::core::{Core, Now};
use ws_node::decisions::{By, bypassed, read_past};
use ws_node::log::{LogCounts, LogEvents, QueueBounds};

use super::World;
use super::drain::Draining;
use super::event::Event;
use super::peers::Dialler;
use crate::plan::LOOKUPS;
use crate::shared::{Life, News, Shared, UNIX_MS};
use crate::sinks::{Outbox, PeerSink};
use crate::store::{LogWay, MembershipWay, Way};

/// The real core with the queues of the simulation.
pub(super) type NodeCore = Core<Outbox, PeerSink>;

/// One that runs, or is stopped.
pub(super) struct Process {
    pub(super) life: Life,
    pub(super) paused: bool,
    /// What comes while it is stopped.
    pub(super) deferred: Vec<Event>,
    /// Once it has started.
    pub(super) keeper: Option<Arc<Keeper>>,
    /// Of a node, once it is a member.
    pub(super) core: Option<NodeCore>,
    /// Under which name it opens links.
    pub(super) name: PeerName,
    pub(super) asks: Asks,
    pub(super) diallers: BTreeMap<String, Dialler>,
    /// The last view.
    version: Option<Version>,
    /// It waits for its sessions to go.
    pub(super) draining: Option<Draining>,
    /// Whom its core takes for dead, and past whom it reads the ring.
    pub(super) suspects: Arc<Suspects>,
    past: Arc<Suspects>,
    /// Of a lookup service.
    pub(super) pacing: Pacing,
    /// When it began, or went on.
    pub(super) awake_ms: u64,
    /// It leaves the ring.
    pub(super) leaving: bool,
    /// Its core was called since it was last asked to work off what is left.
    pub(super) touched: bool,
    working: bool,
    ending: CancellationToken,
    starting: AbortHandle,
}

/// A node's log worker tells the world.
struct Told {
    life: Life,
    shared: Arc<Shared>,
}

impl LogEvents for Told {
    fn answered(&self, answers: Vec<LogAnswer>) {
        self.shared.tell(self.life, News::Log(answers));
    }

    fn interrupted(&self) {
        self.shared.tell(self.life, News::Interrupted);
    }
}

/// A node's id.
pub(super) fn id_of(place: usize) -> String {
    format!("n{place}")
}

/// A node's public address.
pub(super) fn url_of(place: usize) -> String {
    format!("wss://n{place}.sim/ws")
}

/// The place of the node with this address.
pub(super) fn place_of_url(url: &str) -> Option<usize> {
    (0..LOOKUPS.start).find(|place| url_of(*place) == url)
}

/// The place of the node with this id.
pub(super) fn place_of_id(id: &str) -> Option<usize> {
    id.strip_prefix('n')?.parse().ok().filter(|place| *place < LOOKUPS.start)
}

impl Process {
    /// Whether it has started.
    pub(super) fn is_up(&self) -> bool {
        self.keeper.is_some()
    }
}

impl World {
    /// The time of a call to a core.
    pub(super) fn now(&self) -> Now {
        let now_ms = self.shared.now_ms();
        Now { tick_ms: now_ms, unix_ms: UNIX_MS + now_ms }
    }

    /// The process of this life, if it still runs.
    pub(super) fn process(&mut self, life: Life) -> Option<&mut Process> {
        self.processes[life.place].as_mut().filter(|process| process.life == life)
    }

    /// The core of this life, if it still runs.
    pub(super) fn core(&mut self, life: Life) -> Option<&mut NodeCore> {
        let process = self.process(life)?;
        process.touched = true;
        process.core.as_mut()
    }

    /// Starts a process where there is none.
    pub(super) fn start(&mut self, place: usize) {
        if self.processes[place].is_some() {
            return;
        }
        self.lives[place] += 1;
        let life = Life { place, number: self.lives[place] };
        self.shared.note(format_args!("{life} starts"));
        let now_ms = self.shared.now_ms();
        self.ended_ms[place] = None;
        self.shared.change(|net| net.paused[place] = false);
        let node = !LOOKUPS.contains(&place);
        let role = if node {
            let peer = format!("10.0.0.{}:7000", place + 1);
            let weights: &[u32] = if self.plan.weights { &[50, 100, 300] } else { &[100] };
            let weight = self.dice.pick(weights).unwrap_or(100);
            Role::Member(MemberSpec { id: id_of(place), url: url_of(place), peer, weight })
        } else {
            Role::Observer
        };
        let mut config = KeeperConfig::new(role, self.keys.clone());
        config.policy = self.plan.policy;
        config.initial_wait = tokio::time::Duration::from_secs(120);
        let way = Way::new(life, self.shared());
        let store = Arc::new(MembershipWay::new(way, self.membership.clone(), self.reaps.clone()));
        let (ending, shared) = (CancellationToken::new(), self.shared());
        // Its own end only: a process that crashes takes nothing back.
        let starting = Keeper::start(store, config, ending.clone());
        let task = tokio::spawn(async move {
            let started = starting.await.map(Arc::new).map_err(|error| error.to_string());
            shared.tell(life, News::Started(started));
        });
        self.processes[place] = Some(Process {
            life,
            paused: false,
            deferred: Vec::new(),
            keeper: None,
            core: None,
            name: PeerName { id: format!("lookup-{place}"), generation: u64::from(life.number) },
            asks: Asks::default(),
            diallers: BTreeMap::new(),
            version: None,
            draining: None,
            suspects: Arc::default(),
            past: Arc::default(),
            pacing: Pacing::default(),
            awake_ms: now_ms,
            leaving: false,
            touched: false,
            working: false,
            ending,
            starting: task.abort_handle(),
        });
    }

    /// A process is gone, whatever it was at. Its machine tells whoever was connected.
    pub(super) fn end(&mut self, place: usize) {
        let Some(process) = self.processes[place].take() else { return };
        self.shared.note(format_args!("{} is gone", process.life));
        self.ended_ms[place] = Some(self.shared.now_ms());
        process.starting.abort();
        process.ending.cancel();
        self.shared.change(|net| net.paused[place] = false);
        self.links_of_dead(process.life);
        self.sockets_of_dead(process.life);
        for event in process.deferred {
            // What was on its way to it finds nobody.
            self.after(0, event);
        }
    }

    /// SIGSTOP.
    pub(super) fn pause(&mut self, place: usize) {
        let Some(process) = self.processes[place].as_mut().filter(|process| !process.paused) else { return };
        process.paused = true;
        self.shared.note(format_args!("n{place} is stopped"));
        self.shared.change(|net| net.paused[place] = true);
    }

    /// SIGCONT: first it hears what has arrived, then it does what fell due.
    pub(super) fn wake(&mut self, place: usize) {
        let now_ms = self.shared.now_ms();
        let Some(process) = self.processes[place].as_mut().filter(|process| process.paused) else { return };
        process.paused = false;
        process.awake_ms = now_ms;
        let (arrived, due): (Vec<_>, Vec<_>) = std::mem::take(&mut process.deferred)
            .into_iter()
            .partition(|event| matches!(event, Event::LinkArrive(..) | Event::SocketUp { .. }));
        self.shared.note(format_args!("n{place} goes on"));
        self.shared.change(|net| net.paused[place] = false);
        for event in arrived.into_iter().chain(due) {
            self.after(0, event);
        }
    }

    /// A task of a process has something to say.
    pub(super) fn heard(&mut self, life: Life, news: News) {
        if self.process(life).is_none() {
            return;
        }
        let now = self.now();
        match news {
            News::Started(Ok(keeper)) => self.started(life, keeper),
            News::Started(Err(error)) => {
                self.shared.fail(format_args!("{life} could not start: {error}"));
            }
            News::View => self.catch_up(life),
            News::Log(answers) => {
                if let Some(core) = self.core(life) {
                    core.log_answered(answers, now);
                }
            }
            News::Interrupted => {
                if let Some(core) = self.core(life) {
                    core.log_interrupted();
                }
            }
            News::Left => self.left(life),
        }
        self.carry();
    }

    fn started(&mut self, life: Life, keeper: Arc<Keeper>) {
        self.follow(life, &keeper);
        let Some(process) = self.process(life) else { return };
        process.keeper = Some(Arc::clone(&keeper));
        let ending = process.ending.clone();
        if let (Some(ring), false) = (keeper.ring(), LOOKUPS.contains(&life.place)) {
            let generation = keeper.generation().borrow().unwrap_or(0);
            let (queue, worker) = ws_node::log::queue(QueueBounds::default(), LogCounts::default());
            let me = PeerName { id: id_of(life.place), generation };
            let config = self.core_config();
            let mut core = Core::new(config, me.clone(), ring, Box::new(queue), random_id);
            if let Some(piece) = self.plan.piece {
                core.work_in_pieces_of(piece);
            }
            let log = Arc::new(LogWay::new(Way::new(life, self.shared()), self.log.clone()));
            tokio::spawn(worker.run(log, Arc::new(Told { life, shared: self.shared() }), ending));
            if let Some(process) = self.process(life) {
                (process.core, process.name) = (Some(core), me);
            }
            let phase = self.dice.below(100);
            self.after(phase, Event::Tick(life));
        }
        self.shared.note(format_args!("{life} has started"));
        self.catch_up(life);
    }

    /// Tells the world of new views and generations.
    fn follow(&mut self, life: Life, keeper: &Arc<Keeper>) {
        let (mut view, mut generation) = (keeper.view(), keeper.generation());
        let mut suspects = keeper.suspects();
        let shared = self.shared();
        let Some(process) = self.process(life) else { return };
        let ending = process.ending.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = ending.cancelled() => return,
                    Ok(()) = view.changed() => {}
                    Ok(()) = generation.changed() => {}
                    Ok(()) = suspects.changed() => {}
                }
                shared.awake(life.place).await;
                shared.tell(life, News::View);
            }
        });
    }

    /// Makes a process go by the view and the generation that its keeper holds.
    pub(super) fn catch_up(&mut self, life: Life) {
        let now = self.now();
        let shared = self.shared();
        let Some(process) = self.process(life) else { return };
        let Some(keeper) = process.keeper.clone() else { return };
        if let Some(failure) = &*keeper.failure().borrow() {
            shared.fail(format_args!("{life} is no member any more: {failure}"));
        }
        let Some(ring) = keeper.ring() else { return };
        let version = ring.version();
        if process.version.is_some_and(|before| version < before) {
            shared.fail(format_args!("{life} went back from {:?} to {version}", process.version));
        }
        if process.version.replace(version) != Some(version) {
            let members: Vec<String> = ring
                .members()
                .map(|member| format!("{}{}", member.id, &member.state.as_str()[..1]))
                .collect();
            shared.note(format_args!("{life} sees {version} {} {members:?}", ring.signature()));
        }
        let generation = *keeper.generation().borrow();
        process.touched = true;
        if let Some(core) = &mut process.core {
            process.suspects = keeper.suspects().borrow().clone();
            core.suspected(Arc::clone(&process.suspects));
            let read = read_past(Arc::clone(&ring), &process.past, &core.me().id);
            if read.version() == core.ring().version() {
                core.ring_read(read, now);
            } else {
                core.ring_changed(read, now);
            }
            if let Some(generation) = generation.filter(|generation| *generation != core.me().generation) {
                let me = PeerName { id: core.me().id.clone(), generation };
                core.renamed(me.clone());
                process.name = me;
                shared.note(format_args!("{life} has generation {generation}"));
            }
        }
        let drained = ring.member(&process.name.id).is_some_and(|member| {
            Some(member.generation) == generation && member.state == MemberState::Draining
        });
        if drained {
            self.drain(life.place, By::Membership);
        }
        self.tally.views += 1;
        self.follow_targets(life, &ring);
    }

    /// While the store is away a node reads the ring past those that seem dead.
    pub(super) fn bypass(&mut self, life: Life) {
        let Some(process) = self.process(life) else { return };
        let Some(keeper) = &process.keeper else { return };
        let past = bypassed(&keeper.status().store, &keeper.suspects().borrow(), Instant::now());
        if past != process.past {
            let count = past.len();
            process.past = past;
            self.tally.bypasses += u64::from(count > 0);
            self.shared.note(format_args!("{life} reads the ring past {count} members"));
            self.catch_up(life);
        }
    }

    /// Has those nodes work off what is left whose cores were called.
    pub(super) fn plan_work(&mut self) {
        for place in 0..self.processes.len() {
            let Some(process) = self.processes[place].as_mut().filter(|process| process.touched) else {
                continue;
            };
            process.touched = false;
            let life = process.life;
            if !std::mem::replace(&mut process.working, true) {
                self.after(0, Event::Work(life));
            }
        }
    }

    /// A node works off a piece; others come to its lock before the next one.
    pub(super) fn work(&mut self, life: Life) {
        let (now, delay) = (self.now(), self.dice.below(3));
        let Some(process) = self.process(life) else { return };
        let Some(core) = &mut process.core else { return };
        process.working = core.work_off(now);
        if process.working {
            self.after(delay, Event::Work(life));
        }
    }
}
