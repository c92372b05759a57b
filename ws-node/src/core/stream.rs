//! A durable topic at its home: what waits for the log, what is out there, and how far it was passed on.
//!
//! One request of a topic is out at a time, and whatever came meanwhile goes with the next one: that is a topic's order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use cluster::homes::{Outgoing, RequestKey};
use cluster::log::{Fence, Position, Retention};
use cluster::maps::HashSet;
use cluster::planted::{self, Bug};
use cluster::ring::Slot;

use super::log_port::{LogRequest, NewEntry};

/// Messages in one append, at most.
const BATCH_MESSAGES_MAX: usize = 500;

/// Epochs of which something is known that the log was not asked about, at most.
const KNOWN_MAX: usize = 8;

/// Bytes of data in one append, at most, unless a single message is larger.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// What a topic's home keeps of it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The newest entry that was passed on. `None` before the log was asked.
    pub(super) position: Option<Position>,
    /// The newest entries that followers told of, one an epoch, if the log must know of them.
    known: Vec<Position>,
    waiting: VecDeque<Waiting>,
    out: Out,
    /// The log is to be asked again, whatever is known.
    reopen: bool,
    /// It is being asked for that reason.
    reopening: bool,
    /// It stands in the queue of those to be looked after with the next tick.
    pub(super) queued: bool,
    /// Until then its position is remembered even if nobody is interested, since the log might be rolled back. 0: no
    /// longer than somebody is.
    pub(super) lingers_until_ms: u64,
    /// Links that registered interest and were not told yet where the topic stands.
    pub(super) untold: Vec<u64>,
}

/// What the log was asked and has not answered.
#[derive(Debug, Default)]
enum Out {
    #[default]
    Nothing,
    Open,
    Append(Vec<Waiting>),
}

/// A message that waits for the log.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whose answer it is a part of.
    pub(super) request: RequestKey,
    /// Where it entered the cluster, and its number there.
    pub(super) origin: (Arc<str>, u64, u64),
    pub(super) from: Arc<str>,
    pub(super) key: Box<str>,
    pub(super) data: Bytes,
    pub(super) due_ms: u64,
}

// === impl Stream ===

