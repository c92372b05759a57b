//! The drain: a node that is to go away gives up its slots and serves on until its sessions have gone to their new homes, or
//! until its patience ends. When to stop is pure ([`Course`]); the rest is the shell around it.

use std::pin::pin;
use std::time::Duration;

use cluster::membership::{Keeper, Suspects};
use cluster::planted::{self, Bug};
use cluster::ring::{Member, MemberState, Ring};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// How often a drain looks whether it is over.
pub const LOOK: Duration = Duration::from_millis(50);

/// How often it tells in the log how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long no session must have been there: a client that was sent here a moment ago may be on its way.
const QUIET: Duration = Duration::from_millis(250);

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
        let alone = keeper.ring().is_none_or(|ring| is_alone(&ring, &suspects.borrow(), &me));
        course.look(sessions, alone, Instant::now())
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

/// Whether no other member takes users. Who seems dead takes none: while the store is away the ring goes on naming it.
pub fn is_alone(ring: &Ring, suspects: &Suspects, me: &str) -> bool {
    let takes_users = |member: &Member| member.state == MemberState::Active && !suspects.contains(member);
    !ring.members().any(|member| member.id != me && takes_users(member))
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
        Self { began, deadline, not_before, empty_since: None, was_used: false, told: began }
    }

    /// Whether it is over, with so many sessions left, and with nobody else to take them or somebody.
    pub fn look(&mut self, sessions: usize, alone: bool, now: Instant) -> Option<Over> {
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
        } else if alone {
            Some(Over::NowhereToGo)
        } else {
            (now >= self.began + self.deadline).then_some(Over::Deadline)
        }
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
mod tests {
    use cluster::membership::Suspect;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn it_waits_for_the_sessions_and_then_a_moment_for_those_on_their_way() {
        let began = Instant::now();
        let mut course = Course::new(By::Process, began, 30 * S);
        assert_eq!(course.look(3, false, began), None);
        assert_eq!(course.look(1, false, began + S), None);
        assert_eq!(course.look(0, false, began + 2 * S), None);
        assert_eq!(course.look(1, false, began + 2 * S + QUIET / 2), None, "one was on its way");
        assert_eq!(course.look(0, false, began + 3 * S), None);
        assert_eq!(course.look(0, false, began + 3 * S + QUIET / 2), None);
        assert_eq!(course.look(0, false, began + 3 * S + QUIET), Some(Over::Empty));
    }

    #[test]
    fn it_does_not_wait_for_nothing() {
        let began = Instant::now();
        let begun = |deadline| Course::new(By::Process, began, deadline);
        assert_eq!(begun(30 * S).look(0, false, began), Some(Over::Empty), "nobody was there");
        assert_eq!(begun(30 * S).look(5, true, began), Some(Over::NowhereToGo));
        assert_eq!(begun(Duration::ZERO).look(5, false, began), Some(Over::Deadline));
        let mut course = begun(30 * S);
        assert_eq!(course.look(5, false, began + 30 * S - S / 10), None);
        assert_eq!(course.look(5, true, began + 30 * S - S / 10), Some(Over::NowhereToGo), "the others went");
    }

    #[test]
    fn who_asked_through_the_api_finds_the_node_draining_a_moment_later() {
        let began = Instant::now();
        for (sessions, alone, over) in
            [(0, false, Over::Empty), (3, true, Over::NowhereToGo), (3, false, Over::Deadline)]
        {
            let mut course = Course::new(By::Membership, began, Duration::ZERO);
            assert_eq!(course.look(sessions, alone, began), None);
            assert_eq!(course.look(sessions, alone, began + QUIET), Some(over));
        }
    }

    #[test]
    fn it_ends_at_the_deadline_whoever_comes_and_goes() {
        let began = Instant::now();
        let mut course = Course::new(By::Process, began, 2 * S);
        for tenth in 0..20 {
            assert_eq!(course.look((tenth as usize + 1) % 2, false, began + S / 10 * tenth), None);
        }
        assert_eq!(course.look(1, false, began + 2 * S), Some(Over::Deadline));
    }

    fn two() -> Ring {
        use cluster::ring::{Policy, RingKey};
        let member = |id: &str, generation| Member {
            id: id.into(),
            generation,
            url: format!("ws://{id}/ws"),
            peer: format!("{id}:1"),
            weight: 100,
            state: MemberState::Active,
        };
        let empty = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
        empty.join(member("n1", 1)).unwrap().join(member("n2", 2)).unwrap()
    }

    #[test]
    fn only_members_that_take_users_are_somewhere_to_go() {
        let (two, one) = (two(), two().leave(&["n2"]));
        let alone = |ring: &Ring| is_alone(ring, &Suspects::default(), "n1");
        assert!(alone(&one) && alone(&one.drain("n1")));
        assert!(!alone(&two) && !alone(&two.drain("n1")));
        assert!(alone(&two.drain("n2")) && alone(&two.drain("n2").drain("n1")));
        let dead = |generation| Suspects::from_iter([Suspect { id: "n2".into(), generation }]);
        assert!(is_alone(&two, &dead(2), "n1") && !is_alone(&two, &dead(1), "n1"));
    }

    #[test]
    fn only_what_the_ring_says_of_this_incarnation_counts() {
        let drained = two().drain("n1");
        assert!(drains(&drained, Some(1)));
        assert!(!drains(&two(), Some(1)) && !drains(&drained, Some(2)));
        assert!(!drains(&drained, Some(3)) && !drains(&drained, None), "it was an earlier life");
    }
}
