//! The queues that cores write into: a session's and a link's. Neither waits; both note that there is something to carry.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use cluster::homes::LinkSink;
use cluster::planted::{self, Bug};
use cluster::wire::codes::CloseCode;
use edge::peer::LinkSender;
use parking_lot::Mutex;
use ws_node::core::SessionSink;
use ws_node::frames;

/// What a waiting frame takes beside its bytes, as in a node's own queues.
const FRAME_COST: usize = 32;

/// Something to carry, or to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A socket's queue has something.
    Socket(u64),
    /// A link's end has something: which link, which end.
    Link(u64, usize),
    /// A session was asked to move.
    Moved(u64, Bytes),
    /// A session was answered with an error.
    Refused(u64, Bytes),
    /// A session was closed by its node.
    Closed(u64, CloseCode),
}

/// What there is to carry.
pub(crate) type Marks = Arc<Mutex<Vec<Mark>>>;

/// The queue in front of a socket, as a node's is.
#[derive(Clone)]
pub(crate) struct Outbox {
    socket: u64,
    bytes_max: usize,
    state: Arc<Mutex<Waiting>>,
    marks: Marks,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closing: Option<CloseCode>,
}

/// The queue in front of a link's end.
pub(crate) struct PeerSink {
    link: (u64, usize),
    sender: LinkSender,
    marks: Marks,
}

// === impl Outbox ===

impl Outbox {
    /// An empty one that closes itself when more than `bytes_max` wait.
    pub(crate) fn new(socket: u64, bytes_max: usize, marks: Marks) -> Self {
        Self { socket, bytes_max, state: Arc::default(), marks }
    }

    /// Everything that waits, and whether the close frame is its end.
    pub(crate) fn take(&self) -> (Vec<Bytes>, Option<CloseCode>) {
        let mut state = self.state.lock();
        state.bytes = 0;
        (state.frames.drain(..).collect(), state.closing)
    }

    /// Whether something waits.
    pub(crate) fn is_waiting(&self) -> bool {
        let state = self.state.lock();
        !state.frames.is_empty() || state.closing.is_some()
    }

    /// Why it is closing, if it is.
    pub(crate) fn closing(&self) -> Option<CloseCode> {
        self.state.lock().closing
    }
}

impl SessionSink for Outbox {
    fn push(&self, frame: Bytes) {
        if text_of(&frame).starts_with("{\"op\":\"error\"") {
            self.marks.lock().push(Mark::Refused(self.socket, frame.clone()));
        }
        let mut state = self.state.lock();
        if state.closing.is_some() {
            return;
        }
        if text_of(&frame).starts_with("{\"op\":\"moved\"") {
            self.marks.lock().push(Mark::Moved(self.socket, frame.clone()));
        }
        if state.bytes + frame.len() + FRAME_COST > self.bytes_max {
            state.frames.clear();
            state.closing = Some(CloseCode::SlowConsumer);
            self.marks.lock().push(Mark::Closed(self.socket, CloseCode::SlowConsumer));
        } else {
            state.bytes += frame.len() + FRAME_COST;
            state.frames.push_back(frame);
        }
        self.marks.lock().push(Mark::Socket(self.socket));
    }

    fn waiting_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    fn close(&self, code: CloseCode) {
        let mut state = self.state.lock();
        if state.closing.is_none() {
            state.closing = Some(code);
            self.marks.lock().extend([Mark::Closed(self.socket, code), Mark::Socket(self.socket)]);
        }
    }
}

// === impl PeerSink ===

impl PeerSink {
    /// In front of this end of a link.
    pub(crate) fn new(link: (u64, usize), sender: LinkSender, marks: Marks) -> Self {
        Self { link, sender, marks }
    }
}

impl LinkSink for PeerSink {
    fn send(&self, frame: Bytes) -> bool {
        if planted::is(Bug::DropFrame) && cluster::chance::number().is_ok_and(|number| number % 10_000 == 0) {
            return true;
        }
        let taken = self.sender.try_send(frame).is_ok();
        self.marks.lock().push(Mark::Link(self.link.0, self.link.1));
        taken
    }

    fn has_ended(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The text of a text frame.
pub(crate) fn text_of(frame: &Bytes) -> &str {
    let begin = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(begin..).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// A frame with this text.
pub(crate) fn frame_of(text: &str) -> Bytes {
    frames::text(text)
}
