//! One client's connection: a single task that reads, writes and keeps time.
//!
//! An idle connection owns no buffer: reading goes through one scratch buffer per thread, and only what is incomplete
//! is kept. Whatever is written was encoded before; as many frames as wait go out in one system call.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use cluster::wire::client::{ClientFrame, Refusal};
use cluster::wire::codes::{CloseCode, ErrorCode};
use cluster::wire::node::{Error, NodeFrame};
use edge::io::Io;
use edge::websocket::Taken;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Outbox;
use crate::core::{SessionKey, SessionSink};
use crate::frames::{self, Decoder, Event, Violation};
use crate::node::Node;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Frames written at once, at most: what Linux takes in one call is 1,024.
const FRAMES_PER_WRITE: usize = 64;

/// How long a client may take nothing before it counts as slow.
const STALL: Duration = Duration::from_secs(10);

/// How long a client that was told to close may take for it.
const LINGER: Duration = Duration::from_secs(2);

/// How long an answer to `ping` may take.
const PONG_WAIT: Duration = Duration::from_secs(10);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Serves a connection to its end.
pub(super) async fn run(node: Arc<Node>, taken: Taken, ticket: Result<String, ErrorCode>) {
    let outbox = Outbox::new(node.settings().outbound_bytes_max);
    let admitted = ticket.and_then(|ticket| node.admit(&ticket, outbox.clone()));
    let seat = match admitted {
        Ok((key, token_end)) => Some(Seat { node: Arc::clone(&node), key, token_end }),
        Err(code) => {
            refuse(&outbox, code);
            None
        }
    };
    let Taken { io, read_buf } = taken;
    let mut connection = Connection::new(&node, io, outbox, seat);
    // Given up here: it holds on to hyper's whole read buffer.
    connection.take(&mut Vec::from(read_buf));
    let mut timer = pin!(sleep_until(connection.next_deadline()));
    poll_fn(|cx| connection.poll(cx, timer.as_mut())).await;
}

fn refuse(outbox: &Outbox, code: ErrorCode) {
    outbox.push(frames::text(&NodeFrame::Error(Error::new(None, code)).to_json()));
    outbox.close(code.close().unwrap_or(CloseCode::Protocol));
}

/// The session's place in the node, given back whatever ends the task.
struct Seat {
    node: Arc<Node>,
    key: SessionKey,
    /// When the application's token ends.
    token_end: Option<Instant>,
}

struct Connection {
    io: Io,
    outbox: Outbox,
    seat: Option<Seat>,
    decoder: Decoder,
    heartbeat: Duration,
    /// Frames taken from the outbox; of the first one what is left.
    writing: VecDeque<Bytes>,
    greeted: bool,
    /// The client's close frame came, or nothing of it can be read any more.
    read_ended: bool,
    hello_due: Option<Instant>,
    /// When silence becomes suspicious, or after a `ping` intolerable.
    silence_due: Instant,
    pinged: bool,
    /// When a write that makes no progress is given up.
    stall_due: Option<Instant>,
    /// When a client that was told to close is cut off.
    linger_due: Option<Instant>,
}

impl Connection {
    fn new(node: &Node, io: Io, outbox: Outbox, seat: Option<Seat>) -> Self {
        let (now, settings) = (Instant::now(), node.settings());
        Self {
            io,
            outbox,
            hello_due: seat.as_ref().map(|_| now + settings.hello_timeout),
            seat,
            decoder: Decoder::new(settings.message_bytes_max),
            heartbeat: settings.heartbeat,
            writing: VecDeque::new(),
            greeted: false,
            read_ended: false,
            silence_due: now + settings.heartbeat,
            pinged: false,
            stall_due: None,
            linger_due: None,
        }
    }

    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        loop {
            if self.poll_write(cx).is_ready() {
                return Poll::Ready(());
            }
            let read = self.poll_read(cx);
            while timer.as_mut().poll(cx).is_ready() {
                if self.timed_out(Instant::now()).is_break() {
                    return Poll::Ready(());
                }
                timer.as_mut().reset(self.next_deadline());
            }
            let next = self.next_deadline();
            if next < timer.deadline() {
                timer.as_mut().reset(next);
                let _ = timer.as_mut().poll(cx);
            }
            match read {
                // The client is gone: what it sent last may still be answered, but nobody reads that.
                Poll::Ready(false) => return Poll::Ready(()),
                // Something was read and may have filled the outbox.
                Poll::Ready(true) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes what waits. Ready when the connection is over: closed and flushed, or broken.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.outbox.register(cx.waker());
        loop {
            self.outbox.take(&mut self.writing);
            if self.writing.is_empty() {
                self.stall_due = None;
                if self.outbox.closing().is_none() {
                    return Poll::Pending;
                }
                // The close frame is out. The client answers with its own, or hears no more.
                return if self.read_ended { Poll::Ready(()) } else { self.linger(cx) };
            }
            let slices: Vec<IoSlice<'_>> =
                self.writing.iter().take(FRAMES_PER_WRITE).map(|frame| IoSlice::new(frame)).collect();
            match Pin::new(&mut self.io).poll_write_vectored(cx, &slices) {
                Poll::Ready(Ok(written)) if written > 0 => self.wrote(written),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.stall_due.get_or_insert_with(|| Instant::now() + STALL);
                    return Poll::Pending;
                }
            }
        }
    }

