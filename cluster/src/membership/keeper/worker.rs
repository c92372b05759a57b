//! The keeper's task: when to look, to renew and to reap, and how failures are taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};

use super::board::Board;
use super::error::KeeperError;
use super::sync::Settled;
use super::{KeeperConfig, MemberSpec, Role};
use crate::chance;
use crate::membership::{LeaseHolder, MembershipStore};
use crate::ring::Policy;
use crate::store::StoreError;

/// What a handle asks of the task.
pub(super) enum Command {
    Leave(oneshot::Sender<Result<(), KeeperError>>),
    Drain(oneshot::Sender<Result<(), KeeperError>>),
    DrainMember(String, oneshot::Sender<Result<bool, KeeperError>>),
}

pub(super) struct Worker {
    pub(super) store: Arc<dyn MembershipStore>,
    pub(super) board: Arc<Board>,
    pub(super) policy: Policy,
    /// What to be registered as; `None` for observers, and once this process must not register again.
    pub(super) spec: Option<MemberSpec>,
    /// The generation that this process last registered under.
    pub(super) generation: Option<u64>,
    /// The generation of a registration whose outcome is not known.
    pub(super) attempted: Option<u64>,
    pub(super) draining: bool,
    /// Since when no ring was found and none is held.
    pub(super) absent_since: Option<Instant>,
    /// Whether there is something to look at as soon as this process has rested.
    pub(super) noticed: bool,
    /// When a newer ring may be read again.
    pub(super) rested_at: Instant,
    /// A name of this process's own in the store, beside the member's.
    pub(super) name: String,
    /// Whether the store is to count this process among the observers.
    pub(super) observes: bool,
    /// When a capped lease can have lapsed.
    pub(super) due_at: Option<Instant>,
    /// The marks of the last stall and the last mending, when the store was last asked.
    pub(super) marks: Option<(u64, u64)>,
    /// What was last found in place of the ring, so that it is told once.
    pub(super) found: Option<&'static str>,
    /// What last kept this process from registering, so that it is told once.
    pub(super) hindered: Option<&'static str>,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(store: Arc<dyn MembershipStore>, board: Arc<Board>, config: KeeperConfig) -> Self {
        let observes = config.role == Role::Observer;
        let spec = match config.role {
            Role::Observer => None,
            Role::Member(spec) => Some(spec),
        };
        Self {
            store,
            board,
            policy: config.policy,
            spec,
            generation: None,
            attempted: None,
            draining: false,
            absent_since: None,
            noticed: false,
            rested_at: Instant::now(),
            name: format!("{:016x}", chance::number().unwrap_or_default()),
            observes,
            due_at: None,
            marks: None,
            found: None,
            hindered: None,
        }
    }

    /// Tries to take part until that succeeds or there is no point in trying on.
    pub(super) async fn begin(&mut self, initial_wait: Duration) -> Result<(), KeeperError> {
        let mut stuck_since = Instant::now();
        loop {
            let begun = if self.spec.is_some() {
                self.register().await
            } else {
                self.sync().await.map_err(Into::into)
            };
            self.note(begun.as_ref());
            let trouble = match begun {
                Ok(Settled::InStore(_)) => return Ok(()),
                Ok(Settled::Foreign(code)) => KeeperError::Foreign { code },
                Ok(_) if self.spec.is_none() => return Ok(()),
                Ok(_) => {
                    stuck_since = Instant::now();
                    sleep(self.store.lease() / 10).await;
                    continue;
                }
                Err(KeeperError::Store { cause, .. }) if cause.temporary() => {
                    self.absent_since = None;
                    KeeperError::Store { cause, waited_ms: millis(stuck_since.elapsed()) }
                }
                Err(error) => return Err(error),
            };
            if stuck_since.elapsed() >= initial_wait {
                return Err(trouble);
            }
            sleep(self.store.lease() / 10).await;
        }
    }

    /// Keeps the view and the member. Returns when all handles are gone.
    pub(super) async fn run(&mut self, mut commands: mpsc::Receiver<Command>) {
        let board = self.board.clone();
        let mut notices = self.store.notices();
        let mut renewals = every(self.store.lease() / 10);
        let mut polls = every(self.store.lease() / 3);
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = renewals.tick(), if self.spec.is_some() => self.renew().await,
                () = board.watchlist.tell.notified() => self.tell().await,
                _ = polls.tick() => self.poll().await,
                Ok(()) = notices.changed(), if !self.noticed => self.noticed = true,
                () = board.look.notified(), if !self.noticed => self.noticed = true,
                () = sleep_until(self.rested_at), if self.noticed => self.poll().await,
                () = sleep_until(self.due_at.unwrap_or(self.rested_at)), if self.due_at.is_some() => self.poll().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // Whoever asked may have stopped waiting.
        match command {
            Command::Leave(answer) => drop(answer.send(self.leave().await)),
            Command::Drain(answer) => drop(answer.send(self.drain().await)),
            Command::DrainMember(id, answer) => drop(answer.send(self.drain_member(&id).await)),
        }
    }

    async fn poll(&mut self) {
        self.noticed = false;
        self.due_at = None;
        let polled = self.try_poll().await;
        self.board.notices.store(self.store.notices_arrive(), Ordering::Relaxed);
        self.take(polled);
    }

    async fn try_poll(&mut self) -> Result<(), KeeperError> {
        let mine = self.board.held();
        let asked = Instant::now();
        let pulse = self.store.poll(self.observes.then_some(&self.name)).await?;
        self.heed(&pulse);
        self.look(mine.as_ref(), &pulse.glimpse).await?;
        self.weigh(&pulse, asked);
        self.tell_untold().await?;
        // Nothing proves sooner that this member is alive.
        if self.is_suspected(&pulse) {
            self.try_renew().await?;
        }
        self.reap(&pulse).await?;
        // Others may have drained this member.
        self.draining |= self.is_drained();
        if self.draining { self.try_drain().await.map(drop) } else { Ok(()) }
    }

    async fn renew(&mut self) {
        let renewed = self.try_renew().await;
        self.take(renewed);
    }

    async fn try_renew(&mut self) -> Result<(), KeeperError> {
        if self.renew_once().await? {
            return Ok(());
        }
        // Perhaps the store has lost everybody's leases: then a put back brings ours again too.
        self.sync().await?;
        if self.renew_once().await? {
            return Ok(());
        }
        self.board.set_generation(None);
        self.register().await.map(drop)
    }

    /// Whether the lease was still ours.
    pub(super) async fn renew_once(&mut self) -> Result<bool, StoreError> {
        let (Some(spec), Some(generation)) = (&self.spec, self.generation) else { return Ok(false) };
        let mine = self.board.held();
        let renewal = self.store.renew(LeaseHolder { id: &spec.id, generation }).await?;
        if renewal.held {
            self.board.set_generation(Some(generation));
            self.look(mine.as_ref(), &renewal.glimpse).await?;
        }
        Ok(renewal.held)
    }

    /// Notes an outcome; ends the membership if it cannot be had any longer.
    pub(super) fn take(&mut self, outcome: Result<(), KeeperError>) {
        self.note(outcome.as_ref());
        match outcome {
            Ok(()) => {}
            Err(KeeperError::Store { .. } | KeeperError::Stopped) => self.unhear(),
            Err(error @ (KeeperError::IdInUse { .. } | KeeperError::Replaced { .. })) => {
                tracing::error!(code = error.code(), remedy = error.remedy(), "no longer a member: {error}");
                self.spec = None;
                self.board.set_generation(None);
                self.board.fail(error);
            }
            Err(error) if self.hindered.replace(error.code()) == Some(error.code()) => {}
            Err(error) => {
                tracing::warn!(code = error.code(), remedy = error.remedy(), "cannot register: {error}");
            }
        }
    }

    pub(super) fn note<T>(&mut self, outcome: Result<T, &KeeperError>) {
        match outcome {
            Err(KeeperError::Store { cause, .. }) => self.board.note(Err(cause)),
            Ok(_) | Err(_) => self.board.note(Ok(())),
        }
    }

    /// Tries on for two leases while the store fails.
    pub(super) fn give_up_at(&self) -> Instant {
        Instant::now() + 2 * self.store.lease()
    }

    /// Pauses after a failure; fails with it past the deadline.
    pub(super) async fn bear(&mut self, cause: StoreError, give_up_at: Instant) -> Result<(), KeeperError> {
        self.board.note(Err(&cause));
        if Instant::now() >= give_up_at {
            return Err(KeeperError::Store { cause, waited_ms: millis(2 * self.store.lease()) });
        }
        sleep(self.store.lease() / 10).await;
        Ok(())
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
