//! The queue in front of a link's writer: bounded in bytes, never waiting.
//!
//! Senders push under a short lock; the writer swaps the whole queue out under it, so the lock is held for a few
//! instructions whatever the load. What the writer has swapped out still counts until it is packed into a message.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::events::LinkId;
use super::settings::FRAME_BYTES_MAX;

/// Bytes that each queued frame counts on top of its length: what its bookkeeping costs, so that the bound also holds
/// for many small frames.
pub const FRAME_COST: usize = 64;

/// The sending end of a link. Clones share the queue. May be called with the caller's own locks held.
#[derive(Clone)]
pub struct LinkSender {
    shared: Arc<Shared>,
}

/// The writer's end of a queue. There is one; dropping it closes the queue.
pub struct LinkQueue {
    shared: Arc<Shared>,
    /// Swapped out, in order, before everything that is in the shared queue.
    taken: VecDeque<Bytes>,
}

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The bound is reached: the peer or the network is slower than the senders.
    #[error("the link's queue is full: drop the frame, or leave it to the log")]
    Full,
    /// The link is gone.
    #[error("the link is closed: wait for the next one to this peer")]
    Closed,
    /// Over [`FRAME_BYTES_MAX`].
    #[error("the frame has more than {FRAME_BYTES_MAX} bytes: split it")]
    TooLarge,
}

/// What the link itself has to say, before any frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Control {
    /// Ask the peer for its ring record.
    pub(super) want_ring: bool,
    /// The peer asked for the ring record.
    pub(super) ring: bool,
}

struct Shared {
    link: LinkId,
    bytes_max: usize,
    bytes: AtomicUsize,
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Bytes>,
    control: Control,
    closed: bool,
}

/// A queue for `link` that holds at most `bytes_max`. Links make their own; a simulation makes them by hand.
pub fn queue(link: LinkId, bytes_max: usize) -> (LinkSender, LinkQueue) {
    let shared = Arc::new(Shared {
        link,
        bytes_max,
        bytes: AtomicUsize::new(0),
        state: Mutex::default(),
        ready: Notify::new(),
    });
    (LinkSender { shared: Arc::clone(&shared) }, LinkQueue { shared, taken: VecDeque::new() })
}

// === impl LinkSender ===

impl LinkSender {
    /// Queues a frame behind all earlier ones, or refuses it at once.
    ///
    /// # Errors
    /// See [`SendError`]; the frame is dropped.
    pub fn try_send(&self, frame: Bytes) -> Result<(), SendError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        let cost = frame.len() + FRAME_COST;
        let mut state = self.shared.state.lock();
        if state.closed {
            return Err(SendError::Closed);
        }
        // Only the writer, which lowers it, counts outside the lock.
        if self.shared.bytes.load(Ordering::Relaxed) + cost > self.shared.bytes_max {
            return Err(SendError::Full);
        }
        self.shared.bytes.fetch_add(cost, Ordering::Relaxed);
        let was_empty = state.frames.is_empty();
        state.frames.push_back(frame);
        drop(state);
        // The writer empties the queue whole: only the first frame after that has to wake it.
        if was_empty {
            self.shared.ready.notify_one();
        }
        Ok(())
    }

    /// Bytes that wait now, [`FRAME_COST`] for each frame included.
    pub fn queued_bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Whether the link is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().closed
    }

    /// The link that this sends on.
    pub fn link(&self) -> LinkId {
        self.shared.link
    }

    /// Tells the peer something of the link's own; asked twice before it was written, it is written once.
    pub(super) fn control(&self, change: impl FnOnce(&mut Control)) {
        change(&mut self.shared.state.lock().control);
        self.shared.ready.notify_one();
    }

    /// Refuses all further frames; the writer may still take what is queued.
    pub(super) fn close(&self) {
        self.shared.state.lock().closed = true;
    }
}

impl fmt::Debug for LinkSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSender")
            .field("link", &self.shared.link)
            .field("queued_bytes", &self.queued_bytes())
            .finish()
    }
}

// === impl SendError ===

impl SendError {
    /// The stable code, and the reason under which a dropped frame is counted.
    pub fn code(self) -> &'static str {
        match self {
            Self::Full => "link_full",
            Self::Closed => "link_closed",
            Self::TooLarge => "frame_too_large",
        }
    }
}

