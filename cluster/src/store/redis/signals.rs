//! What the server tells of itself: notices on channels, handed to whoever waits for them as counters that grow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redis::{PushInfo, PushKind, Value};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::tokens::random_id;

/// The channels that somebody wants to hear of. A counter cannot overflow: notices that nobody has looked at yet are one.
pub(super) struct Signals {
    wanted: Mutex<HashMap<String, watch::Sender<u64>>>,
    count: watch::Sender<usize>,
    /// A channel of this process' own, to find out whether messages arrive.
    own: String,
    heard: watch::Sender<u64>,
    arriving: AtomicBool,
}

/// A message to itself that is to be heard.
pub(super) struct Probe<'a> {
    channel: &'a str,
    heard: watch::Receiver<u64>,
}

// === impl Signals ===

impl Signals {
    pub(super) fn new() -> Self {
        Self {
            wanted: Mutex::default(),
            count: watch::Sender::new(0),
            own: format!("ringdial:probe:{}", random_id()),
            heard: watch::Sender::new(0),
            arriving: AtomicBool::new(true),
        }
    }

    /// The counter of a channel, which the link subscribes to from now on.
    pub(super) fn want(&self, channel: &str) -> watch::Receiver<u64> {
        let mut wanted = self.wanted.lock();
        let receiver = wanted.entry(channel.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        self.count.send_if_modified(|count| std::mem::replace(count, wanted.len()) != wanted.len());
        receiver
    }

    /// All wanted channels; if there are any, this process' own as well.
    pub(super) fn channels(&self) -> Vec<String> {
        let wanted = self.wanted.lock();
        let own = (!wanted.is_empty()).then(|| self.own.clone());
        wanted.keys().cloned().chain(own).collect()
    }

    /// Prepares to hear the next message on this process' own channel.
    pub(super) fn probe(&self) -> Probe<'_> {
        Probe { channel: &self.own, heard: self.heard.subscribe() }
    }

    /// Whether messages arrive, as far as is known.
    pub(super) fn arriving(&self) -> bool {
        self.arriving.load(Ordering::Relaxed)
    }

    /// Notes whether they do; answers what was noted before.
    pub(super) fn set_arriving(&self, arriving: bool) -> bool {
        self.arriving.swap(arriving, Ordering::Relaxed)
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
            PushKind::Message if push.data.first().and_then(text) == Some(&self.own) => {
                self.heard.send_modify(|count| *count += 1);
            }
            // A confirmed subscription hears nothing of what came before it.
            PushKind::Message | PushKind::Subscribe => {
                let counter = push.data.first().and_then(text).and_then(|channel| counters.get(channel));
                counter.into_iter().for_each(|counter| counter.send_modify(|count| *count += 1));
            }
            _ => {}
        }
    }
}

// === impl Probe ===

impl Probe<'_> {
    pub(super) fn channel(&self) -> &str {
        self.channel
    }

    /// Returns when a message has come since the probe was made.
    pub(super) async fn heard(&mut self) {
        // The sender lives as long as the borrow.
        let _ = self.heard.changed().await;
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
