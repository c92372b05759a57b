//! One client's connection: a single task that reads, writes and keeps time.
//!
//! An idle connection owns no buffer: reading goes through one scratch buffer per thread, and only what is incomplete
//! is kept. Whatever is written was encoded before; as many frames as wait go out in one system call.
//!
//! Once it closes, nothing the client says is acted upon, but reading goes on until the client closes too: a socket
//! that is closed with unread bytes is reset, and the close code would be lost with what else is on its way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use cluster::wire::client::{ClientFrame, Refusal};
use cluster::wire::codes::{CloseCode, ErrorCode};
use cluster::wire::node::{Error, NodeFrame};
use edge::websocket::Taken;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Outbox;
use crate::core::rate::{Bucket, Verdict};
use crate::core::{SessionKey, SessionSink};
use crate::frames::{self, Decoder, Event, Violation};
use crate::node::{ConnectionSettings, Node};

/// Bytes read at once.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Frames written at once, at most: what Linux takes in one call is 1,024.
const FRAMES_PER_WRITE: usize = 64;

/// How long a client may take nothing before it counts as slow. So long may it also take in all for what still waits
/// when the connection begins to close.
const STALL: Duration = Duration::from_secs(10);

/// How long a client that has got the close frame may take for its own.
const LINGER: Duration = Duration::from_secs(2);

/// How long an answer to `ping` may take.
const PONG_WAIT: Duration = Duration::from_secs(10);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Serves a connection to its end. What only its beginning needs is no part of the future.
pub(super) fn run(
    node: Arc<Node>,
    taken: Taken,
    ticket: Result<String, ErrorCode>,
) -> impl Future<Output = ()> + Send {
    let outbox = Outbox::new(node.settings().outbound_bytes_max);
    let admitted = ticket.and_then(|ticket| node.admit(&ticket, outbox.clone()));
    let Taken { io, read_buf } = taken;
    let mut connection = Connection::new(node.settings(), io, outbox);
    match admitted {
        Ok((key, token_end)) => connection.seat = Some(Seat { node, key, token_end }),
        Err(code) => connection.fail(code),
    }
    // Given up here: it holds on to hyper's whole read buffer.
    connection.take(&mut Vec::from(read_buf));
    async move {
        let mut timer = pin!(sleep_until(connection.next_deadline()));
        poll_fn(|cx| connection.poll(cx, timer.as_mut())).await;
    }
}

/// The session's place in the node, given back whatever ends the task.
struct Seat {
    node: Arc<Node>,
    key: SessionKey,
    /// When the application's token ends.
    token_end: Option<Instant>,
}

struct Connection<S> {
    io: S,
    outbox: Outbox,
    /// None if the client was not admitted; then it is closing.
    seat: Option<Seat>,
    decoder: Decoder,
    /// What the client may still say, in frames; `rate` is their number a second and at once.
    budget: Bucket,
    rate: (u32, u32),
    begun: Instant,
    heartbeat: Duration,
    /// Frames taken from the outbox; of the first one what is left.
    writing: VecDeque<Bytes>,
    /// Something was written that the stream may still hold: TLS keeps what the socket does not take.
    unflushed: bool,
    greeted: bool,
    incoming: Incoming,
    hello_due: Option<Instant>,
    /// When silence becomes suspicious, or after a `ping` intolerable.
    silence_due: Instant,
    pinged: bool,
    /// When output that makes no progress is given up.
    stall_due: Option<Instant>,
    /// When a connection that closes is cut off.
    end_due: Option<Instant>,
}

