//! The queues of a [`World`](super::world::World): what sessions were sent, and what is on its way between nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cluster::wire::peer::{Audience, Publish, ToHome, decode};
use serde_json::Value;

use super::super::*;

/// What a session was sent: JSON frames, and a close code.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Sent>>);

#[derive(Default)]
struct Sent {
    frames: Vec<Value>,
    closed: Option<CloseCode>,
    /// What its socket is said not to have taken yet.
    waiting_bytes: usize,
}

/// One direction of a link.
#[derive(Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<Queue>>);

struct Queue {
    frames: VecDeque<Bytes>,
    /// How many more frames it takes, whatever is carried.
    room: usize,
    /// How many frames may be on their way.
    capacity: usize,
}

impl Memory {
    /// Every frame, taken out.
    pub(super) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap().frames)
    }

    /// The ops of every frame, taken out.
    pub(super) fn ops(&self) -> Vec<String> {
        self.take().iter().map(|frame| frame["op"].as_str().unwrap().to_owned()).collect()
    }

    /// The data of every message, taken out with all else.
    pub(super) fn data(&self) -> Vec<u64> {
        self.take()
            .iter()
            .filter(|frame| frame["op"] == "message")
            .map(|frame| frame["data"].as_u64().unwrap())
            .collect()
    }

    pub(super) fn closed(&self) -> Option<CloseCode> {
        self.0.lock().unwrap().closed
    }

    /// So much waits for the client from now on.
    pub(super) fn set_waiting(&self, bytes: usize) {
        self.0.lock().unwrap().waiting_bytes = bytes;
    }
}

impl Memory {
    /// The data of its messages that were not taken out, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let sent = self.0.lock().unwrap();
        sent.frames.iter().map(|frame| frame["data"].as_str().map_or(0, str::len)).sum()
    }
}

impl SessionSink for Memory {
    fn push(&self, frame: Bytes) {
        let begin = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let mut sent = self.0.lock().unwrap();
        sent.frames.push(serde_json::from_slice(&frame[begin..]).unwrap());
    }

    fn waiting_bytes(&self) -> usize {
        self.0.lock().unwrap().waiting_bytes
    }

    fn close(&self, code: CloseCode) {
        self.0.lock().unwrap().closed.get_or_insert(code);
    }
}

impl Pipe {
    pub(super) fn drain(&self) -> Vec<Bytes> {
        self.0.lock().unwrap().frames.drain(..).collect()
    }

    /// The first frame that is on its way.
    pub(super) fn pop(&self) -> Option<Bytes> {
        self.0.lock().unwrap().frames.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().frames.is_empty()
    }

    /// It takes so many frames more.
    pub(super) fn set_room(&self, frames: usize) {
        self.0.lock().unwrap().room = frames;
    }

    /// So many frames may be on their way.
    pub(super) fn set_capacity(&self, frames: usize) {
        self.0.lock().unwrap().capacity = frames;
    }

    /// How many messages for how many topics are on their way.
    pub(super) fn publishes(&self) -> Vec<usize> {
        let frames = self.0.lock().unwrap().frames.clone();
        let topics = |frame: &Bytes| match decode(frame) {
            Some(ToHome::Publish(Publish { to: Audience::Topics(topics), .. })) => Some(topics.len()),
            _ => None,
        };
        frames.iter().filter_map(topics).collect()
    }
}

impl LinkSink for Pipe {
    fn send(&self, frame: Bytes) -> bool {
        let mut queue = self.0.lock().unwrap();
        if queue.room == 0 || queue.frames.len() >= queue.capacity {
            return false;
        }
        queue.room -= 1;
        queue.frames.push_back(frame);
        true
    }

    fn has_ended(&self) -> bool {
        false
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { frames: VecDeque::new(), room: usize::MAX, capacity: usize::MAX }
    }
}
