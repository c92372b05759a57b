//! What waits for one client: a queue bounded in bytes, filled under the node's lock, emptied by the connection's task.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use cluster::wire::codes::CloseCode;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::core::SessionSink;
use crate::frames;

/// What a waiting frame takes beside its bytes: its place in the queue.
const FRAME_COST: usize = size_of::<Bytes>();

/// Places that an empty queue keeps. Most frames come one by one, so that few connections ever have to give some back.
const PLACES_KEPT: usize = 8;

/// Both ends of the queue. Clones share it.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    waker: AtomicWaker,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Bytes>,
    /// Bytes queued, or taken and not written yet; with what their frames take beside.
    bytes: usize,
    /// The close frame is queued, or the connection is gone: nothing is added any more.
    closing: Option<CloseCode>,
}

// === impl Outbox ===

impl Outbox {
    /// An empty one that closes itself when more than `bytes_max` wait.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), waker: AtomicWaker::new(), bytes_max }))
    }

    /// Whom to wake when something is added. Register before looking.
    pub(crate) fn register(&self, waker: &Waker) {
        self.0.waker.register(waker);
    }

    /// Moves everything that waits to the end of `writing`. Neither keeps the room of a burst once it is empty.
    pub(crate) fn take(&self, writing: &mut VecDeque<Bytes>) {
        let mut state = self.0.state.lock();
        if writing.is_empty() {
            give_back(writing);
            std::mem::swap(&mut state.frames, writing);
        } else {
            writing.append(&mut state.frames);
            give_back(&mut state.frames);
        }
    }

    /// So many bytes are on their way, and with them the ends of so many frames.
    pub(crate) fn written(&self, bytes: usize, frames: usize) {
        let mut state = self.0.state.lock();
        state.bytes = state.bytes.saturating_sub(bytes + frames * FRAME_COST);
    }

    /// Why it is closing, if it is.
    pub(crate) fn closing(&self) -> Option<CloseCode> {
        self.0.state.lock().closing
    }
}

impl SessionSink for Outbox {
    fn push(&self, frame: Bytes) {
        let mut state = self.0.state.lock();
        if state.closing.is_some() {
            return;
        }
        if state.bytes + frame.len() + FRAME_COST > self.0.bytes_max {
            // What waits is lost to this connection: the client looks up again and resumes.
            state.frames.clear();
            state.close(CloseCode::SlowConsumer);
        } else {
            state.add(frame);
        }
        drop(state);
        self.0.waker.wake();
    }

    fn waiting_bytes(&self) -> usize {
        self.0.state.lock().bytes
    }

    fn close(&self, code: CloseCode) {
        let mut state = self.0.state.lock();
        if state.closing.is_none() {
            state.close(code);
            drop(state);
            self.0.waker.wake();
        }
    }
}

// === impl State ===

impl State {
    fn add(&mut self, frame: Bytes) {
        self.bytes += frame.len() + FRAME_COST;
        self.frames.push_back(frame);
    }

    fn close(&mut self, code: CloseCode) {
        self.add(frames::close(code));
        self.closing = Some(code);
    }
}

fn give_back(empty: &mut VecDeque<Bytes>) {
    if empty.capacity() > PLACES_KEPT {
        *empty = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox) -> Vec<Bytes> {
        let mut writing = VecDeque::new();
        outbox.take(&mut writing);
        writing.into()
    }

    #[test]
    fn the_close_frame_is_the_last() {
        let outbox = Outbox::new(100);
        outbox.push(Bytes::from_static(b"one"));
        outbox.close(CloseCode::Draining);
        outbox.push(Bytes::from_static(b"late"));
        outbox.close(CloseCode::Moved);
        assert_eq!(taken(&outbox), [Bytes::from_static(b"one"), frames::close(CloseCode::Draining)]);
    }

    #[test]
    fn over_the_bound_it_closes_and_counts_what_is_not_written_yet() {
        let two = 2 * (5 + FRAME_COST);
        let outbox = Outbox::new(two);
        outbox.push(Bytes::from_static(b"12345"));
        assert_eq!(taken(&outbox).len(), 1);
        outbox.push(Bytes::from_static(b"12345"));
        assert_eq!(outbox.closing(), None);
        outbox.push(Bytes::new());
        assert_eq!(outbox.closing(), Some(CloseCode::SlowConsumer));
        assert_eq!(taken(&outbox), [frames::close(CloseCode::SlowConsumer)]);

        let outbox = Outbox::new(two);
        let whole = Bytes::from(vec![0; two - FRAME_COST]);
        outbox.push(whole.clone());
        taken(&outbox);
        outbox.written(1, 0);
        outbox.written(whole.len() - 1, 1);
        outbox.push(whole);
        assert_eq!(outbox.closing(), None);
    }

    #[test]
    fn tiny_frames_reach_the_bound_too() {
        let outbox = Outbox::new(1_000);
        (0..1_000 / FRAME_COST).for_each(|_| outbox.push(Bytes::new()));
        assert_eq!(outbox.closing(), None);
        outbox.push(Bytes::new());
        assert_eq!(outbox.closing(), Some(CloseCode::SlowConsumer));
    }

    #[test]
    fn the_room_of_a_burst_is_given_back() {
        let (outbox, mut writing) = (Outbox::new(100_000), VecDeque::new());
        let burst = |writing: &mut _| {
            (0..1_000).for_each(|_| outbox.push(Bytes::new()));
            outbox.take(writing);
        };
        burst(&mut writing);
        burst(&mut writing);
        outbox.written(0, writing.len());
        writing.clear();
        outbox.take(&mut writing);
        let left = [writing.capacity(), outbox.0.state.lock().frames.capacity()];
        assert!(left.iter().all(|places| *places <= PLACES_KEPT), "{left:?}");
    }
}
