//! The layout of a link message. Pure: bytes in, frames or a fault out.
//!
//! ```text
//! message  = ring version (u64 LE)  frame*
//! frame    = length (u32 LE)  kind (u8)  payload        length counts kind and payload
//! kind     = 0 payload for the owner | 1 heartbeat | 2 want_ring | 3 ring record
//! ```
//!
//! Frames of an unknown kind are passed over, so that a later version may add some.

use bytes::{Buf, BufMut, Bytes};

/// Bytes in front of a message's frames.
pub const HEADER_BYTES: usize = 8;
/// Bytes in front of a frame's payload.
pub const FRAME_HEAD_BYTES: usize = 5;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The owner's.
    Payload = 0,
    /// A sign of life.
    Heartbeat = 1,
    /// A request for the peer's ring record.
    WantRing = 2,
    /// The sender's ring record.
    Ring = 3,
}

/// A message that was checked whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The sender's ring version.
    pub ring: u64,
    /// Number of payload frames.
    pub payloads: u64,
    /// The peer asks for the ring record.
    pub want_ring: bool,
    /// The peer's ring record, the last one if there are several.
    pub record: Option<Bytes>,
    frames: Bytes,
}

/// The payload frames of a batch, in order.
pub struct Payloads {
    rest: Bytes,
}

/// Starts a message; its header is filled in last, by [`stamp`].
pub fn begin(message: &mut Vec<u8>) {
    message.clear();
    message.put_u64_le(0);
}

/// Writes the sender's ring version into the header.
pub fn stamp(message: &mut [u8], ring: u64) {
    if let Some(header) = message.first_chunk_mut::<HEADER_BYTES>() {
        *header = ring.to_le_bytes();
    }
}

/// Appends a frame. The payload has at most [`super::FRAME_BYTES_MAX`] bytes.
pub fn push(message: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    // Cannot truncate: FRAME_BYTES_MAX is far below u32::MAX.
    message.put_u32_le(payload.len() as u32 + 1);
    message.put_u8(kind as u8);
    message.extend_from_slice(payload);
}

// === impl Batch ===

impl Batch {
    /// Checks the whole message, so that nothing of a broken one is acted on.
    pub fn parse(mut message: Bytes) -> Result<Self, &'static str> {
        if message.len() < HEADER_BYTES {
            return Err("a message without a header");
        }
        let ring = message.get_u64_le();
        let mut batch = Self { ring, payloads: 0, want_ring: false, record: None, frames: message.clone() };
        let mut at = 0;
        while at < message.len() {
            let (kind, payload) = frame_at(&message, at).ok_or("a frame longer than its message")?;
            if kind == Kind::Payload as u8 {
                batch.payloads += 1;
            } else if kind == Kind::WantRing as u8 {
                batch.want_ring = true;
            } else if kind == Kind::Ring as u8 {
                batch.record = Some(message.slice(payload.clone()));
            }
            at = payload.end;
        }
        Ok(batch)
    }

    /// Bytes of all frames.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The payload frames.
    pub fn payloads(self) -> Payloads {
        Payloads { rest: self.frames }
    }
}

// === impl Payloads ===

impl Iterator for Payloads {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let (kind, payload) = frame_at(&self.rest, 0)?;
            let mut frame = self.rest.split_to(payload.end);
            if kind == Kind::Payload as u8 {
                frame.advance(payload.start);
                return Some(frame);
            }
        }
    }
}

/// Kind and payload range of the frame that begins at `at`; `None` if it does not end within `message`.
fn frame_at(message: &[u8], at: usize) -> Option<(u8, std::ops::Range<usize>)> {
    let (head, rest) = message.get(at..)?.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let [a, b, c, d, kind] = *head;
    let payload = (u32::from_le_bytes([a, b, c, d]) as usize).checked_sub(1)?;
    if payload > rest.len() {
        return None;
    }
    let start = at + FRAME_HEAD_BYTES;
    Some((kind, start..start + payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ring: u64, frames: &[(Kind, &[u8])]) -> Bytes {
        let mut message = Vec::new();
        begin(&mut message);
        for (kind, payload) in frames {
            push(&mut message, *kind, payload);
        }
        stamp(&mut message, ring);
        message.into()
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = message(0x0102, &[(Kind::Payload, b"ab"), (Kind::Heartbeat, b"")]);
        assert_eq!(bytes[..], [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, b'a', b'b', 1, 0, 0, 0, 1]);
    }

    #[test]
    fn payloads_come_back_in_order_and_the_links_own_frames_apart() {
        let bytes = message(
            7,
            &[
                (Kind::WantRing, b""),
                (Kind::Payload, b"one"),
                (Kind::Ring, b"old"),
                (Kind::Ring, b"record"),
                (Kind::Payload, b""),
                (Kind::Heartbeat, b""),
                (Kind::Payload, b"three"),
            ],
        );
        let batch = Batch::parse(bytes).unwrap();
        assert_eq!((batch.ring, batch.payloads, batch.want_ring), (7, 3, true));
        assert_eq!(batch.record.as_deref(), Some(&b"record"[..]));
        let payloads: Vec<Bytes> = batch.payloads().collect();
        assert_eq!(payloads, [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn frames_of_an_unknown_kind_are_passed_over() {
        let mut bytes = message(1, &[(Kind::Payload, b"a")]).to_vec();
        bytes.extend_from_slice(&[3, 0, 0, 0, 200, 9, 9]);
        bytes.extend_from_slice(&[2, 0, 0, 0, 0, b'b']);
        let batch = Batch::parse(bytes.into()).unwrap();
        assert_eq!((batch.payloads, batch.want_ring, &batch.record), (2, false, &None));
        assert_eq!(batch.payloads().collect::<Vec<_>>(), [&b"a"[..], b"b"]);
    }

    #[test]
    fn every_cut_of_a_message_is_a_fault_or_a_shorter_message() {
        let whole = message(9, &[(Kind::Payload, b"first"), (Kind::Payload, b"second")]);
        let ends = [8, 8 + 10, whole.len()];
        for cut in 0..=whole.len() {
            assert_eq!(Batch::parse(whole.slice(..cut)).is_ok(), ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn a_length_of_zero_or_past_the_end_is_a_fault() {
        for length in [0u32, 3, u32::MAX] {
            let mut bytes = message(1, &[(Kind::Payload, b"x")]).to_vec();
            bytes[8..12].copy_from_slice(&length.to_le_bytes());
            assert!(Batch::parse(bytes.into()).is_err(), "{length}");
        }
    }
}