impl Stream {
    /// Whether something waits or is out: only then it must not be forgotten.
    pub(super) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.is_out()
    }

    /// Whether messages wait to be stored.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_out(&self) -> bool {
        !matches!(self.out, Out::Nothing)
    }

    pub(super) fn push(&mut self, message: Waiting) {
        self.waiting.push_back(message);
        if planted::is(Bug::SwapTwo) && self.waiting.len() == 3 {
            self.waiting.swap(1, 2);
        }
    }

    /// Whether nobody is told where the topic stands until the log has answered.
    pub(super) fn is_doubted(&self) -> bool {
        self.position.is_none() || self.reopen || self.reopening
    }

    /// Asks the log again before anybody is told where the topic stands.
    pub(super) fn doubt(&mut self) {
        self.reopen = true;
    }

    /// Where it stands, if that can be told a follower who knows of `known`. Otherwise the log is to be asked.
    pub(super) fn stands_for(&mut self, known: Option<Position>, verify: bool) -> Option<Position> {
        self.learn(known);
        self.reopen |= verify;
        self.position.filter(|_| !self.is_doubted())
    }

    /// A follower has seen this much. Of another epoch than ours it is what counted before, or else the log will say.
    pub(super) fn learn(&mut self, known: Option<Position>) {
        let Some(known) = known else { return };
        if self.position.is_some_and(|position| !is_ahead(known, position)) {
            return;
        }
        self.reopen = true;
        if let Some(other) = self.known.iter_mut().find(|other| other.epoch == known.epoch) {
            other.offset = other.offset.max(known.offset);
        } else if self.known.len() < KNOWN_MAX {
            self.known.push(known);
        }
    }

    /// The next request, if there is something to ask and nothing is out. It counts as sent with [`Stream::sent`]. Without
    /// `retention` what waits goes on waiting.
    pub(super) fn next(
        &self,
        topic: &Arc<str>,
        slot: Slot,
        fence: Fence,
        retention: Option<Retention>,
    ) -> Option<LogRequest> {
        if self.is_out() {
            return None;
        }
        let (topic, known) = (Arc::clone(topic), self.highest());
        let Some(retention) = retention.filter(|_| !self.waiting.is_empty()) else {
            let unknown = self.position.is_none() || self.reopen;
            return unknown.then_some(LogRequest::Open { topic, slot, fence, known });
        };
        let messages = self.waiting.iter().take(self.batch()).map(Waiting::entry).collect();
        Some(LogRequest::Append { topic, slot, fence, known, retention, messages })
    }

    /// What [`Stream::next`] gave is under way; it was for so many of those that wait.
    pub(super) fn sent(&mut self, batch: usize) {
        self.out = if batch == 0 { Out::Open } else { Out::Append(self.waiting.drain(..batch).collect()) };
        self.reopening = std::mem::take(&mut self.reopen);
    }

    /// The log opened the topic, which stands there. Whoever came to doubt it meanwhile still does.
    pub(super) fn opened(&mut self, position: Position) {
        self.out = Out::Nothing;
        self.reopening = false;
        self.known.retain(|known| is_ahead(*known, position));
        self.reopen |= !self.known.is_empty();
    }

    /// The log took the messages that were out, or refused some of them for good.
    pub(super) fn appended(&mut self, position: Position) -> Vec<Waiting> {
        let out = std::mem::take(&mut self.out);
        self.opened(position);
        match out {
            Out::Append(messages) => messages,
            Out::Nothing | Out::Open => Vec::new(),
        }
    }

    /// The log did not do what was asked, or did not say so: it is asked again.
    pub(super) fn failed(&mut self) {
        self.reopen = true;
        self.reopening = false;
        if let Out::Append(mut messages) = std::mem::take(&mut self.out) {
            messages.extend(self.waiting.drain(..));
            self.waiting = messages.into();
        }
    }

    /// Messages that waited too long, in order, and what their senders sent behind them over the same node: a sender whose connection
    /// is gone does not hear of the error, sends all of them once more over another node, and would find the later ones stored
    /// before the first.
    pub(super) fn take_overdue(&mut self, now_ms: u64) -> Vec<Waiting> {
        if !self.waiting.iter().any(|message| message.due_ms <= now_ms) {
            return Vec::new();
        }
        let mut given_up = HashSet::default();
        let (overdue, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|message| {
            let (node, generation, _) = &message.origin;
            let way = (Arc::clone(node), *generation, Arc::clone(&message.from));
            given_up.contains(&way) || message.due_ms <= now_ms && given_up.insert(way)
        });
        self.waiting = waiting.into();
        overdue
    }

    /// Everything that waits, in order: the topic is at home elsewhere.
    pub(super) fn take_waiting(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    /// Where the next message will be if all goes well, which nobody knows.
    pub(super) fn next_place(&self) -> Option<Position> {
        let before = self.waiting.len() as u64 + u64::from(self.is_out());
        self.position.map(|head| Position { offset: head.offset + before + 1, ..head })
    }

    fn batch(&self) -> usize {
        let mut bytes = 0;
        let fits = |message: &&Waiting| {
            bytes += message.data.len();
            bytes <= BATCH_BYTES_MAX || bytes == message.data.len()
        };
        self.waiting.iter().take(BATCH_MESSAGES_MAX).take_while(fits).count()
    }

    fn highest(&self) -> Option<Position> {
        self.known.first().copied().or(self.position)
    }
}

// === impl Waiting ===

impl Waiting {
    /// What it takes in memory, in bytes.
    pub(super) fn cost(&self) -> usize {
        size_of::<Self>() + self.data.len() + self.key.len() + self.from.len()
    }

    /// What a message will take.
    pub(super) fn cost_of(message: &Outgoing<'_>) -> usize {
        size_of::<Self>() + message.data.len() + message.key.len() + message.from.len()
    }

    fn entry(&self) -> NewEntry {
        NewEntry { from: Arc::clone(&self.from), key: self.key.clone(), data: self.data.clone() }
    }
}

/// Whether somebody has seen entries of the same epoch that `position` does not reach.
pub(super) fn is_ahead(known: Position, position: Position) -> bool {
    known.epoch == position.epoch && known.offset > position.offset
}

#[cfg(test)]
mod tests;
