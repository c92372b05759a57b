//! Each rule has a stream of bytes that breaks it alone, and every stream is also fed byte by byte.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        medium @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// What comes out, as text, when the stream arrives in pieces of `piece` bytes.
fn read(stream: &[u8], max: usize, piece: usize) -> Result<Vec<String>, Violation> {
    let mut decoder = Decoder::new(max);
    let mut seen = Vec::new();
    for bytes in stream.to_vec().chunks_mut(piece) {
        let flow = decoder.feed(bytes, |event| {
            seen.push(format!("{event:?}"));
            ControlFlow::Continue(())
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(seen)
}

/// The same in every way the stream may be cut.
fn events(stream: &[u8]) -> Result<Vec<String>, Violation> {
    let whole = read(stream, 1_000, stream.len().max(1));
    for piece in [1, 2, 3, 7] {
        assert_eq!(read(stream, 1_000, piece), whole, "in pieces of {piece}");
    }
    whole
}

fn protocol(stream: &[u8]) -> &'static str {
    match events(stream) {
        Err(Violation::Protocol(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_come_out_whole_in_order_with_control_frames_between() {
    let stream = [
        frame(0x81, b"one"),
        frame(0x01, b"tw"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, b"o"),
        frame(0x8A, b""),
        frame(0x82, b"\xff"),
        frame(0x81, "grüße".as_bytes()),
    ]
    .concat();
    let expected =
        ["Text(\"one\")", "Ping([112, 105, 110, 103])", "Text(\"two\")", "Pong", "Binary", "Text(\"grüße\")"];
    assert_eq!(events(&stream).unwrap(), expected);
}

#[test]
fn nothing_after_a_close_is_read() {
    let stream = [frame(0x88, b"\x03\xe8bye"), frame(0x81, b"late"), vec![0xff]].concat();
    assert_eq!(events(&stream).unwrap(), ["Close(Some(1000))"]);
    assert_eq!(events(&frame(0x88, b"")).unwrap(), ["Close(None)"]);
}

#[test]
fn what_the_rfc_forbids_is_a_violation() {
    assert_eq!(protocol(b"\x81\x02hi"), "a client's frame without a mask");
    assert_eq!(protocol(&frame(0xC1, b"x")), "reserved bits without an extension");
    assert_eq!(protocol(&frame(0x83, b"x")), "an unknown opcode");
    assert_eq!(protocol(&frame(0x8B, b"x")), "an unknown opcode");
    assert_eq!(protocol(&frame(0x09, b"x")), "a control frame in fragments");
    for first in [0x88, 0x89, 0x8A] {
        assert_eq!(protocol(&frame(first, &[b'x'; 126])), "a control frame over 125 bytes");
    }
    assert_eq!(protocol(&frame(0x80, b"x")), "a continuation of no message");
    assert_eq!(
        protocol(&[frame(0x01, b"a"), frame(0x81, b"b")].concat()),
        "a new message inside a fragmented one"
    );
    assert_eq!(
        protocol(&[frame(0x01, b"a"), frame(0x01, b"b")].concat()),
        "a new message inside a fragmented one"
    );
    assert_eq!(protocol(&[0x81, 0xFE, 0, 125]), "a length not in its shortest form");
    assert_eq!(protocol(&[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255]), "a length not in its shortest form");
    assert_eq!(protocol(&[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]), "a length with its highest bit set");
    assert_eq!(protocol(&frame(0x88, b"x")), "a close frame of one byte");
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000] {
        assert_eq!(protocol(&frame(0x88, &code.to_be_bytes())), "a close code out of range", "{code}");
    }
}

#[test]
fn text_is_utf8() {
    assert_eq!(events(&frame(0x81, b"\xc3\x28")), Err(Violation::NotUtf8));
    assert_eq!(events(&frame(0x88, b"\x03\xe8\xff")), Err(Violation::NotUtf8));
    // A character cut in two by a fragment is whole again at the end.
    let cut = [frame(0x01, b"\xc3"), frame(0x80, b"\xbc")].concat();
    assert_eq!(events(&cut).unwrap(), ["Text(\"ü\")"]);
}

#[test]
fn the_limit_holds_for_frames_announcements_and_sums_of_fragments() {
    assert!(read(&frame(0x81, &[b'x'; 1_000]), 1_000, 64).is_ok());
    assert_eq!(events(&frame(0x81, &[b'x'; 1_001])), Err(Violation::TooLarge));
    // Refused by its head alone, before a byte of it is held.
    assert_eq!(events(&[0x81, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0]), Err(Violation::TooLarge));
    let fragments = [frame(0x01, &[b'x'; 600]), frame(0x00, &[b'x'; 401])].concat();
    assert_eq!(events(&fragments), Err(Violation::TooLarge));
}

#[test]
fn a_reader_can_be_stopped_and_an_idle_one_holds_nothing() {
    let mut stream = [frame(0x81, b"one"), frame(0x81, b"two")].concat();
    let mut decoder = Decoder::new(1_000);
    let mut count = 0;
    let flow = decoder.feed(&mut stream, |_| {
        count += 1;
        ControlFlow::Break(())
    });
    assert_eq!((flow, count), (Ok(ControlFlow::Break(())), 1));

    let mut decoder = Decoder::new(1_000);
    for byte in &mut frame(0x81, &[b'x'; 900]) {
        let _ = decoder.feed(std::slice::from_mut(byte), |_| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn any_bytes_are_either_read_or_refused() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..32)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        bytes[0] &= 0x8f;
        bytes[1] |= 0x80;
        let _ = events(&bytes);
    }
}
