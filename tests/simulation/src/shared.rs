//! What the tasks of a run share: its time, its trace and verdict, the network that they cross, and where they leave news
//! for the world.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use cluster::membership::Keeper;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant};
use ws_node::core::log_port::LogAnswer;

use crate::dice::Dice;
use crate::logbook::LogBook;
use crate::trace::Trace;

/// Places in the network: processes, and the store.
pub(crate) const PLACES: usize = 12;
/// The store's place.
pub(crate) const STORE: usize = PLACES - 1;
/// The wall clock when a run begins, milliseconds since 1970.
pub(crate) const UNIX_MS: u64 = 1_700_000_000_000;

/// One life of a process: its place, and the how manieth it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    /// The place of the process.
    pub(crate) place: usize,
    /// Counts from 1.
    pub(crate) number: u32,
}

/// Shared by all tasks of a run.
pub(crate) struct Shared {
    start: Instant,
    state: Mutex<State>,
    /// Told when the network changes.
    changed: Notify,
    /// Who listens to the store, in the order in which they began.
    ears: Mutex<Vec<Listener>>,
    /// Told when there is news for the world.
    pub(crate) wake: Notify,
}

/// What is behind the lock.
pub(crate) struct State {
    /// The events.
    pub(crate) trace: Trace,
    /// What went wrong first.
    pub(crate) failure: Option<String>,
    /// Who reaches whom.
    pub(crate) net: Net,
    /// What the log was asked and did.
    pub(crate) log: LogBook,
    /// For delays.
    pub(crate) dice: Dice,
    news: VecDeque<(Life, News)>,
}

/// The network and the store as faults leave them.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    /// Nothing gets from the first to the second.
    pub(crate) cut: [[bool; PLACES]; PLACES],
    /// The process is stopped.
    pub(crate) paused: [bool; PLACES],
    /// How the store is.
    pub(crate) store: StoreHealth,
    /// The log carries out and does not answer.
    pub(crate) answers_lost: bool,
    /// One in so many notices is lost or late; 0: none.
    pub(crate) notices_bad: u64,
    /// Delays go up to this, milliseconds.
    pub(crate) latency_ms: u64,
}

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreHealth {
    /// It answers.
    Well,
    /// It takes requests and does not answer.
    Stalled,
    /// Nobody listens there.
    Gone,
}

/// What is listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ear {
    /// Notices of the membership.
    Notices,
    /// Interruptions of the log.
    Interruptions,
}

/// What is listened for, where, and how to tell.
type Listener = (Ear, usize, Arc<watch::Sender<u64>>);

/// What a task has to say to the world.
pub(crate) enum News {
    /// A keeper has started, or has not.
    Started(Result<Arc<Keeper>, String>),
    /// It has another view, generation, or suspects.
    View,
    /// The node's log answered.
    Log(Vec<LogAnswer>),
    /// The node's log was interrupted.
    Interrupted,
    /// The node has left the ring.
    Left,
}

impl Shared {
    /// The beginning of a run.
    pub(crate) fn new(seed: u64, net: Net, story: bool) -> Arc<Self> {
        let state = State {
            trace: Trace::new(story),
            failure: None,
            net,
            log: LogBook::default(),
            dice: Dice::new(seed, 3),
            news: VecDeque::new(),
        };
        Arc::new(Self {
            start: Instant::now(),
            state: Mutex::new(state),
            changed: Notify::new(),
            ears: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// That time as an instant.
    pub(crate) fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// What is behind the lock. Never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Notes an event.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let now_ms = self.now_ms();
        self.state().trace.note(now_ms, what);
    }

    /// Notes that something is wrong; the first such thing ends the run.
    pub(crate) fn fail(&self, what: impl fmt::Display) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        state.trace.note(now_ms, format_args!("WRONG: {what}"));
        if state.failure.is_none() {
            state.failure = Some(format!("at {now_ms} ms: {what}"));
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Leaves news for the world.
    pub(crate) fn tell(&self, life: Life, news: News) {
        self.state().news.push_back((life, news));
        self.wake.notify_one();
    }

    /// The oldest news.
    pub(crate) fn news(&self) -> Option<(Life, News)> {
        self.state().news.pop_front()
    }

    /// Changes the network.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Net)) {
        change(&mut self.state().net);
        self.changed.notify_waiters();
    }

    fn delay(&self) -> u64 {
        let mut state = self.state();
        let most = state.net.latency_ms;
        state.dice.below(most + 1)
    }

    /// How late a notice comes to a place; `None` if it is lost.
    pub(crate) fn notice_ms(&self, place: usize) -> Option<u64> {
        let mut state = self.state();
        let one_in = state.net.notices_bad;
        let (bad, lost) = (one_in > 0 && state.dice.one_in(one_in), state.dice.one_in(2));
        let late_ms = if bad { state.dice.between(200, 4_000) } else { 1 };
        (state.net.open(STORE, place) && !(bad && lost)).then_some(late_ms)
    }

    /// A delay on the way.
    pub(crate) async fn travel(&self) {
        let ms = self.delay();
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    /// Waits until the network is like this.
    pub(crate) async fn until(&self, holds: impl Fn(&Net) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if holds(&self.state().net) {
                return;
            }
            changed.await;
        }
    }

    /// Listens to the store. Each has a channel of its own: those who share one are woken in any order.
    pub(crate) fn listen(&self, ear: Ear, place: usize) -> watch::Receiver<u64> {
        let (told, receiver) = watch::channel(0);
        self.ears.lock().push((ear, place, Arc::new(told)));
        receiver
    }

    /// Tells all who listen, late or not at all where the network is so.
    pub(crate) async fn pass_on(self: Arc<Self>, ear: Ear, mut source: watch::Receiver<u64>) {
        while source.changed().await.is_ok() {
            self.ears.lock().retain(|(_, _, told)| !told.is_closed());
            let ears: Vec<_> = self.ears.lock().iter().filter(|(other, ..)| *other == ear).cloned().collect();
            for (_, place, told) in ears {
                let late_ms = if ear == Ear::Notices { self.notice_ms(place) } else { Some(0) };
                let Some(late_ms) = late_ms else { continue };
                let shared = Arc::clone(&self);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(late_ms)).await;
                    shared.awake(place).await;
                    told.send_modify(|count| *count += 1);
                });
            }
        }
    }

    /// Waits until the process runs.
    pub(crate) async fn awake(&self, place: usize) {
        self.until(|net| !net.paused[place]).await;
    }
}

impl Net {
    /// Everything works.
    pub(crate) fn new(latency_ms: u64) -> Self {
        Self {
            cut: [[false; PLACES]; PLACES],
            paused: [false; PLACES],
            store: StoreHealth::Well,
            answers_lost: false,
            notices_bad: 0,
            latency_ms,
        }
    }

    /// Whether nothing is amiss.
    pub(crate) fn is_well(&self) -> bool {
        let cut = self.cut.iter().flatten().any(|cut| *cut);
        !cut && self.store == StoreHealth::Well && !self.answers_lost && self.notices_bad == 0
    }

    /// Whether something gets from one to the other.
    pub(crate) fn open(&self, from: usize, to: usize) -> bool {
        !self.cut[from][to]
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.place, self.number)
    }
}