    fn wrote(&mut self, written: usize) {
        self.outbox.written(written);
        self.stall_due = None;
        let mut left = written;
        while let Some(first) = self.writing.front_mut() {
            if first.len() > left {
                first.advance(left);
                break;
            }
            left -= first.len();
            self.writing.pop_front();
        }
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.linger_due.is_none() {
            self.linger_due = Some(Instant::now() + LINGER);
        }
        // TLS may hold the last bytes back until it is flushed.
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Reads once. Ready(true) if something came, Ready(false) at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let outcome = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
            if outcome.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(false);
            }
            self.take(buffer.filled_mut());
            Poll::Ready(true)
        })
    }

    /// Takes what the client sent.
    fn take(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() || self.read_ended {
            return;
        }
        self.silence_due = Instant::now() + self.heartbeat;
        self.pinged = false;
        // Taken out, so that its events can be handled by the rest of the connection.
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(0));
        let outcome = decoder.feed(bytes, |event| self.event(&event));
        self.decoder = decoder;
        match outcome {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => self.read_ended = true,
            Err(violation) => {
                self.read_ended = true;
                self.fail(match violation {
                    Violation::TooLarge => ErrorCode::TooLarge,
                    Violation::Protocol(_) | Violation::NotUtf8 => ErrorCode::BadFrame,
                });
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Ping(payload) => self.outbox.push(frames::pong(payload)),
            Event::Pong => {}
            Event::Close(_) => {
                self.outbox.close(CloseCode::Normal);
                return ControlFlow::Break(());
            }
            Event::Binary => self.fail(ErrorCode::BinaryFrame),
            Event::Text(text) => self.text(text),
        }
        // Once something was said that closes, nothing further is heard.
        if self.outbox.closing().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn text(&mut self, text: &str) {
        let Some(seat) = &self.seat else { return };
        let (node, key) = (&seat.node, seat.key);
        match ClientFrame::parse(text) {
            Err(Refusal { reference, code }) => node.core().fail(key, reference, code),
            Ok(ClientFrame::Hello(hello)) => {
                self.greeted = true;
                self.hello_due = None;
                node.core().hello(key, &hello, node.now());
            }
            // Before `hello` too: a later client may begin with an op that is not known here.
            Ok(ClientFrame::Pong | ClientFrame::Unknown) => {}
            Ok(_) if !self.greeted => node.core().fail(key, None, ErrorCode::HelloExpected),
            Ok(ClientFrame::Send(send)) => node.core().send(key, &send, node.now()),
            Ok(ClientFrame::Detach) => node.core().detach(key),
            Ok(ClientFrame::NotSupported { reference }) => {
                node.core().fail(key, reference, ErrorCode::NotSupported)
            }
        }
    }

    fn fail(&self, code: ErrorCode) {
        refuse_or_fail(self.seat.as_ref(), &self.outbox, code);
    }

    /// Does what fell due; Break when the connection is to be cut.
    fn timed_out(&mut self, now: Instant) -> ControlFlow<()> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.linger_due) || due(self.stall_due) {
            return ControlFlow::Break(());
        }
        if due(self.hello_due) {
            self.hello_due = None;
            self.fail(ErrorCode::HelloTimeout);
        }
        if due(self.seat.as_ref().and_then(|seat| seat.token_end)) {
            self.fail(ErrorCode::TokenExpired);
            self.seat.iter_mut().for_each(|seat| seat.token_end = None);
        }
        if self.silence_due <= now {
            if self.pinged {
                self.outbox.close(CloseCode::HeartbeatLost);
                self.linger_due.get_or_insert(now + LINGER);
            } else {
                self.outbox.push(frames::text(&NodeFrame::Ping.to_json()));
            }
            self.pinged = true;
            self.silence_due = now + PONG_WAIT;
        }
        ControlFlow::Continue(())
    }

    fn next_deadline(&self) -> Instant {
        let token_end = self.seat.as_ref().and_then(|seat| seat.token_end);
        [self.hello_due, token_end, self.stall_due, self.linger_due]
            .into_iter()
            .flatten()
            .fold(self.silence_due, Instant::min)
    }
}

fn refuse_or_fail(seat: Option<&Seat>, outbox: &Outbox, code: ErrorCode) {
    match seat {
        Some(seat) => seat.node.core().fail(seat.key, None, code),
        None => refuse(outbox, code),
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.node.core().closed(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Every idle connection pays for this; a local that lives across an await would show here.
    #[test]
    fn a_connection_stays_small() {
        let bytes = bytes_of(run);
        assert!(bytes <= 640, "the future of a connection has {bytes} bytes");
    }
}
