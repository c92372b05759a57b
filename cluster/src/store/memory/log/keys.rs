//! The keys of one topic's newest messages, as a value.

use std::collections::VecDeque;

use crate::log::{LogConfig, rules::Digest};
use crate::maps::HashMap;

/// What is remembered of messages with keys.
#[derive(Clone, Default)]
pub(super) struct Keys {
    by_key: HashMap<Digest, Remembered>,
    /// In the order of their offsets, those too whose key came again later.
    order: VecDeque<(u64, Digest)>,
}

/// One message with a key.
#[derive(Clone, Copy)]
pub(super) struct Remembered {
    pub(super) offset: u64,
    pub(super) data: Digest,
    time_ms: u64,
}

// === impl Keys ===

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The message with this key, if it is remembered at `now` in a topic that stands at `head`.
    pub(super) fn find(
        &mut self,
        key: &Digest,
        head: u64,
        config: &LogConfig,
        now: u64,
    ) -> Option<Remembered> {
        self.forget(head, config, now);
        self.by_key.get(key).copied()
    }

    pub(super) fn remember(&mut self, key: Digest, data: Digest, offset: u64, now: u64) {
        self.by_key.insert(key, Remembered { offset, data, time_ms: now });
        self.order.push_back((offset, key));
    }

    fn forget(&mut self, head: u64, config: &LogConfig, now: u64) {
        while let Some((offset, key)) = self.order.front() {
            let kept = self.by_key.get(key).filter(|kept| kept.offset == *offset);
            let stays = kept.is_some_and(|kept| {
                offset + u64::from(config.key_messages) > head && kept.time_ms + config.key_age_ms() > now
            });
            if stays {
                return;
            }
            if kept.is_some() {
                self.by_key.remove(key);
            }
            self.order.pop_front();
        }
    }
}
