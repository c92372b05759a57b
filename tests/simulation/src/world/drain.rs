//! Nodes that go away gently, and what a node does every tick. When a drain is over the node's own code decides.

use ::cluster::ring::MemberState;
use ::cluster::wire::codes::CloseCode;
use tokio::time::{Duration, Instant, timeout};
use ws_node::decisions::{By, Course, LOOK, Others, Over, others};

use super::event::Event;
use super::process::id_of;
use super::sockets::Socket;
use super::{LEASE, World};
use crate::plan::LOOKUPS;
use crate::shared::{Life, News};

/// How long a node that goes away waits for its sessions.
const DRAIN_MS: u64 = 8_000;
/// How long it waits for the store to take it out of the ring.
const LEAVE_WAIT: Duration = Duration::from_secs(LEASE.as_secs() + 1);
/// How long its closed connections have to end.
const GRACE_MS: u64 = 200;

/// A node's drain.
pub(super) struct Draining {
    course: Course,
    began_ms: u64,
    /// Why it is over, and since when.
    over: Option<(Over, u64)>,
}

impl World {
    /// It gives up its slots, waits for its sessions to go, and leaves.
    pub(super) fn drain(&mut self, place: usize, by: By) {
        let (shared, now) = (self.shared(), self.now());
        let Some(process) = self.processes[place].as_mut() else { return };
        let (life, Some(keeper)) = (process.life, process.keeper.clone()) else { return };
        if process.draining.is_some() || process.leaving || process.paused || process.core.is_none() {
            return;
        }
        let course = Course::new(by, Instant::now(), Duration::from_millis(DRAIN_MS));
        process.draining = Some(Draining { course, began_ms: now.tick_ms, over: None });
        shared.note(format_args!("{life} drains"));
        self.tally.drains += 1;
        self.look_at_drain(life);
        let Some(process) = self.process(life).filter(|process| !process.leaving) else { return };
        if let Some(core) = &mut process.core {
            let sessions = core.session_count() as u64;
            core.begin_drain(now);
            process.touched = true;
            self.tally.drained.0 += sessions;
        }
        tokio::spawn(async move {
            // Whatever comes of it, it goes away.
            let _ = keeper.drain().await;
        });
    }

    /// Somebody asks for that through the API of a lookup service.
    pub(super) fn drain_from_outside(&mut self, place: usize) {
        let asked = LOOKUPS.filter_map(|place| self.processes[place].as_ref()?.keeper.clone()).next();
        let Some(keeper) = asked else { return };
        tokio::spawn(async move {
            // As any request, this one may fail.
            let _ = keeper.drain_member(&id_of(place)).await;
        });
    }

    /// Looks whether a drain is over.
    pub(super) fn look_at_drain(&mut self, life: Life) {
        let now_ms = self.shared.now_ms();
        let Some(process) = self.process(life).filter(|process| !process.leaving) else { return };
        let (Some(keeper), Some(core), Some(draining)) =
            (&process.keeper, &process.core, &mut process.draining)
        else {
            return;
        };
        let (sessions, me) = (core.session_count(), &core.me().id);
        let others =
            keeper.ring().map_or(Others::None, |ring| others(&ring, &keeper.suspects().borrow(), me));
        let Some(over) = draining.course.look(sessions, others, Instant::now()) else {
            let ms = u64::try_from(LOOK.as_millis()).unwrap_or(u64::MAX);
            return self.after(ms, Event::DrainLook(life));
        };
        draining.over = Some((over, now_ms));
        let began_ms = draining.began_ms;
        let serves = |member: &&::cluster::ring::Member| {
            member.id != *me && member.state == MemberState::Active && !process.suspects.contains(member)
        };
        let served = keeper.ring().is_some_and(|ring| ring.members().find(serves).is_some());
        let right = match over {
            Over::Empty => sessions == 0,
            Over::NowhereToGo => !served,
            Over::Deadline => now_ms >= began_ms + DRAIN_MS,
        };
        self.shared.note(format_args!("{life} has drained: {over:?}"));
        let forgotten = |socket: &&Socket| socket.life == life && socket.was_forgotten(began_ms, now_ms);
        if let Some(socket) = self.sockets.values().find(forgotten).filter(|_| over == Over::Deadline) {
            self.shared.fail(format_args!("{life} drained and never asked {} to move", socket.user));
        }
        if !right {
            self.shared.fail(format_args!(
                "{life} ends its drain after {} ms, {over:?}, with {sessions} sessions that have somewhere to go",
                now_ms - began_ms
            ));
        }
        self.leave(life);
    }

    /// A node leaves the ring; nobody comes in any more.
    fn leave(&mut self, life: Life) {
        let shared = self.shared();
        let Some(process) = self.process(life) else { return };
        process.leaving = true;
        if let Some(core) = &mut process.core {
            core.set_ending();
        }
        if let Some(keeper) = process.keeper.clone() {
            tokio::spawn(async move {
                // If it fails, the lease lapses.
                let _ = timeout(LEAVE_WAIT, keeper.leave()).await;
                shared.awake(life.place).await;
                shared.tell(life, News::Left);
            });
        }
    }

    /// It has left: whoever is still there is closed.
    pub(super) fn left(&mut self, life: Life) {
        let Some(core) = self.core(life) else { return };
        let sessions = core.session_count() as u64;
        core.close_all(CloseCode::Draining);
        self.tally.drained.1 += sessions;
        self.after(GRACE_MS, Event::Gone(life));
    }

    /// Its process ends.
    pub(super) fn gone(&mut self, life: Life) {
        if self.process(life).is_some() {
            self.end(life.place);
        }
    }

    /// Whether a node may close a session with [`CloseCode::Draining`] that it asked to go at `asked_ms`, if it did.
    pub(super) fn may_close(&self, life: Life, asked_ms: Option<u64>) -> bool {
        let now_ms = self.shared.now_ms();
        let process = self.processes[life.place].as_ref().filter(|process| process.life == life);
        let Some(process) = process else { return false };
        let over = process.draining.as_ref().is_some_and(|draining| draining.over.is_some());
        let deadline_ms = self.core_config().move_deadline_ms;
        over && process.leaving || asked_ms.is_some_and(|asked_ms| now_ms >= asked_ms + deadline_ms)
    }

    pub(super) fn tick(&mut self, life: Life) {
        let now = self.now();
        let Some(process) = self.process(life) else { return };
        let Some(core) = &mut process.core else { return };
        process.touched = true;
        core.tick(now);
        self.bypass(life);
        self.check_bypass(life);
        self.after(100, Event::Tick(life));
    }
}
