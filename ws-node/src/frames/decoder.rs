//! A strict incremental reader of clients' frames: bytes in, messages or a violation out. Pure.
//!
//! It reads in place and keeps nothing between messages: an idle connection owns no buffer. Whatever RFC 6455 forbids
//! a client is a violation: no mask, reserved bits, unknown opcodes, long or fragmented control frames, a new message
//! inside a fragmented one, lengths not in their shortest form, close codes out of range, text that is not UTF-8.

use std::ops::ControlFlow;

use edge::websocket::unmask;

const CONTROL_BYTES_MAX: u64 = 125;

/// Reads the frames of one connection.
#[derive(Debug)]
pub struct Decoder {
    /// The beginning of a frame whose end has not come yet.
    tail: Vec<u8>,
    /// The fragments so far of a message in several frames.
    message: Vec<u8>,
    kind: Option<Kind>,
    message_bytes_max: usize,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message. Nobody reads it here.
    Binary,
    /// A ping to be answered with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The client closes, with its code if it gave one. Nothing after it is read.
    Close(Option<u16>),
}

/// Why a connection cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// What RFC 6455 forbids, in a few words.
    #[error("{0}")]
    Protocol(&'static str),
    /// A message over the limit.
    #[error("the message is over the limit")]
    TooLarge,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Data(Kind),
    Close,
    Ping,
    Pong,
}

struct Head {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    header_bytes: usize,
    payload_bytes: usize,
}

impl Decoder {
    /// A reader that refuses messages over `message_bytes_max`, also those in fragments.
    pub fn new(message_bytes_max: usize) -> Self {
        Self { tail: Vec::new(), message: Vec::new(), kind: None, message_bytes_max }
    }

    /// Reads what came, in place, and hands each event to `on`, which may end the reading.
    ///
    /// # Errors
    /// The first violation; the connection should then be failed.
    pub fn feed(
        &mut self,
        bytes: &mut [u8],
        mut on: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        if self.tail.is_empty() {
            let (read, flow) = self.read_frames(bytes, &mut on)?;
            if flow.is_continue() && read < bytes.len() {
                self.tail = bytes[read..].to_vec();
            }
            return Ok(flow);
        }
        let mut tail = std::mem::take(&mut self.tail);
        tail.extend_from_slice(bytes);
        let (read, flow) = self.read_frames(&mut tail, &mut on)?;
        if flow.is_continue() && read < tail.len() {
            tail.drain(..read);
            self.tail = tail;
        }
        Ok(flow)
    }

    /// Bytes held for unfinished frames and messages.
    pub fn held_bytes(&self) -> usize {
        self.tail.capacity() + self.message.capacity()
    }

    fn read_frames(
        &mut self,
        bytes: &mut [u8],
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Violation> {
        let mut at = 0;
        while let Some(head) = self.head(&bytes[at..])? {
            let begin = at + head.header_bytes;
            let end = begin + head.payload_bytes;
            if end > bytes.len() {
                break;
            }
            let payload = &mut bytes[begin..end];
            unmask(payload, head.mask);
            at = end;
            if self.frame(&head, payload, on)?.is_break() {
                return Ok((at, ControlFlow::Break(())));
            }
        }
        Ok((at, ControlFlow::Continue(())))
    }

    /// The head of the frame that begins here, checked as far as it goes; `None` until all of it is there.
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, Violation> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        let opcode = Opcode::checked(first)?;
        let fin = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a client's frame without a mask"));
        }
        let Some((length, length_bytes)) = payload_length(second & 0x7f, &bytes[2..])? else {
            return Ok(None);
        };
        self.check(opcode, fin, length)?;
        let header_bytes = 2 + length_bytes + 4;
        let Some(&[a, b, c, d]) = bytes.get(2 + length_bytes..header_bytes) else { return Ok(None) };
        // Checked above to be at most `message_bytes_max`, which is a usize.
        let payload_bytes = usize::try_from(length).map_err(|_| Violation::TooLarge)?;
        Ok(Some(Head { fin, opcode, mask: [a, b, c, d], header_bytes, payload_bytes }))
    }

    fn check(&self, opcode: Opcode, fin: bool, length: u64) -> Result<(), Violation> {
        match opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => {
                Err(Violation::Protocol("a control frame in fragments"))
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong if length > CONTROL_BYTES_MAX => {
                Err(Violation::Protocol("a control frame over 125 bytes"))
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => Ok(()),
            Opcode::Continuation if self.kind.is_none() => {
                Err(Violation::Protocol("a continuation of no message"))
            }
            Opcode::Data(_) if self.kind.is_some() => {
                Err(Violation::Protocol("a new message inside a fragmented one"))
            }
            Opcode::Continuation | Opcode::Data(_) => {
                let so_far = self.message.len() as u64;
                if length.saturating_add(so_far) > self.message_bytes_max as u64 {
                    Err(Violation::TooLarge)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn frame(
        &mut self,
        head: &Head,
        payload: &[u8],
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        match head.opcode {
            Opcode::Ping => Ok(on(Event::Ping(payload))),
            Opcode::Pong => Ok(on(Event::Pong)),
            Opcode::Close => {
                let code = close_code(payload)?;
                let _ = on(Event::Close(code));
                Ok(ControlFlow::Break(()))
            }
            Opcode::Data(kind) if head.fin => whole(kind, payload, on),
            Opcode::Data(kind) => {
                self.kind = Some(kind);
                self.message.extend_from_slice(payload);
                Ok(ControlFlow::Continue(()))
            }
            Opcode::Continuation => {
                self.message.extend_from_slice(payload);
                match self.kind.filter(|_| head.fin) {
                    None => Ok(ControlFlow::Continue(())),
                    Some(kind) => {
                        self.kind = None;
                        let message = std::mem::take(&mut self.message);
                        whole(kind, &message, on)
                    }
                }
            }
        }
    }
}

// === impl Opcode ===

impl Opcode {
    fn checked(first: u8) -> Result<Self, Violation> {
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("reserved bits without an extension"));
        }
        match first & 0x0f {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Data(Kind::Text)),
            0x2 => Ok(Self::Data(Kind::Binary)),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            _ => Err(Violation::Protocol("an unknown opcode")),
        }
    }
}

fn whole(
    kind: Kind,
    payload: &[u8],
    on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Violation> {
    match kind {
        Kind::Binary => Ok(on(Event::Binary)),
        Kind::Text => {
            std::str::from_utf8(payload).map(|text| on(Event::Text(text))).map_err(|_| Violation::NotUtf8)
        }
    }
}

/// The payload's length and the bytes that its extended form took; `None` until they are all there.
fn payload_length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, bytes, least) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(raw) => (u64::from(u16::from_be_bytes(*raw)), 2, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(raw) => (u64::from_be_bytes(*raw), 8, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 0),
    };
    if length < least {
        return Err(Violation::Protocol("a length not in its shortest form"));
    }
    if length >> 63 != 0 {
        return Err(Violation::Protocol("a length with its highest bit set"));
    }
    Ok(Some((length, bytes)))
}

/// The code of a close frame (RFC 6455, 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return Err(Violation::Protocol("a close frame of one byte"));
    };
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::NotUtf8);
    }
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(Violation::Protocol("a close code out of range")),
    }
}

#[cfg(test)]
mod tests;
