//! Topics at home here that are looked after later: with the next tick, or when their time is over.

use std::collections::VecDeque;
use std::sync::Arc;

use super::stream::Stream;
use super::{Core, LinkSink, Now, SessionSink};

/// The longest that a topic nobody follows is remembered, milliseconds. By default its entries are gone by then, too.
const LINGER_MS_MAX: u64 = 300_000;

/// Topics that are remembered though nobody follows them, at most.
const LINGERING_MAX: usize = 100_000;

/// Topics that the log is asked about in one tick, at most, if no message waits for it.
const CALM_PER_TICK: usize = 5_000;

/// Topics in one piece of work.
const AT_ONCE: usize = 500;

/// How often the log is asked about each topic at home here, so that it does not forget where they stand, milliseconds.
const TOUCH_MS: u64 = 6 * 60 * 60 * 1_000;

/// Topics to be looked after.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// Messages wait there.
    urgent: VecDeque<Arc<str>>,
    /// How many of them still have their turn in this tick.
    urgent_turn: usize,
    /// Only the log is to be asked.
    calm: VecDeque<Arc<str>>,
    /// How many of them may still be asked about in this tick.
    calm_turn: usize,
    /// The log took no messages any more in this tick.
    log_is_full: bool,
    lingering: VecDeque<(u64, Arc<str>)>,
    touch_due_ms: u64,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// An entry was appended: what the log should hold is remembered for as long as somebody may resume to it.
    pub(super) fn linger(&mut self, name: &Arc<str>, now: Now) {
        let Some(stream) = self.topics.get_mut(name).and_then(|topic| topic.stream.as_mut()) else { return };
        let until = now.tick_ms + LINGER_MS_MAX;
        if std::mem::replace(&mut stream.lingers_until_ms, until) == 0 {
            self.later.lingering.push_back((until, Arc::clone(name)));
        }
    }

    /// Forgets topics that have lingered long enough.
    pub(super) fn end_lingering(&mut self, now: Now) {
        let over = |due: u64, count: usize| due <= now.tick_ms || count > LINGERING_MAX;
        while let Some((due, name)) = self.later.lingering.pop_front() {
            if !over(due, self.later.lingering.len()) {
                return self.later.lingering.push_front((due, name));
            }
            let Some(stream) = self.topics.get_mut(&name).and_then(|topic| topic.stream.as_mut()) else {
                continue;
            };
            let until = stream.lingers_until_ms;
            if over(until, self.later.lingering.len()) {
                stream.lingers_until_ms = 0;
                self.topics.release(&name);
            } else {
                self.later.lingering.push_back((until, name));
            }
        }
    }

    /// Asks the log about every topic at home here once in a long while.
    pub(super) fn touch_streams(&mut self, now: Now) {
        if self.later.touch_due_ms == 0 {
            self.later.touch_due_ms = now.tick_ms + TOUCH_MS;
        }
        if now.tick_ms >= self.later.touch_due_ms {
            self.later.touch_due_ms = now.tick_ms + TOUCH_MS;
            self.log_interrupted();
        }
    }
}

// === impl Later ===

impl Later {
    /// Whether there is nothing to look after.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.calm.is_empty() && self.lingering.is_empty()
    }

    /// Has a topic looked after with the next tick.
    pub(super) fn push(&mut self, name: &Arc<str>, stream: &mut Stream) {
        if !std::mem::replace(&mut stream.queued, true) {
            if stream.has_waiting() {
                self.urgent.push_back(Arc::clone(name));
            } else {
                self.calm.push_back(Arc::clone(name));
            }
        }
    }

    pub(super) fn lingering_count(&self) -> usize {
        self.lingering.len()
    }

    /// A tick: the turn of all where messages wait, and of the first of the others.
    pub(super) fn begin_turn(&mut self) {
        self.urgent_turn = self.urgent.len();
        self.calm_turn = CALM_PER_TICK.min(self.calm.len());
        self.log_is_full = false;
    }

    /// Some whose turn it is, as many as a piece of work has. Whoever comes meanwhile waits for the next tick.
    pub(super) fn take_some(&mut self) -> Vec<Arc<str>> {
        let urgent = self.urgent_turn.min(AT_ONCE);
        let calm = self.calm_turn.min(AT_ONCE - urgent);
        self.urgent_turn -= urgent;
        self.calm_turn -= calm;
        self.urgent.drain(..urgent).chain(self.calm.drain(..calm)).collect()
    }

    /// The log took no messages: those that wait are not offered again in this tick.
    pub(super) fn note_full(&mut self) {
        self.log_is_full = true;
    }

    /// Whether messages of a topic are better offered with the next tick.
    pub(super) fn puts_off(&self, stream: &Stream) -> bool {
        self.log_is_full && stream.has_waiting() && !stream.is_out()
    }

    /// Whether there are more of them for this tick.
    pub(super) fn has_turn(&self) -> bool {
        self.urgent_turn + self.calm_turn > 0
    }
}
