//! Topics that somebody here follows, or that this node is home of and others asked for.

use cluster::ring::Slot;

use super::Place;
use super::by_slot::{BySlot, InSlot};
use super::feed::Feed;
use super::followers::Follower;
use super::stream::Stream;

/// Origins that a topic remembers before it looks for old ones to forget.
const SEEN_BEFORE_PRUNING: usize = 8;

/// How long an origin is remembered after its last message, milliseconds. A repeated send ends long before.
const SEEN_MS: u64 = 60_000;

/// All of them.
pub(super) type Topics = BySlot<Topic>;

/// One of them.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) slot: Slot,
    /// Sessions here that follow it.
    pub(super) local: Vec<Follower>,
    /// Processes that asked for it, while this node is its home.
    pub(super) remote: Vec<Remote>,
    /// Where its home is. Elsewhere means that interest was registered there.
    pub(super) place: Place,
    /// Whether that interest stands.
    pub(super) standing: bool,
    /// The last call that told its home of it: only the answer to that one makes it stand.
    pub(super) asked: u64,
    /// How far its entries were given to the sessions here.
    pub(super) feed: Feed,
    /// What its home keeps, while that is here and the topic has a log.
    pub(super) stream: Option<Box<Stream>>,
    seen: Vec<Seen>,
}

/// A process that asked for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) link: u64,
    pub(super) sessions: u32,
}

/// The last message that came from a node in one of its generations, which no two nodes share.
#[derive(Debug, Clone, Copy)]
struct Seen {
    generation: u64,
    counter: u64,
    at_ms: u64,
}

// === impl Topics ===

impl Topics {
    /// Forgets the topic if nobody is interested any more.
    pub(super) fn release(&mut self, name: &str) {
        if self.get(name).is_some_and(Topic::is_idle) {
            self.remove(name);
        }
    }
}

// === impl Topic ===

impl InSlot for Topic {
    fn slot(&self) -> Slot {
        self.slot
    }
}

impl Topic {
    pub(super) fn new(slot: Slot, place: Place) -> Self {
        Self {
            slot,
            local: Vec::new(),
            remote: Vec::new(),
            place,
            standing: false,
            asked: 0,
            feed: Feed::default(),
            stream: None,
            seen: Vec::new(),
        }
    }

    /// Sessions that follow it, as far as its home knows.
    pub(super) fn online(&self) -> u32 {
        let remote: u32 = self.remote.iter().map(|remote| remote.sessions).sum();
        u32::try_from(self.local.len()).unwrap_or(u32::MAX).saturating_add(remote)
    }

    /// Whether a frame of it is for anybody.
    pub(super) fn is_heard(&self) -> bool {
        !self.local.is_empty() || !self.remote.is_empty()
    }

    /// How many sessions here follow it, as told to its home.
    pub(super) fn sessions(&self) -> u32 {
        u32::try_from(self.local.len()).unwrap_or(u32::MAX)
    }

    /// Sets or ends a process's interest.
    pub(super) fn set_remote(&mut self, link: u64, sessions: u32) {
        self.remote.retain(|remote| remote.link != link);
        if sessions > 0 {
            self.remote.push(Remote { link, sessions });
        }
    }

    /// Whether this message is new: its number is above the last one from that node. Keeps repeated sends from being
    /// delivered twice, wherever the repetition arrives.
    pub(super) fn is_new(&mut self, generation: u64, counter: u64, now_ms: u64) -> bool {
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.generation == generation) {
            let new = counter > seen.counter;
            seen.counter = seen.counter.max(counter);
            seen.at_ms = now_ms;
            return new;
        }
        if self.seen.len() >= SEEN_BEFORE_PRUNING {
            self.seen.retain(|seen| now_ms.saturating_sub(seen.at_ms) < SEEN_MS);
        }
        self.seen.push(Seen { generation, counter, at_ms: now_ms });
        true
    }

    /// The follower that is this session. Searched from the end, where those are who have just come.
    pub(super) fn follower(&mut self, index: usize) -> Option<&mut Follower> {
        self.local.iter_mut().rev().find(|follower| follower.index == index)
    }

    /// Whether sessions here follow it, or processes asked for it.
    pub(super) fn is_followed(&self) -> bool {
        !self.local.is_empty() || !self.remote.is_empty()
    }

    /// Nobody is interested, and nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        let kept = self.stream.as_ref().is_some_and(|stream| stream.is_busy() || stream.lingers_until_ms > 0);
        !self.is_followed() && !kept
    }
}

#[cfg(test)]
mod tests {
    use cluster::ring::RingKey;

    use super::super::followers::Arrival;

    use super::*;

    fn topic() -> Topic {
        Topic::new(RingKey::new([0; 16]).slot("u:a"), Place::Here)
    }

    #[test]
    fn repetitions_are_known_by_origin_and_number() {
        let mut topic = topic();
        assert!(topic.is_new(1, 5, 0) && topic.is_new(2, 5, 0) && topic.is_new(1, 6, 0));
        assert!(!topic.is_new(1, 6, 0) && !topic.is_new(1, 5, 0) && !topic.is_new(2, 5, 0));
    }

    #[test]
    fn old_origins_are_forgotten_and_recent_ones_kept() {
        let mut topic = topic();
        for generation in 0..8 {
            topic.is_new(generation, 1, generation * 10_000);
        }
        topic.is_new(100, 1, 75_000);
        assert_eq!(topic.seen.len(), 7, "those of the last minute and the new one");
        assert!(!topic.is_new(7, 1, 75_000));
    }

    #[test]
    fn interest_is_counted_once_a_link() {
        let mut topic = topic();
        topic.local.push(Follower::new(0, Arrival::default()));
        topic.set_remote(9, 2);
        topic.set_remote(9, 3);
        assert_eq!(topic.online(), 4);
        topic.set_remote(9, 0);
        assert_eq!(topic.online(), 1);
    }
}
