//! One run: the cluster, its clients and its faults under one scheduler. Events come in the order of their virtual times,
//! and of their making where those are equal; the real keepers and log workers run as tasks of the same runtime between
//! them.

mod clients;
mod cluster;
mod drain;
mod event;
mod faults;
mod links;
mod lookups;
mod npm;
mod peers;
mod process;
mod sockets;
mod verdict;

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use ::cluster::log::{Log, LogConfig};
use ::cluster::membership::{MembershipStore, RecordKeys, Stored};
use ::cluster::secret::Secrets;
use ::cluster::store::{LogCopy, MemoryStore};
use ::cluster::tokens::Tickets;
use parking_lot::Mutex;
use tokio::time::{Duration, sleep_until};

use self::event::{Event, Scheduled};
use self::links::Link;
use self::lookups::Lanes;
use self::npm::{Crew, NpmEvent};
use self::process::Process;
use self::sockets::Socket;
use crate::book::Book;
use crate::client::Client;
use crate::dice::Dice;
use crate::logbook::LogBook;
use crate::npm::Program;
use crate::plan::{CALM_MS, END_MS, LOOKUPS, Plan, SETTLED_MS};
use crate::shared::{Ear, Net, PLACES, Shared, UNIX_MS};
use crate::sinks::{Mark, Marks};
use crate::store::Reaps;

/// The service.
pub(crate) const SERVICE: &str = "default";
/// How long leases last.
const LEASE: Duration = Duration::from_secs(3);

/// A run.
pub(crate) struct World {
    plan: Plan,
    shared: Arc<Shared>,
    store: MemoryStore,
    membership: Arc<dyn MembershipStore>,
    log: Arc<dyn Log>,
    reaps: Reaps,
    keys: RecordKeys,
    tickets: Tickets,
    marks: Marks,
    queue: BinaryHeap<Scheduled>,
    serial: u64,
    /// For clients' doings, and for everything else.
    whims: Dice,
    dice: Dice,
    /// What runs at each place.
    processes: Vec<Option<Process>>,
    /// How many lives each place has had.
    lives: [u32; PLACES],
    links: BTreeMap<u64, Link>,
    sockets: BTreeMap<u64, Socket>,
    next_id: u64,
    clients: Vec<Client>,
    /// Those of them that are the npm client.
    npm: Option<Crew>,
    book: Book,
    /// What was stored at the last copy, and before anything was.
    copied: Option<(LogCopy, LogBook)>,
    empty: LogCopy,
    copied_record: Arc<Mutex<Option<Stored>>>,
    /// When something was last amiss, and from when on all has recovered from that.
    trouble_ms: u64,
    /// Since when the store is away, and processes are not there.
    store_away_ms: Option<u64>,
    ended_ms: [Option<u64>; PLACES],
    /// When something was last cut off that no longer is.
    healed_ms: u64,
    /// When somebody joined or left a group last.
    changed_ms: BTreeMap<String, u64>,
    calm_from_ms: u64,
    /// Whom lookup services sent to which nodes.
    lanes: Lanes,
    /// What happened, to see whether a run was worth it.
    pub(crate) tally: Tally,
}

/// What happened in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sends of clients.
    pub sends: u64,
    /// Those that were acknowledged.
    pub acked: u64,
    /// Those that failed.
    pub failed: u64,
    /// Messages that clients took over.
    pub delivered: u64,
    /// Faults, and their ends.
    pub faults: u64,
    /// Looks at clients while all was well, and had been for long.
    pub calm: u64,
    /// Offers to move.
    pub moved: u64,
    /// Views that processes came to.
    pub views: u64,
    /// Connections of clients.
    pub sockets: u64,
    /// Batches on links.
    pub batches: u64,
    /// Nodes that drained.
    pub drains: u64,
    /// Sessions that they had in the beginning, and those that they closed in the end.
    pub drained: (u64, u64),
    /// Times that a node read the ring past the dead.
    pub bypasses: u64,
    /// Looks at nodes that have to do so.
    pub bypass_looks: u64,
    /// Lookups that had to come again.
    pub paced: u64,
    /// Looks at what clients were told of their groups, while all was well.
    pub rosters: u64,
    /// Messages that applications of npm clients were given.
    pub given: u64,
}

// === impl Tally ===

