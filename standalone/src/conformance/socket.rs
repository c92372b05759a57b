//! One connection of the client under test: bytes to frames, frames to bytes, with the node's own reader.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use edge::websocket::Taken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use ws_node::frames::{self, Decoder, Event};

use super::record::ConnId;
use super::stage::Stage;
use super::world::Item;

/// Bytes of a message, as every node has it by default.
const MESSAGE_BYTES_MAX: usize = 65_536;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Milliseconds that a client has for its own close frame.
const LINGER_MS: u64 = 2_000;

/// What stands for a close frame without a code (RFC 6455, 7.4.1).
const NO_CODE: u16 = 1005;

/// How the reading went on.
enum Read {
    /// As ever.
    On,
    /// The client's close frame came; 1005 if it has no code.
    Closed(u16),
    /// What came is nothing that can be read.
    Noise,
}

/// Serves a connection to its end.
pub(super) async fn run(stage: &Stage, node: usize, ticket: Option<&str>, strange: bool, taken: Taken) {
    let Taken { mut io, read_buf } = taken;
    let (conn, mut items) = stage.opened(node, ticket, strange);
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut early = Vec::from(read_buf);
    let mut replies = Vec::new();
    let mut read = feed(stage, conn, &mut decoder, &mut early, &mut replies);
    let mut buffer = vec![0; READ_BYTES];
    let mut due: Option<Instant> = None;
    let code = loop {
        for reply in replies.drain(..) {
            // A broken connection is found by reading.
            let _ = io.write_all(&reply).await;
        }
        if let Read::Closed(code) = read {
            if due.is_none() {
                let _ = io.write_all(&frames::close_as(if code == NO_CODE { 1000 } else { code }, "")).await;
            }
            break Some(code);
        }
        let end = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
        tokio::select! {
            count = timeout_at(end, io.read(&mut buffer)) => match count {
                Ok(Ok(count)) if count > 0 => {
                    if matches!(read, Read::On) {
                        read = feed(stage, conn, &mut decoder, &mut buffer[..count], &mut replies);
                    }
                }
                _ => break None,
            },
            item = items.recv(), if due.is_none() => match item {
                Some(Item::Text(text)) => {
                    let _ = io.write_all(&frames::text(&text)).await;
                }
                Some(Item::Close(code, reason)) => {
                    let _ = io.write_all(&frames::close_as(code, reason)).await;
                    due = Some(Instant::now() + Duration::from_millis(LINGER_MS));
                }
                Some(Item::Cut) | None => break None,
            },
        }
    };
    stage.ended(conn, code);
}

/// Reads what came. Pings of the WebSocket layer are answered with what goes into `replies`.
fn feed(
    stage: &Stage,
    conn: ConnId,
    decoder: &mut Decoder,
    bytes: &mut [u8],
    replies: &mut Vec<Bytes>,
) -> Read {
    let mut closed = None;
    let outcome = decoder.feed(bytes, |event| {
        match event {
            Event::Text(text) => stage.act(|world, now| world.heard(conn, text, now)),
            Event::Binary => stage.act(|world, now| world.wrong(conn, "binary_frame".into(), now)),
            Event::Ping(payload) => replies.push(frames::pong(payload)),
            Event::Pong => {}
            Event::Close(code) => {
                closed = Some(code.unwrap_or(NO_CODE));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    match (outcome, closed) {
        (_, Some(code)) => Read::Closed(code),
        (Ok(_), None) => Read::On,
        (Err(violation), None) => {
            stage.act(|world, now| world.wrong(conn, format!("bad_frame: {violation}"), now));
            Read::Noise
        }
    }
}
