//! The client's side of a connection, in memory: a stream that holds back what the socket does not take, as TLS does.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What rustls holds back at most.
const HELD_MAX: usize = 64 * 1024;

/// Both ends; clones share them.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    to_node: VecDeque<u8>,
    client_ended: bool,
    /// Written, and not in the socket yet.
    held: VecDeque<u8>,
    held_max: usize,
    /// What the socket still takes.
    room: usize,
    to_client: Vec<u8>,
    node_ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    /// The client takes everything at once.
    pub(super) fn open() -> Self {
        let wire = Self::plain();
        wire.make_room(usize::MAX);
        wire
    }

    /// The client takes nothing, and nothing is held back for it.
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// The client takes nothing, but some is held back for it.
    pub(super) fn tls() -> Self {
        let wire = Self::default();
        wire.0.lock().unwrap().held_max = HELD_MAX;
        wire
    }

    pub(super) fn make_room(&self, bytes: usize) {
        let mut state = self.0.lock().unwrap();
        state.room = state.room.saturating_add(bytes);
        state.writer.take().into_iter().for_each(Waker::wake);
    }

    /// The client sends a masked frame; the mask is zero.
    pub(super) fn say(&self, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        assert!(length < 126);
        self.send(&[&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat());
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.to_node.extend(bytes);
        state.reader.take().into_iter().for_each(Waker::wake);
    }

    /// The client closes its half.
    pub(super) fn end(&self) {
        let mut state = self.0.lock().unwrap();
        state.client_ended = true;
        state.reader.take().into_iter().for_each(Waker::wake);
    }

    /// What has come to the client.
    pub(super) fn heard(&self) -> Vec<u8> {
        self.0.lock().unwrap().to_client.clone()
    }

    /// What the node has not read.
    pub(super) fn unread(&self) -> usize {
        self.0.lock().unwrap().to_node.len()
    }

    /// Whether the node closed its half.
    pub(super) fn node_ended(&self) -> bool {
        self.0.lock().unwrap().node_ended
    }
}

impl State {
    fn drain(&mut self) {
        let count = self.held.len().min(self.room);
        self.room -= count;
        self.to_client.extend(self.held.drain(..count));
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        if state.to_node.is_empty() && !state.client_ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = state.to_node.len().min(buf.remaining());
        buf.put_slice(&state.to_node.drain(..count).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        state.drain();
        let count = bytes.len().min((state.held_max - state.held.len()).max(state.room));
        state.held.extend(&bytes[..count]);
        state.drain();
        if !state.held.is_empty() {
            state.writer = Some(cx.waker().clone());
        }
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        state.drain();
        if state.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().node_ended = true;
        Poll::Ready(Ok(()))
    }
}