impl Tally {
    /// The sum of two.
    pub fn plus(self, other: Self) -> Self {
        Self {
            sends: self.sends + other.sends,
            acked: self.acked + other.acked,
            failed: self.failed + other.failed,
            delivered: self.delivered + other.delivered,
            faults: self.faults + other.faults,
            calm: self.calm + other.calm,
            moved: self.moved + other.moved,
            views: self.views + other.views,
            sockets: self.sockets + other.sockets,
            batches: self.batches + other.batches,
            drains: self.drains + other.drains,
            drained: (self.drained.0 + other.drained.0, self.drained.1 + other.drained.1),
            bypasses: self.bypasses + other.bypasses,
            bypass_looks: self.bypass_looks + other.bypass_looks,
            paced: self.paced + other.paced,
            rosters: self.rosters + other.rosters,
            given: self.given + other.given,
        }
    }
}

// === impl World ===

impl World {
    /// The beginning of a run.
    ///
    /// # Errors
    /// It could not be set up.
    pub(crate) fn new(plan: Plan, story: bool, npm: Option<&Program>) -> Result<Self, String> {
        let seed = plan.seed;
        let shared = Shared::new(seed, Net::new(plan.latency_ms), story);
        let store = MemoryStore::with_clock_at(UNIX_MS);
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let membership = store.membership(SERVICE, LEASE).map_err(|error| text(&error))?;
        let log = store.log(SERVICE, LogConfig::default()).map_err(|error| text(&error))?;
        let secrets =
            Secrets::new("a secret for simulations, long enough", &[]).map_err(|error| text(&error))?;
        let empty = store.copy_log(SERVICE);
        let mut whims = Dice::new(seed, 2);
        let client = |number: usize| Client::new(&format!("c{number}"), whims.one_in(6), whims.one_in(2));
        let mut clients: Vec<Client> = (0..plan.clients).map(client).collect();
        // The npm client asks for what its application wants.
        clients.iter_mut().for_each(|client| client.watches = whims.one_in(2) && npm.is_none());
        let npm = npm.map(|program| Crew::new(program, &clients)).transpose()?;
        Ok(Self {
            shared,
            store,
            membership,
            log,
            reaps: Reaps::default(),
            keys: secrets.record_keys(),
            tickets: Tickets::new(secrets.ticket_keys()),
            marks: Marks::default(),
            queue: BinaryHeap::new(),
            serial: 0,
            whims,
            dice: Dice::new(seed, 4),
            processes: (0..PLACES).map(|_| None).collect(),
            lives: [0; PLACES],
            links: BTreeMap::new(),
            sockets: BTreeMap::new(),
            next_id: 1,
            clients,
            npm,
            book: Book::default(),
            copied: None,
            empty,
            copied_record: Arc::default(),
            trouble_ms: 0,
            store_away_ms: None,
            ended_ms: [None; PLACES],
            healed_ms: 0,
            changed_ms: BTreeMap::new(),
            calm_from_ms: 3_500,
            lanes: Lanes::default(),
            tally: Tally::default(),
            plan,
        })
    }