/// What becomes of the bytes that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    /// They are frames.
    Frames,
    /// After a violation nobody knows where a frame begins: they are thrown away.
    Noise,
    /// The client's close frame came, so nothing else does.
    Ended,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(settings: &ConnectionSettings, io: S, outbox: Outbox) -> Self {
        let now = Instant::now();
        Self {
            io,
            outbox,
            seat: None,
            decoder: Decoder::new(settings.message_bytes_max),
            budget: Bucket::full(settings.frames_burst, 0),
            rate: (settings.frames_per_second, settings.frames_burst),
            begun: now,
            heartbeat: settings.heartbeat,
            writing: VecDeque::new(),
            unflushed: false,
            greeted: false,
            incoming: Incoming::Frames,
            hello_due: Some(now + settings.hello_timeout),
            silence_due: now + settings.heartbeat,
            pinged: false,
            stall_due: None,
            end_due: None,
        }
    }

    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<()> {
        ready!(self.poll_both(cx, timer));
        // TLS says that this is the end, if there is room for it.
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        Poll::Ready(())
    }

    fn poll_both(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
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

    /// Writes what waits. Ready when the connection is over: closed by both, or broken.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.outbox.register(cx.waker());
        // Asked first: then the close frame is among what is written now.
        let closing = self.outbox.closing().is_some();
        match self.poll_output(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) if closing => {
                self.end_within(LINGER);
                self.poll_end(cx)
            }
            Poll::Ready(Ok(())) => Poll::Pending,
            Poll::Pending => {
                self.stall_due.get_or_insert_with(|| Instant::now() + STALL);
                if closing {
                    self.end_within(STALL);
                }
                Poll::Pending
            }
        }
    }

    /// Ready when everything that waits has left this process. What was written is flushed before more is, so that
    /// whatever is pending is pending because the client takes nothing.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.unflushed {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                self.unflushed = false;
                self.stall_due = None;
            }
            self.outbox.take(&mut self.writing);
            if self.writing.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let slices: Vec<IoSlice<'_>> =
                self.writing.iter().take(FRAMES_PER_WRITE).map(|frame| IoSlice::new(frame)).collect();
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.wrote(written);
        }
    }

    fn wrote(&mut self, written: usize) {
        let (mut left, mut frames) = (written, 0);
        while let Some(first) = self.writing.front_mut() {
            if first.len() > left {
                first.advance(left);
                break;
            }
            left -= first.len();
            frames += 1;
            self.writing.pop_front();
        }
        self.outbox.written(written, frames);
    }

    /// The close frame is out. The client answers with its own, or hears no more.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.incoming {
            Incoming::Ended => Poll::Ready(()),
            Incoming::Frames => Poll::Pending,
            // Its answer would not be found: the end of what we say makes it end, too.
            Incoming::Noise => match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                _ => Poll::Pending,
            },
        }
    }

    /// The earliest end that was ever asked for counts.
    fn end_within(&mut self, wait: Duration) {
        let due = Instant::now() + wait;
        self.end_due = Some(self.end_due.map_or(due, |earlier| earlier.min(due)));
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
        if bytes.is_empty() || self.incoming != Incoming::Frames {
            return;
        }
        let now = Instant::now();
        self.silence_due = now + self.heartbeat;
        self.pinged = false;
        // Taken out, so that its events can be handled by the rest of the connection.
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(0));
        match decoder.feed(bytes, |event| self.event(&event, now)) {
            Ok(ControlFlow::Continue(())) => self.decoder = decoder,
            Ok(ControlFlow::Break(())) => self.incoming = Incoming::Ended,
            Err(violation) => {
                self.incoming = Incoming::Noise;
                self.fail(match violation {
                    Violation::TooLarge => ErrorCode::TooLarge,
                    Violation::Protocol(_) | Violation::NotUtf8 => ErrorCode::BadFrame,
                });
            }
        }
    }

    /// Break when it was the last one.
    fn event(&mut self, event: &Event<'_>, now: Instant) -> ControlFlow<()> {
        if let Event::Close(_) = event {
            self.outbox.close(CloseCode::Normal);
            return ControlFlow::Break(());
        }
        // Once something was said that closes, nothing further is heard.
        if self.outbox.closing().is_none() {
            match event {
                _ if !self.affords_one(now) => self.fail(ErrorCode::RateExceeded),
                Event::Ping(payload) => self.outbox.push(frames::pong(payload)),
                Event::Binary => self.fail(ErrorCode::BinaryFrame),
                Event::Text(text) => self.text(text),
                Event::Pong | Event::Close(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether one more frame may be looked at. Asked before the core is, whose lock everybody shares.
    fn affords_one(&mut self, now: Instant) -> bool {
        let tick_ms = u64::try_from((now - self.begun).as_millis()).unwrap_or(u64::MAX);
        self.budget.take(self.rate.0, self.rate.1, tick_ms) == Verdict::Go
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
            Ok(ClientFrame::Join(join)) => node.core().join(key, &join, node.now()),
            Ok(ClientFrame::Leave(leave)) => node.core().leave(key, &leave, node.now()),
            Ok(ClientFrame::History(history)) => node.core().history(key, &history, node.now()),
            Ok(ClientFrame::Presence(about)) => node.core().presence(key, &about, node.now()),
            Ok(ClientFrame::Online(online)) => node.core().online(key, &online, node.now()),
        }
    }

    /// Says what is wrong with the connection as such, and closes it.
    fn fail(&self, code: ErrorCode) {
        self.outbox.push(frames::text(&NodeFrame::Error(Error::new(None, code)).to_json()));
        self.outbox.close(code.close().unwrap_or(CloseCode::Protocol));
    }

    /// Does what fell due; Break when the connection is to be cut.
    fn timed_out(&mut self, now: Instant) -> ControlFlow<()> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.end_due) || due(self.stall_due) {
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
                self.end_within(LINGER);
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
        [self.hello_due, token_end, self.stall_due, self.end_due]
            .into_iter()
            .flatten()
            .fold(self.silence_due, Instant::min)
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.node.core().closed(self.key);
    }
}

#[cfg(test)]
mod tests;
