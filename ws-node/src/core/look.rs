//! While a link to a live home is down, its topics are looked at in the log. Nothing else polls.

use std::sync::Arc;

use cluster::log::TOPICS_PER_CALL_MAX;
use cluster::ring::Slot;

use super::log_port::{LogRequest, Standing};
use super::{Core, LinkSink, Now, SessionSink};

/// How often, milliseconds.
const LOOK_MS: u64 = 1_000;

/// Looks that may be asked for at once. Of more topics than they name the others have their turn with the next ones, and are
/// not even gone through before.
const LOOKS_AT_ONCE: usize = 20;

/// What is looked at.
#[derive(Debug, Default)]
pub(super) struct Looks {
    due_ms: u64,
    /// The number of the slot in which the last round ended.
    turn: u16,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Looks at the topics whose home cannot be heard.
    pub(super) fn look_at_unheard(&mut self, now: Now) {
        if now.tick_ms < self.looks.due_ms {
            return;
        }
        self.looks.due_ms = now.tick_ms + LOOK_MS;
        let topics = self.next_unheard(LOOKS_AT_ONCE * TOPICS_PER_CALL_MAX);
        for topics in topics.chunks(TOPICS_PER_CALL_MAX) {
            // A log that has no time for it is asked again with the next round.
            let _ = self.log.submit(LogRequest::Look { look: 0, topics: topics.to_vec() });
        }
    }

    /// The log says where they stand.
    pub(super) fn looked(&mut self, results: Vec<(Arc<str>, Standing)>, now: Now) {
        for (name, result) in results {
            self.refresh(&name);
            let Some(known) = self.topics.get(&name).and_then(|topic| topic.feed.position) else { continue };
            match result {
                Ok(Some(head)) if head.epoch == known.epoch => self.take_head(&name, head, now),
                // What is lost is for the home to say.
                Ok(_) => self.ask_home_again(&name),
                Err(_) => {}
            }
        }
    }

    /// Whose turn it is, at most so many, which are more than a slot has.
    pub(super) fn next_unheard(&mut self, most: usize) -> Vec<(Arc<str>, Slot)> {
        let topics = self.unheard(most);
        self.looks.turn = topics.last().map_or(0, |(_, slot)| slot.number());
        topics
    }

    fn unheard(&self, most: usize) -> Vec<(Arc<str>, Slot)> {
        let others = self.ring.members().map(|member| &*member.id).filter(|id| **id != *self.me.id);
        let silent = others.filter(|id| !self.homes.is_linked(id)).map(|id| self.ring.index_of(id));
        let silent: Vec<_> = silent.collect();
        if silent.is_empty() {
            return Vec::new();
        }
        let turn = self.looks.turn;
        let is_silent = |slot: Slot| silent.contains(&self.ring.holder(slot));
        let first = self.topics.within(|slot| slot.number() >= turn && is_silent(slot));
        let concerned = first.chain(self.topics.within(|slot| slot.number() < turn && is_silent(slot)));
        let unheard = concerned.filter_map(|name| Some((name, self.topics.get(name)?)));
        let unheard = unheard.filter(|(_, topic)| !topic.local.is_empty() && topic.feed.position.is_some());
        unheard.map(|(name, topic)| (Arc::clone(name), topic.slot)).take(most).collect()
    }
}
