//! The drain: a node that is to go away gives up its slots and serves on until its sessions have gone to their new homes, or
//! until its patience ends. When to stop is pure ([`Course`]); the rest is the shell around it.

use std::pin::pin;
use std::time::Duration;

use cluster::membership::{Keeper, Suspects};
use cluster::planted::{self, Bug};
use cluster::ring::{MemberState, Ring};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// How often a drain looks whether it is over.
pub const LOOK: Duration = Duration::from_millis(50);

/// How often it tells in the log how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long no session must have been there: a client that was sent here a moment ago may be on its way.
const QUIET: Duration = Duration::from_millis(250);

/// How long all others must seem dead: one that stuttered, or whose link was cut for a moment, takes users again.
const DEAD: Duration = Duration::from_secs(2);

/// How a node is told to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    pub(crate) gently: CancellationToken,
    pub(crate) at_once: CancellationToken,
}

/// Why a drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Every session has gone.
    Empty,
    /// No other node takes users: waiting would help nobody.
    NowhereToGo,
    /// Its time is up.
    Deadline,
}

/// Whether other members take users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// At least one does.
    TakeUsers,
    /// The ring names some that do, and each seems dead: while the store is away it goes on naming them.
    SeemDead,
    /// The ring names none.
    None,
}

/// How far a drain is.
#[derive(Debug)]
pub struct Course {
    began: Instant,
    deadline: Duration,
    /// It is not over before.
    not_before: Instant,
    /// Since when there has been no session.
    empty_since: Option<Instant>,
    /// Whether there was one.
    was_used: bool,
    /// Since when all others have seemed dead.
    dead_since: Option<Instant>,
    told: Instant,
}

/// Who asked for the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A signal.
    Process,
    /// Somebody through the API: the node's membership says so.
    Membership,
}

/// Returns when the node is to go away.
pub(crate) async fn asked(keeper: &Keeper, told: &CancellationToken) -> By {
    let (mut views, mut generations) = (keeper.view(), keeper.generation());
    loop {
        let (view, generation) = (views.borrow_and_update().clone(), *generations.borrow_and_update());
        if view.is_some_and(|ring| drains(&ring, generation)) {
            return By::Membership;
        }
        // Neither changes any more once the keeper has ended.
        tokio::select! {
            () = told.cancelled() => return By::Process,
            Ok(()) = views.changed() => {}
            Ok(()) = generations.changed() => {}
        }
    }
}

/// Gives up the node's slots and waits until its sessions have gone, at most until `deadline`.
pub(crate) async fn drain(node: &Node, keeper: &Keeper, by: By, deadline: Duration) -> Over {
    let mut course = Course::new(by, Instant::now(), deadline);
    let me = node.core().me().id.clone();
    let suspects = keeper.suspects();
    let look = |course: &mut Course| {
        let sessions = node.core().session_count();
        let others = keeper.ring().map_or(Others::None, |ring| others(&ring, &suspects.borrow(), &me));
        course.look(sessions, others, Instant::now())
    };
    if let Some(over) = look(&mut course) {
        return over;
    }
    node.begin_drain();
    tracing::info!(
        sessions = node.core().session_count(),
        ?by,
        deadline_s = deadline.as_secs(),
        "begins to drain"
    );
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut giving_up = pin!(keeper.drain());
    let mut given_up = false;
    loop {
        tokio::select! {
            outcome = &mut giving_up, if !given_up => {
                given_up = true;
                match outcome {
                    Ok(()) => tracing::info!("gave up its slots"),
                    Err(error) => tracing::warn!(
                        code = error.code(),
                        "could not give up the slots yet, and tries on: {error}"
                    ),
                }
            }
            _ = looks.tick() => {
                if let Some(over) = look(&mut course) {
                    return over;
                }
                course.tell(node.core().session_count(), Instant::now());
            }
        }
    }
}

/// Whether this incarnation of the node has given up its slots.
fn drains(ring: &Ring, generation: Option<u64>) -> bool {
    let mut own = ring.members().filter(|member| Some(member.generation) == generation);
    own.any(|member| member.state == MemberState::Draining)
}

/// Whether other members than `me` take users.
pub fn others(ring: &Ring, suspects: &Suspects, me: &str) -> Others {
    let mut active =
        ring.members().filter(|member| member.id != me && member.state == MemberState::Active).peekable();
    if active.peek().is_none() {
        Others::None
    } else if active.all(|member| suspects.contains(member)) {
        Others::SeemDead
    } else {
        Others::TakeUsers
    }
}

// === impl Stop ===

impl Stop {
    /// By `token`, gently: the node drains first.
    pub fn gently(token: CancellationToken) -> Self {
        Self { gently: token, at_once: CancellationToken::new() }
    }

    /// By `token`, at once: its sessions are closed. It still drains when its membership says so.
    pub fn at_once(token: CancellationToken) -> Self {
        Self { gently: CancellationToken::new(), at_once: token }
    }
}

// === impl Over ===

impl Over {
    /// For the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "every session has gone",
            Self::NowhereToGo => "no other node takes users",
            Self::Deadline => "the deadline has come",
        }
    }
}

// === impl Course ===

impl Course {
    /// One that begins then, and lasts so long at most.
    pub fn new(by: By, began: Instant, deadline: Duration) -> Self {
        // Who asked through the API is answered with how the node stands, and so has to find it.
        let not_before = if by == By::Membership { began + QUIET } else { began };
        Self {
            began,
            deadline,
            not_before,
            empty_since: None,
            was_used: false,
            dead_since: None,
            told: began,
        }
    }

    /// Whether it is over, with so many sessions left, and others that take them or not.
    pub fn look(&mut self, sessions: usize, others: Others, now: Instant) -> Option<Over> {
        if planted::is(Bug::CloseOnDrain) {
            return Some(Over::Deadline);
        }
        if sessions > 0 {
            self.was_used = true;
            self.empty_since = None;
        } else {
            let quiet = if self.was_used { QUIET } else { Duration::ZERO };
            if now >= self.not_before.max(*self.empty_since.get_or_insert(now) + quiet) {
                return Some(Over::Empty);
            }
        }
        if now < self.not_before {
            None
        } else if self.is_alone(others, now) {
            Some(Over::NowhereToGo)
        } else {
            (now >= self.began + self.deadline).then_some(Over::Deadline)
        }
    }

    fn is_alone(&mut self, others: Others, now: Instant) -> bool {
        if others != Others::SeemDead {
            self.dead_since = None;
            return others == Others::None;
        }
        now >= *self.dead_since.get_or_insert(now) + DEAD
    }

    fn tell(&mut self, sessions: usize, now: Instant) {
        if now < self.told + TELL_EVERY {
            return;
        }
        self.told = now;
        let (waited_s, deadline_s) = ((now - self.began).as_secs(), self.deadline.as_secs());
        tracing::info!(sessions, waited_s, deadline_s, "draining");
    }
}

#[cfg(test)]
mod tests;
