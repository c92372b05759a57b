//! What the server tells of itself: notices on channels, handed to whoever waits for them as counters that grow.

use std::collections::HashMap;

use ::redis::{PushInfo, PushKind, Value};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The channels that somebody wants to hear of. A counter cannot overflow: notices that nobody has looked at yet are one.
pub(super) struct Signals {
    wanted: Mutex<HashMap<String, watch::Sender<u64>>>,
    count: watch::Sender<usize>,
}

// === impl Signals ===

impl Signals {
    pub(super) fn new() -> Self {
        Self { wanted: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// The counter of a channel, which the link subscribes to from now on.
    pub(super) fn want(&self, channel: &str) -> watch::Receiver<u64> {
        let mut wanted = self.wanted.lock();
        let receiver = wanted.entry(channel.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        self.count.send_if_modified(|count| std::mem::replace(count, wanted.len()) != wanted.len());
        receiver
    }

    /// All wanted channels.
    pub(super) fn channels(&self) -> Vec<String> {
        self.wanted.lock().keys().cloned().collect()
    }

    /// Changes when more channels are wanted.
    pub(super) fn more(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Notices may have been missed on every channel.
    pub(super) fn gap(&self) {
        self.wanted.lock().values().for_each(|counter| counter.send_modify(|count| *count += 1));
    }

    /// Takes what a connection pushes; `gone` is the end of that connection. Never blocks.
    pub(super) fn take(&self, push: &PushInfo, gone: &CancellationToken) {
        let counters = self.wanted.lock();
        match push.kind {
            PushKind::Disconnection => gone.cancel(),
            // A confirmed subscription hears nothing of what came before it.
            PushKind::Message | PushKind::Subscribe => {
                let counter = push.data.first().and_then(text).and_then(|channel| counters.get(channel));
                counter.into_iter().for_each(|counter| counter.send_modify(|count| *count += 1));
            }
            _ => {}
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
