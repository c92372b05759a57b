//! Whole binary messages both ways, between processes that trust each other.
//!
//! The reading half is fastwebsockets', bounded: a message is one frame of at most `message_bytes_max`, since
//! fastwebsockets puts no bound on a message in fragments. The writing half collects frames and writes many at once,
//! which fastwebsockets does not.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, WebSocketError, WebSocketRead, after_handshake_split};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, sink, split};

use crate::io::Rewind;

/// Which end of a link this is. Clients mask what they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The listener.
    Server,
    /// The dialler.
    Client,
}

/// What arrives.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A message. It shares the read buffer: copy what is to be kept for long.
    Message(Bytes),
    /// The other end closes, with its code and reason if it gave any. Nothing follows.
    Closed(Option<(u16, String)>),
}

/// Why a link cannot be read any more. Every kind ends the link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection broke, or ended without a close frame.
    #[error("the link broke: {0}")]
    Broken(std::io::Error),
    /// A message over `message_bytes_max`.
    #[error("the other end sent a message over the limit of {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// Not what a peer of this system sends.
    #[error("the other end broke the protocol: {0}")]
    Protocol(String),
}

/// The reading half. [`LinkReader::read`] is not cancel-safe: give it a task of its own, never a `select!`.
pub struct LinkReader<S> {
    inner: WebSocketRead<ReadHalf<Rewind<S>>>,
    max: usize,
}

/// The writing half.
pub struct LinkWriter<S> {
    io: WriteHalf<Rewind<S>>,
    role: Role,
    queued: Vec<u8>,
    masks: RandomState,
    sent: u64,
}

/// A link over `io`, after the handshake. `early` is what was read together with it ([`super::Taken::read_buf`]).
pub fn link<S>(io: S, early: Bytes, role: Role, message_bytes_max: usize) -> (LinkReader<S>, LinkWriter<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (read, write) = split(Rewind::new(early, io));
    let end = match role {
        Role::Server => fastwebsockets::Role::Server,
        Role::Client => fastwebsockets::Role::Client,
    };
    // fastwebsockets' writing half is not used: it makes one system call per frame.
    let (mut inner, _) = after_handshake_split(read, sink(), end);
    inner.set_max_message_size(message_bytes_max.saturating_add(1)); // its limit is exclusive
    inner.set_auto_close(false);
    inner.set_auto_pong(false);
    let writer = LinkWriter { io: write, role, queued: Vec::new(), masks: RandomState::new(), sent: 0 };
    (LinkReader { inner, max: message_bytes_max }, writer)
}

// === impl LinkReader ===

impl<S: AsyncRead + AsyncWrite + Unpin> LinkReader<S> {
    /// The next message. Pings and pongs of the WebSocket layer are passed over: links have heartbeats of their own.
    ///
    /// # Errors
    /// Every error ends the link; dropping both halves closes the connection.
    pub async fn read(&mut self) -> Result<LinkEvent, LinkError> {
        loop {
            let mut nothing_to_send = async |_: Frame<'_>| Ok::<(), std::io::Error>(());
            let frame = self.inner.read_frame(&mut nothing_to_send).await;
            let frame = frame.map_err(|error| explain(error, self.max))?;
            match frame.opcode {
                OpCode::Binary if frame.fin => return Ok(LinkEvent::Message(owned(frame.payload))),
                OpCode::Close => return Ok(LinkEvent::Closed(close_reason(&frame.payload))),
                OpCode::Ping | OpCode::Pong => {}
                OpCode::Binary | OpCode::Continuation => {
                    return Err(LinkError::Protocol("a message in fragments".into()));
                }
                OpCode::Text => return Err(LinkError::Protocol("a text message".into())),
            }
        }
    }
}

// === impl LinkWriter ===

impl<S: AsyncRead + AsyncWrite + Unpin> LinkWriter<S> {
    /// Appends one message to what the next [`LinkWriter::flush`] writes. Copies it; sends nothing yet.
    pub fn queue(&mut self, message: &[u8]) {
        self.append(OpCode::Binary, message);
    }

    /// Bytes queued and not yet written: the caller's bound on a batch.
    pub fn queued_bytes(&self) -> usize {
        self.queued.len()
    }

    /// Writes all that is queued, in one call where the socket takes it. Not cancel-safe: dropped half-way, the
    /// link is broken.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn flush(&mut self) -> std::io::Result<()> {
        self.io.write_all(&self.queued).await?;
        self.queued.clear();
        // One large message (a ring document) shall not cost its size for the life of the link.
        self.queued.shrink_to(KEPT_BYTES);
        self.io.flush().await
    }

    /// Writes what is queued, then a close frame (reason cut to 123 bytes), and ends the sending direction.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn close(mut self, code: u16, reason: &str) -> std::io::Result<()> {
        let mut body = code.to_be_bytes().to_vec();
        body.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(123)]);
        self.append(OpCode::Close, &body);
        self.flush().await?;
        self.io.shutdown().await
    }

    fn append(&mut self, opcode: OpCode, payload: &[u8]) {
        let mask = (self.role == Role::Client).then(|| self.next_mask());
        let mut head = [0; 16];
        let len = Frame::new(true, opcode, mask, Payload::Borrowed(payload)).fmt_head(&mut head);
        self.queued.extend_from_slice(&head[..len]);
        let start = self.queued.len();
        self.queued.extend_from_slice(payload);
        if let Some(mask) = mask {
            super::unmask(&mut self.queued[start..], mask); // masking is its own inverse
        }
    }

    /// Masks must not be predictable (RFC 6455 5.3): a keyed hash of a counter, with the key random per link.
    fn next_mask(&mut self) -> [u8; 4] {
        self.sent = self.sent.wrapping_add(1);
        let [a, b, c, d, ..] = self.masks.hash_one(self.sent).to_le_bytes();
        [a, b, c, d]
    }
}

/// Capacity of the write buffer that is kept between flushes.
const KEPT_BYTES: usize = 64 * 1024;

fn owned(payload: Payload<'_>) -> Bytes {
    match payload {
        Payload::Bytes(bytes) => bytes.freeze(),
        other => Bytes::from(Vec::from(other)),
    }
}

fn close_reason(payload: &[u8]) -> Option<(u16, String)> {
    let (code, reason) = payload.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()))
}

fn explain(error: WebSocketError, max: usize) -> LinkError {
    match error {
        WebSocketError::IoError(error) => LinkError::Broken(error),
        WebSocketError::UnexpectedEOF => LinkError::Broken(std::io::ErrorKind::UnexpectedEof.into()),
        WebSocketError::FrameTooLarge => LinkError::TooLarge { max },
        other => LinkError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
