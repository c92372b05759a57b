//! Users whose last session went away so recently that they still count as online.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::maps::SteadyMap;

/// Inboxes that are remembered, at most. A node of 500,000 sessions that loses all of them at once remembers them.
const REMEMBERED_MAX: usize = 500_000;

/// Those that one tick forgets, at most: a node that ends leaves tens of thousands at once.
const FORGOTTEN_PER_TICK: usize = 2_000;

/// The inboxes that this node is home of and that lost their last session less than a grace ago.
#[derive(Debug)]
pub(in crate::core) struct Lingering {
    grace_ms: u64,
    remembered_max: usize,
    until_ms: SteadyMap<Arc<str>, u64>,
    /// The same, ascending; also some that came back or were lost again since.
    order: VecDeque<(u64, Arc<str>)>,
    /// Some were forgotten whose grace would have ended then.
    forgot_until_ms: u64,
}

/// Whether a user is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) struct Online {
    /// They have a session, or had one less than a grace ago.
    pub(in crate::core) online: bool,
    /// They are not online as far as their home knows, but it cannot be sure yet.
    pub(in crate::core) settling: bool,
}

impl Lingering {
    /// Nobody lingers.
    pub(in crate::core) fn new(grace_ms: u64) -> Self {
        Self {
            grace_ms,
            remembered_max: REMEMBERED_MAX,
            until_ms: SteadyMap::default(),
            order: VecDeque::new(),
            forgot_until_ms: 0,
        }
    }

    /// An inbox lost its last session.
    pub(in crate::core) fn lost(&mut self, topic: &Arc<str>, now_ms: u64) {
        let until_ms = now_ms + self.grace_ms;
        self.until_ms.insert(Arc::clone(topic), until_ms);
        self.order.push_back((until_ms, Arc::clone(topic)));
        while self.order.len() > self.remembered_max {
            self.forget_first();
        }
    }

    /// An inbox has a session again.
    pub(in crate::core) fn back(&mut self, topic: &str) {
        self.until_ms.remove(topic);
    }

    /// Forgets those whose grace has ended, or some of them: it makes no difference to who is online.
    pub(in crate::core) fn tick(&mut self, now_ms: u64) {
        for _ in 0..FORGOTTEN_PER_TICK {
            if self.order.front().is_none_or(|(until_ms, _)| *until_ms > now_ms) {
                break;
            }
            self.forget_first();
        }
        if self.until_ms.is_empty() {
            // The memory of a wave of losses is not kept for the next one.
            self.until_ms = SteadyMap::default();
            self.order.shrink_to(0);
        }
    }

    /// Whether the user of an inbox is online, given whether it has sessions, and whether its slot came here so
    /// recently that sessions may be missing.
    pub(in crate::core) fn online(
        &self,
        topic: &str,
        has_sessions: bool,
        is_new: bool,
        now_ms: u64,
    ) -> Online {
        let lingers = || self.until_ms.get(topic).is_some_and(|until_ms| *until_ms > now_ms);
        let online = has_sessions || lingers();
        Online { online, settling: !online && (is_new || now_ms < self.forgot_until_ms) }
    }

    fn forget_first(&mut self) {
        let Some((until_ms, topic)) = self.order.pop_front() else { return };
        if self.until_ms.get(&topic) == Some(&until_ms) {
            self.until_ms.remove(&topic);
            self.forgot_until_ms = self.forgot_until_ms.max(until_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Online = Online { online: true, settling: false };
    const NO: Online = Online { online: false, settling: false };
    const UNSURE: Online = Online { online: false, settling: true };

    fn lingering(remembered_max: usize) -> Lingering {
        Lingering { remembered_max, ..Lingering::new(100) }
    }

    fn name(user: &str) -> Arc<str> {
        Arc::from(user)
    }

    #[test]
    fn a_user_is_offline_when_the_last_session_has_been_gone_for_the_grace() {
        let mut lingering = lingering(10);
        assert_eq!(lingering.online("a", false, false, 0), NO, "never there");
        lingering.lost(&name("a"), 1_000);
        for (now_ms, expected) in [(1_000, YES), (1_099, YES), (1_100, NO)] {
            lingering.tick(now_ms);
            assert_eq!(lingering.online("a", false, false, now_ms), expected, "{now_ms}");
        }
        assert_eq!(lingering.online("a", true, false, 1_100), YES);
    }

    #[test]
    fn a_tick_that_is_late_makes_no_difference() {
        let mut lingering = lingering(10);
        lingering.lost(&name("a"), 0);
        assert_eq!(lingering.online("a", false, false, 100), NO);
    }

    #[test]
    fn a_wave_is_forgotten_bit_by_bit() {
        let mut lingering = lingering(usize::MAX);
        let users = || (0..=FORGOTTEN_PER_TICK).map(|number| name(&number.to_string()));
        users().for_each(|user| lingering.lost(&user, 0));
        lingering.tick(100);
        assert_eq!((lingering.until_ms.len(), lingering.order.len()), (1, 1));
        assert!(users().all(|user| lingering.online(&user, false, false, 100) == NO));
        lingering.tick(200);
        assert_eq!((lingering.until_ms.len(), lingering.order.capacity()), (0, 0));
    }

    #[test]
    fn who_came_back_and_was_lost_again_has_a_new_grace() {
        let mut lingering = lingering(10);
        lingering.lost(&name("a"), 0);
        lingering.back("a");
        lingering.lost(&name("a"), 60);
        lingering.tick(100);
        assert_eq!(lingering.online("a", false, false, 159), YES);
        lingering.tick(160);
        assert_eq!((lingering.until_ms.len(), lingering.order.len()), (0, 0));
        assert_eq!(lingering.online("a", false, false, 160), NO);
    }

    #[test]
    fn a_new_home_is_not_sure_of_those_it_does_not_know() {
        let mut lingering = lingering(10);
        lingering.lost(&name("a"), 0);
        assert_eq!(lingering.online("a", false, true, 0), YES);
        assert_eq!(lingering.online("b", false, true, 0), UNSURE);
        assert_eq!(lingering.online("b", true, true, 0), YES);
    }

    #[test]
    fn memory_has_a_bound_and_says_what_it_does_not_know() {
        let mut lingering = lingering(2);
        for (user, now_ms) in [("a", 0), ("b", 10), ("c", 20)] {
            lingering.lost(&name(user), now_ms);
        }
        assert_eq!(lingering.until_ms.len(), 2);
        assert_eq!(lingering.online("a", false, false, 20), UNSURE);
        assert_eq!(lingering.online("b", false, false, 20), YES);
        assert_eq!(lingering.online("x", false, false, 99), UNSURE);
        assert_eq!(lingering.online("x", false, false, 100), NO, "the one forgotten would be gone by now");
    }
}