// === impl LinkQueue ===

impl LinkQueue {
    /// The next frame; `None` when none waits. Frees its place in the bound.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.peek()?;
        let frame = self.taken.pop_front()?;
        self.shared.bytes.fetch_sub(frame.len() + FRAME_COST, Ordering::Relaxed);
        Some(frame)
    }

    /// The next frame, left in its place.
    pub(super) fn peek(&mut self) -> Option<&Bytes> {
        if self.taken.is_empty() {
            std::mem::swap(&mut self.taken, &mut self.shared.state.lock().frames);
        }
        self.taken.front()
    }

    /// What the link itself has to say; said once.
    pub(super) fn take_control(&mut self) -> Control {
        std::mem::take(&mut self.shared.state.lock().control)
    }

    /// Waits until something was queued since the last look. Cancel-safe.
    pub(super) async fn ready(&self) {
        self.shared.ready.notified().await;
    }
}

impl Drop for LinkQueue {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let lost = std::mem::take(&mut state.frames);
        drop(state);
        drop(lost); // not under the lock
    }
}

impl fmt::Debug for LinkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkQueue").field("link", &self.shared.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(bytes_max: usize) -> (LinkSender, LinkQueue) {
        queue(LinkId::simulated(1), bytes_max)
    }

    #[test]
    fn frames_come_out_in_order_across_swaps() {
        let (sender, mut queue) = pair(1 << 20);
        let mut next = 0;
        for round in 0u32..10 {
            for n in 0..10 {
                sender.try_send((round * 10 + n).to_le_bytes().to_vec().into()).unwrap();
            }
            for _ in 0..7 {
                assert_eq!(queue.pop().unwrap()[..], u32::to_le_bytes(next));
                next += 1;
            }
        }
        while let Some(frame) = queue.pop() {
            assert_eq!(frame[..], next.to_le_bytes());
            next += 1;
        }
        assert_eq!((next, sender.queued_bytes()), (100, 0));
    }

    #[test]
    fn the_bound_counts_what_the_writer_took_and_has_not_packed() {
        let (sender, mut queue) = pair(3 * (100 + FRAME_COST));
        let frame = Bytes::from_static(&[7; 100]);
        for _ in 0..3 {
            sender.try_send(frame.clone()).unwrap();
        }
        assert_eq!(sender.try_send(frame.clone()), Err(SendError::Full));
        queue.peek().unwrap();
        assert_eq!(sender.try_send(frame.clone()), Err(SendError::Full));
        queue.pop().unwrap();
        assert_eq!(sender.try_send(frame.clone()), Ok(()));
        assert_eq!(sender.try_send(frame), Err(SendError::Full));
    }

    #[test]
    fn a_frame_that_fits_no_message_is_refused() {
        let (sender, _queue) = pair(usize::MAX);
        assert_eq!(sender.try_send(vec![0; FRAME_BYTES_MAX].into()), Ok(()));
        assert_eq!(sender.try_send(vec![0; FRAME_BYTES_MAX + 1].into()), Err(SendError::TooLarge));
    }

    #[test]
    fn a_dropped_queue_refuses_and_holds_nothing() {
        let (sender, queue) = pair(1 << 20);
        let frame = Bytes::from(vec![1; 10]);
        sender.try_send(frame.clone()).unwrap();
        assert!(!frame.is_unique() && !sender.is_closed());
        drop(queue);
        assert_eq!(sender.try_send(frame.clone()), Err(SendError::Closed));
        assert!(frame.is_unique() && sender.is_closed());
    }

    #[tokio::test]
    async fn a_frame_queued_before_the_wait_is_not_missed() {
        let (sender, mut queue) = pair(1 << 20);
        let soon = std::time::Duration::from_secs(20);
        sender.try_send(Bytes::from_static(b"x")).unwrap();
        tokio::time::timeout(soon, queue.ready()).await.unwrap();
        assert!(queue.pop().is_some());
        sender.control(|control| control.want_ring = true);
        tokio::time::timeout(soon, queue.ready()).await.unwrap();
        assert!(queue.take_control().want_ring);
        assert_eq!(queue.take_control(), Control::default());
    }
}
