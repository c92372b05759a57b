//! What could not be read and is tried again with the next tick: nobody waits there twice, and a tick does it in pieces.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::maps::HashSet;

use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// Those in one piece of work.
const AT_ONCE: usize = 500;

/// Who reads again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Retry {
    /// The sessions of a topic that live entries were missed for.
    Heal,
    /// A session that arrives.
    Probe(SessionKey),
    /// A session that reads what it missed.
    Replay(SessionKey),
    /// A session whose next page waits for room.
    Pages(SessionKey),
}

/// All that wait for it.
#[derive(Debug, Default)]
pub(super) struct Again {
    queue: VecDeque<(Arc<str>, Retry)>,
    waits: HashSet<(Arc<str>, Retry)>,
    /// How many of them still have their turn in this tick.
    turn: usize,
    /// The log takes no reads in this tick.
    log_is_full: bool,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A tick: tries again what could not be read, from wherever its reader stands by now. The first of them, the others are
    /// for [`Core::work_off`].
    pub(super) fn read_again(&mut self, now: Now) {
        self.again.begin_turn();
        self.read_some(now);
    }

    /// Goes on with that.
    pub(super) fn read_some(&mut self, now: Now) {
        for _ in 0..AT_ONCE {
            let Some((topic, who)) = self.again.next() else { return };
            if who.session().is_some_and(|key| self.sessions.get(key).is_none()) {
                continue;
            }
            if self.again.log_is_full {
                self.again.push(&topic, who);
                continue;
            }
            match who {
                Retry::Heal => self.heal(&topic),
                Retry::Probe(key) => self.advance(key, &topic, now),
                Retry::Replay(key) => self.replay_again(key),
                Retry::Pages(key) => {
                    self.page_done(key);
                    self.next_page(key);
                }
            }
        }
    }
}

// === impl Retry ===

impl Retry {
    /// Whose it is; nobody's if it is for all of a topic.
    fn session(self) -> Option<SessionKey> {
        match self {
            Self::Heal => None,
            Self::Probe(key) | Self::Replay(key) | Self::Pages(key) => Some(key),
        }
    }
}

// === impl Again ===

impl Again {
    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Leaves a read to the next tick.
    pub(super) fn push(&mut self, name: &Arc<str>, who: Retry) {
        if self.waits.insert((Arc::clone(name), who)) {
            self.queue.push_back((Arc::clone(name), who));
        }
    }

    /// Whether it waits for that.
    pub(super) fn has(&self, name: &Arc<str>, who: Retry) -> bool {
        self.waits.contains(&(Arc::clone(name), who))
    }

    /// The log took no read: the rest waits for the next tick. Only those that have gone are still taken out.
    pub(super) fn note_full(&mut self) {
        self.log_is_full = true;
    }

    /// Whether there are more of them for this tick.
    pub(super) fn has_turn(&self) -> bool {
        self.turn > 0
    }

    fn begin_turn(&mut self) {
        self.turn = self.queue.len();
        self.log_is_full = false;
    }

    /// Whoever comes meanwhile waits for the next tick.
    fn next(&mut self) -> Option<(Arc<str>, Retry)> {
        self.turn = self.turn.checked_sub(1)?;
        let next = self.queue.pop_front()?;
        self.waits.remove(&next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_twice_and_whoever_comes_meanwhile_waits_for_the_next_tick() {
        let (mut again, names) = (Again::default(), ["a", "b", "c"].map(Arc::from));
        names.iter().chain(&names).for_each(|name| again.push(name, Retry::Heal));
        again.begin_turn();
        assert_eq!(again.turn, 3);
        assert_eq!(again.next(), Some((names[0].clone(), Retry::Heal)));
        again.push(&names[0], Retry::Heal);
        let rest = |again: &mut Again| -> Vec<_> {
            std::iter::from_fn(|| again.next()).map(|(name, _)| name).collect()
        };
        assert_eq!(rest(&mut again), ["b", "c"].map(Arc::from));
        assert!(!again.has_turn() && again.has(&names[0], Retry::Heal) && !again.has(&names[1], Retry::Heal));
        again.begin_turn();
        assert_eq!(rest(&mut again), ["a"].map(Arc::from));
    }
}