    /// What its tasks share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Lets it happen; ends with the first thing that is wrong.
    pub(crate) async fn run(&mut self) {
        self.begin();
        loop {
            while let Some((life, news)) = self.shared.news() {
                self.heard(life, news);
            }
            let failed = self.shared.state().failure.is_some();
            let now_ms = self.shared.now_ms();
            if failed || now_ms >= END_MS {
                break;
            }
            match self.queue.peek() {
                Some(next) if next.at_ms <= now_ms => {
                    if let Some(next) = self.queue.pop() {
                        self.handle(next.event);
                    }
                }
                next => {
                    let until_ms = next.map_or(END_MS, |next| next.at_ms.min(END_MS));
                    let until = self.shared.at(until_ms);
                    tokio::select! {
                        biased;
                        () = self.shared.wake.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
        if self.shared.state().failure.is_none()
            && let Err(wrong) = self.check_end().await
        {
            self.shared.fail(wrong);
        }
        self.tally.sends = self.book.sends.len() as u64;
        (self.tally.acked, self.tally.failed) = (self.book.acked, self.book.failed);
        (self.tally.delivered, self.tally.given) = (self.book.delivered, self.given());
    }

    fn begin(&mut self) {
        tokio::spawn(self.shared().pass_on(Ear::Notices, self.membership.notices()));
        tokio::spawn(self.shared().pass_on(Ear::Interruptions, self.log.interruptions()));
        for place in (0..self.plan.nodes).chain(LOOKUPS.take(self.plan.lookups)) {
            self.start(place);
        }
        for (number, (at_ms, fault)) in self.plan.faults.clone().into_iter().enumerate() {
            self.shared.state().trace.note(at_ms, format_args!("planned {number}: {fault:?}"));
            self.schedule(at_ms, Event::Fault(fault));
        }
        self.schedule(CALM_MS + 1, Event::Calm);
        self.schedule(SETTLED_MS, Event::Settled);
        for client in 0..self.clients.len() {
            let at_ms = self.whims.between(500, 2_500);
            let serial = self.clients[client].serial;
            let begin = match self.is_npm(client) {
                true => Event::Npm(NpmEvent::Begin(client)),
                false => Event::Seek { client, serial },
            };
            self.schedule(at_ms, begin);
            self.schedule(at_ms + 500, Event::Whim(client));
        }
    }

    /// Has something happen at this time.
    fn schedule(&mut self, at_ms: u64, event: Event) {
        self.serial += 1;
        self.queue.push(Scheduled { at_ms, serial: self.serial, event });
    }

    /// Has something happen in so many milliseconds.
    fn after(&mut self, ms: u64, event: Event) {
        self.schedule(self.shared.now_ms() + ms, event);
    }

    /// A delay on the way.
    fn latency(&mut self) -> u64 {
        self.dice.below(self.plan.latency_ms + 1)
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn handle(&mut self, event: Event) {
        let now_ms = self.shared.now_ms();
        self.shared.state().log.now_ms = now_ms;
        if let Some(place) = self.place_of(&event)
            && let Some(process) = self.processes[place].as_mut()
            && process.paused
        {
            process.deferred.push(event);
            return;
        }
        match event {
            Event::Tick(life) => self.tick(life),
            Event::Work(life) => self.work(life),
            Event::DrainLook(life) => self.look_at_drain(life),
            Event::Gone(life) => self.gone(life),
            Event::Dial { life, target } => self.dial(life, &target),
            Event::LinkFlush(link, end) => self.flush_link(link, end),
            Event::LinkArrive(link, end) => self.arrive(link, end),
            Event::LinkBeat(link, end) => self.beat(link, end),
            Event::LinkLook(link, end) => self.look(link, end),
            Event::SocketUp { socket, text } => self.say_up(socket, &text),
            Event::SocketDown(socket) => self.carry_down(socket),
            Event::SocketTime(socket) => self.socket_time(socket),
            Event::SocketLost(socket) => self.socket_lost(socket),
            Event::ClientGone(socket) => self.client_gone(socket),
            Event::Ask { client, serial, place } => self.ask(client, serial, place),
            Event::ComeAgain { client, serial, ms } => self.come_again(client, serial, ms),
            Event::Answer { client, serial, grant } => self.answer(client, serial, *grant),
            Event::Connect { client, serial, place, ticket } => self.connect(client, serial, place, &ticket),
            Event::Opened { client, serial, socket } => self.opened(client, serial, socket),
            Event::Unreached { client, serial, node } => self.unreached(client, serial, node),
            Event::Seek { client, serial } => self.seek(client, serial),
            Event::GoMove { client, serial, url, ticket } => self.go_move(client, serial, &url, &ticket),
            Event::Whim(client) => self.whim(client),
            Event::Npm(event) => self.npm_event(event),
            Event::Fault(fault) => self.fault(fault),
            Event::Calm => self.calm(),
            Event::Settled => self.check_settled(),
        }
        self.carry();
    }

    /// Looks at what cores have left in queues.
    fn carry(&mut self) {
        self.plan_work();
        loop {
            let marks = std::mem::take(&mut *self.marks.lock());
            if marks.is_empty() {
                return;
            }
            for mark in marks {
                match mark {
                    Mark::Socket(socket) => self.mark_socket(socket),
                    Mark::Link(link, end) => self.mark_link(link, end),
                    Mark::Moved(socket, frame) => self.check_moved(socket, &frame),
                    Mark::Refused(socket, frame) => self.refused(socket, &frame),
                    Mark::Closed(socket, code) => self.check_closed(socket, code),
                }
            }
        }
    }
}
