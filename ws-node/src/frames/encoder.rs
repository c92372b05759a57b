//! Frames to clients: never masked, never fragmented (RFC 6455, 5.1 and 5.2).

use bytes::Bytes;
use cluster::wire::codes::CloseCode;

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PONG: u8 = 0xA;

/// A text message.
pub fn text(payload: &str) -> Bytes {
    frame(TEXT, payload.as_bytes())
}

/// The close frame of `code` with its reason.
pub fn close(code: CloseCode) -> Bytes {
    close_as(code.code(), code.reason())
}

/// The close frame of any code, with a reason of at most 123 bytes: what the conformance checker says in a node's place.
pub fn close_as(code: u16, reason: &str) -> Bytes {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    frame(CLOSE, &payload)
}

/// The answer to a ping: its payload, which has at most 125 bytes.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(PONG, payload)
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 10);
    out.push(FIN | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(&text("hi")[..], b"\x81\x02hi");
        assert_eq!(text(&"x".repeat(125))[1], 125);
        assert_eq!(text(&"x".repeat(126))[..4], [0x81, 126, 0, 126]);
        assert_eq!(text(&"x".repeat(65_535))[..4], [0x81, 126, 255, 255]);
        assert_eq!(text(&"x".repeat(65_536))[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_carries_code_and_reason() {
        assert_eq!(&close(CloseCode::Moved)[..], b"\x88\x07\x0f\xa1moved");
        assert!(CloseCode::ALL.iter().all(|code| close(*code).len() <= 127));
    }
}
