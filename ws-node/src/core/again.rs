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
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A tick: tries again what could not be read, from wherever its reader stands by now. The first of them, the others are
    /// for [`Core::work_off`].
    pub(super) fn read_again(&mut self, now: Now) {
        self.again.turn = self.again.queue.len();
        self.read_some(now);
    }

    /// Goes on with that.
    pub(super) fn read_some(&mut self, now: Now) {
        for _ in 0..AT_ONCE {
            let Some((topic, who)) = self.again.next() else { return };
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

    /// The log takes no reads: the rest waits for the next tick.
    pub(super) fn put_off(&mut self) {
        self.turn = 0;
    }

    /// Whether there are more of them for this tick.
    pub(super) fn has_turn(&self) -> bool {
        self.turn > 0
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
        again.turn = again.queue.len();
        assert_eq!(again.turn, 3);
        assert_eq!(again.next(), Some((names[0].clone(), Retry::Heal)));
        again.push(&names[0], Retry::Heal);
        again.put_off();
        assert!(!again.has_turn() && again.next().is_none());
        again.turn = again.queue.len();
        let order: Vec<_> = std::iter::from_fn(|| again.next()).map(|(name, _)| name).collect();
        assert_eq!(order, ["b", "c", "a"].map(Arc::from));
    }
}
