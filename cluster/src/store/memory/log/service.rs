//! The topics of one service, and when they are forgotten.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::maps::HashMap;

use super::topic::TopicLog;
use crate::log::{Append, Batch, LogConfig, LogError, Open, Opened, Position, Read, ReadRequest, Topic};
use crate::ring::Slot;

/// Topics looked at in one sweep: more than one call can begin, so that they never pile up.
const SWEPT_MAX: usize = 2_000;

/// All topics of one service.
#[derive(Clone, Default)]
pub(in crate::store::memory) struct ServiceLog {
    slots: HashMap<Slot, HashMap<Arc<str>, TopicLog>>,
    /// One for each topic: when to look at it again. A look too late costs memory and nothing else.
    due: BinaryHeap<Reverse<(u64, Slot, Arc<str>)>>,
}

// === impl ServiceLog ===

impl ServiceLog {
    /// Forgets what has expired.
    pub(super) fn sweep(&mut self, now: u64) {
        for _ in 0..SWEPT_MAX {
            if !matches!(self.due.peek(), Some(Reverse((due, ..))) if *due <= now) {
                return;
            }
            let Some(Reverse((_, slot, name))) = self.due.pop() else { return };
            let Some(topics) = self.slots.get_mut(&slot) else { continue };
            match topics.get_mut(&name) {
                Some(topic) if !topic.is_over(now) => {
                    topic.expire(now);
                    self.due.push(Reverse((topic.deadline(), slot, name)));
                }
                _ => {
                    topics.remove(&name);
                    if topics.is_empty() {
                        self.slots.remove(&slot);
                    }
                }
            }
        }
    }

    pub(super) fn open(&mut self, open: &Open<'_>, config: &LogConfig, now: u64) -> Result<Opened, LogError> {
        self.with(open, now, |topic| topic.open(open, config, now))
    }

    pub(super) fn append(
        &mut self,
        append: &Append<'_>,
        config: &LogConfig,
        now: u64,
    ) -> Result<Batch, LogError> {
        self.with(&append.open, now, |topic| topic.append(append, config, now))
    }

    pub(super) fn read(&self, request: &ReadRequest<'_>, now: u64) -> Read {
        let topic = self.slots.get(&request.topic.slot).and_then(|topics| topics.get(request.topic.name));
        match topic.filter(|topic| !topic.is_over(now)) {
            Some(topic) => topic.read(request, now),
            None => Read::Absent,
        }
    }

    pub(super) fn touch(&mut self, topic: Topic<'_>, config: &LogConfig, now: u64) -> Option<Position> {
        let topic = self.slots.get_mut(&topic.slot)?.get_mut(topic.name)?;
        if topic.is_over(now) {
            return None;
        }
        topic.touch(config, now);
        Some(topic.position())
    }

    fn with<T>(&mut self, open: &Open<'_>, now: u64, act: impl FnOnce(&mut TopicLog) -> T) -> T {
        let Topic { name, slot } = open.topic;
        let topics = self.slots.entry(slot).or_default();
        if let Some(topic) = topics.get_mut(name) {
            if topic.is_over(now) {
                *topic = TopicLog::new(open);
            }
            return act(topic);
        }
        let name: Arc<str> = name.into();
        let topic = topics.entry(name.clone()).or_insert_with(|| TopicLog::new(open));
        let done = act(topic);
        self.due.push(Reverse((topic.deadline(), slot, name)));
        done
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::{Epoch, Fence, Message, Retention};
    use crate::ring::Version;

    #[test]
    fn nothing_stays_for_ever() {
        let mut log = ServiceLog::default();
        let config = LogConfig::default();
        let retention = Retention::new(10, Duration::from_millis(100)).unwrap();
        for number in 0..10 {
            let topic = Topic { name: &format!("g:{number}"), slot: Slot::new(number % 3) };
            let fence = Fence { version: Version::from_u64(1), generation: 1 };
            let open = Open { topic, fence, known: None, fresh: Epoch::new(1) };
            let messages = [Message { from: "a", key: Some("k"), data: b"x" }];
            log.append(&Append { open, retention, messages: &messages }, &config, 0).unwrap();
        }
        let end = 100 + config.position_age_ms();
        log.sweep(end - 1);
        assert_eq!(log.slots.values().map(HashMap::len).sum::<usize>(), 10);
        log.touch(Topic { name: "g:0", slot: Slot::new(0) }, &config, end - 1).unwrap();
        log.sweep(end);
        assert_eq!((log.slots.values().map(HashMap::len).sum::<usize>(), log.due.len()), (1, 1));
        log.sweep(end + config.position_age_ms());
        assert!(log.slots.is_empty() && log.due.is_empty());
    }
}
