//! One connection of the client under test: bytes to frames, frames to bytes, with the node's own reader.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use edge::websocket::Taken;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
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

/// How long a client may take for a frame: as at a node. Meanwhile nothing is read from it.
const STALL: Duration = Duration::from_secs(10);

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
    let (conn, items) = stage.opened(node, ticket, strange);
    let code = talk(stage, conn, items, &mut io, Vec::from(read_buf)).await;
    stage.ended(conn, code);
}

/// Everything that is said on a connection. `early` came before anything that is read from `io`. Gives the code of the client's
/// close frame, if one came; a client that does not take what it is told for [`STALL`] is cut off.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stage: &Stage,
    conn: ConnId,
    mut items: mpsc::Receiver<Item>,
    io: &mut S,
    mut early: Vec<u8>,
) -> Option<u16> {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut replies = Vec::new();
    let mut read = feed(stage, conn, &mut decoder, &mut early, &mut replies);
    let mut buffer = vec![0; READ_BYTES];
    let mut due: Option<Instant> = None;
    loop {
        for reply in replies.drain(..) {
            write(io, &reply).await?;
        }
        if let Read::Closed(code) = read {
            if due.is_none() {
                // Said or not: the client's own close frame tells.
                let _ = write(io, &frames::close_as(if code == NO_CODE { 1000 } else { code }, "")).await;
            }
            return Some(code);
        }
        let end = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
        tokio::select! {
            count = timeout_at(end, io.read(&mut buffer)) => match count {
                Ok(Ok(count)) if count > 0 => {
                    if matches!(read, Read::On) {
                        read = feed(stage, conn, &mut decoder, &mut buffer[..count], &mut replies);
                    }
                }
                _ => return None,
            },
            item = items.recv(), if due.is_none() => match item {
                Some(Item::Text(text)) => write(io, &frames::text(&text)).await?,
                Some(Item::Close(code, reason)) => {
                    write(io, &frames::close_as(code, reason)).await?;
                    due = Some(Instant::now() + Duration::from_millis(LINGER_MS));
                }
                Some(Item::Cut) | None => return None,
            },
        }
    }
}

/// `None` if the client did not take it in time. That a connection is broken is found by reading.
async fn write<S: AsyncWrite + Unpin>(io: &mut S, frame: &[u8]) -> Option<()> {
    timeout(STALL, io.write_all(frame)).await.ok().map(drop)
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

#[cfg(test)]
mod tests {
    use cluster::secret::Secrets;

    use super::*;
    use crate::conformance::stage::Places;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_what_it_is_told_is_cut_off() {
        cluster::tokens::install_crypto();
        let nowhere = "127.0.0.1:1".parse().unwrap();
        let places = Places { lookups: nowhere, nodes: [nowhere, nowhere], unreachable: nowhere };
        let secrets = Secrets::new("a secret of the tests, of thirty-two bytes", &[]).unwrap();
        let stage = Stage::new(places, &secrets);
        let (conn, items) = stage.opened(0, None, false);
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        // WebSocket pings: each is answered, and the client reads no answer.
        let ping = [0x89, 0x80, 0, 0, 0, 0];
        let begun = Instant::now();
        let client = async {
            for _ in 0..1_000 {
                if theirs.write_all(&ping).await.is_err() {
                    return;
                }
            }
            panic!("all was taken");
        };
        let talked = async {
            let code = talk(&stage, conn, items, &mut ours, Vec::new()).await;
            drop(ours);
            code
        };
        let both = async { tokio::join!(talked, client) };
        let (code, ()) = timeout(STALL * 3, both).await.expect("nobody waits for it any longer");
        assert_eq!((code, begun.elapsed().as_secs()), (None, STALL.as_secs()));
    }
}
