//! Connections over a stream in memory that can hold bytes back: flushing, closing, slowness, the budget of frames.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod host;
mod wire;

use tokio::task::{JoinHandle, yield_now};

use self::host::{host, ticket};
use self::wire::Wire;
use super::*;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const SETTINGS: ConnectionSettings = ConnectionSettings {
    message_bytes_max: 1_000,
    outbound_bytes_max: 1_000_000,
    frames_per_second: 2,
    frames_burst: 5,
    heartbeat: Duration::from_secs(3_600),
    hello_timeout: Duration::from_secs(3_600),
};

/// Serves a connection that nobody was admitted for: framing, closing and time are the same.
fn serve(wire: &Wire) -> (Outbox, JoinHandle<Duration>) {
    serve_admitted(wire, Outbox::new(SETTINGS.outbound_bytes_max), None)
}

fn serve_admitted(wire: &Wire, outbox: Outbox, seat: Option<Seat>) -> (Outbox, JoinHandle<Duration>) {
    let mut connection = Connection::new(&SETTINGS, wire.clone(), outbox.clone());
    connection.seat = seat;
    let task = tokio::spawn(async move {
        let begin = Instant::now();
        let mut timer = pin!(sleep_until(connection.next_deadline()));
        poll_fn(|cx| connection.poll(cx, timer.as_mut())).await;
        begin.elapsed()
    });
    (outbox, task)
}

/// Lets the task do what it can without time going by.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

fn bytes_of<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// Every idle connection pays for this; a local that lives across an await would show here.
#[test]
fn a_connection_stays_small() {
    let bytes = bytes_of(run);
    assert!(bytes <= 512, "the future of a connection has {bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn the_tail_that_the_stream_holds_back_goes_out_once_there_is_room() {
    let wire = Wire::tls();
    let (outbox, _task) = serve(&wire);
    outbox.push(frames::text("hello"));
    settle().await;
    assert_eq!(wire.heard(), b"");
    wire.make_room(3);
    settle().await;
    assert_eq!(wire.heard(), b"\x81\x05h");
    wire.make_room(100);
    settle().await;
    assert_eq!(wire.heard(), b"\x81\x05hello");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_tail_is_slow() {
    let wire = Wire::tls();
    let (outbox, task) = serve(&wire);
    outbox.push(frames::text("hello"));
    assert_eq!(task.await.unwrap().as_secs(), STALL.as_secs());

    // It takes everything at the last moment: it is not slow, and time begins anew.
    let wire = Wire::tls();
    let (outbox, task) = serve(&wire);
    outbox.push(frames::text("hello"));
    tokio::time::sleep(STALL - Duration::from_secs(1)).await;
    wire.make_room(100);
    tokio::time::sleep(STALL * 3).await;
    assert!(!task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_close_is_flushed_before_the_end() {
    let wire = Wire::tls();
    let (_outbox, task) = serve(&wire);
    wire.say(CLOSE, &1000_u16.to_be_bytes());
    settle().await;
    assert!(!task.is_finished());
    wire.make_room(100);
    assert_eq!(task.await.unwrap(), Duration::ZERO);
    assert_eq!(wire.heard(), frames::close(CloseCode::Normal));
    assert!(wire.node_ended());
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_until_it_closes() {
    let wire = Wire::open();
    let (outbox, _task) = serve(&wire);
    wire.say(PING, b"there?");
    settle().await;
    assert_eq!(wire.heard(), frames::pong(b"there?"));
    outbox.close(CloseCode::Draining);
    wire.say(PING, b"still?");
    settle().await;
    assert_eq!(wire.heard(), [frames::pong(b"there?"), frames::close(CloseCode::Draining)].concat());
}

#[tokio::test(start_paused = true)]
async fn too_many_frames_of_any_kind_end_it() {
    let wire = Wire::open();
    let (outbox, _task) = serve(&wire);
    let say = async |pings: usize, pongs: usize| {
        (0..pings).for_each(|_| wire.say(PING, b""));
        (0..pongs).for_each(|_| wire.say(PONG, b""));
        settle().await;
        outbox.closing()
    };
    assert_eq!(say(2, 3).await, None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(say(1, 1).await, None, "two more for a second");
    assert_eq!(say(0, 1).await, Some(CloseCode::RateLimit));
    let error = NodeFrame::Error(Error::new(None, ErrorCode::RateExceeded)).to_json();
    let said = [frames::pong(b"").repeat(3), frames::text(&error).to_vec()].concat();
    assert_eq!(wire.heard(), [said, frames::close(CloseCode::RateLimit).to_vec()].concat());
}

#[tokio::test(start_paused = true)]
async fn frames_under_way_do_not_cut_a_close_short() {
    let wire = Wire::open();
    let (outbox, task) = serve(&wire);
    outbox.close(CloseCode::Draining);
    settle().await;
    wire.say(BINARY, b"under way");
    settle().await;
    assert!(!task.is_finished(), "the client's close is still to come");
    wire.say(CLOSE, &4002_u16.to_be_bytes());
    assert_eq!(task.await.unwrap(), Duration::ZERO);
    assert_eq!((wire.heard(), wire.unread()), (frames::close(CloseCode::Draining).to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_cut_off() {
    let wire = Wire::open();
    let (outbox, task) = serve(&wire);
    outbox.close(CloseCode::Draining);
    assert_eq!(task.await.unwrap().as_secs(), LINGER.as_secs());
}

#[tokio::test(start_paused = true)]
async fn after_a_violation_everything_is_read_and_thrown_away() {
    let wire = Wire::open();
    let (_outbox, task) = serve(&wire);
    // The head of a message of 10 MB, and half of it.
    wire.send(b"\x82\xff\x00\x00\x00\x00\x00\x98\x96\x80\0\0\0\0");
    wire.send(&[0; 5_000_000]);
    settle().await;
    let error = NodeFrame::Error(Error::new(None, ErrorCode::TooLarge)).to_json();
    let said = [frames::text(&error), frames::close(CloseCode::TooLarge)].concat();
    assert_eq!((wire.heard(), wire.node_ended()), (said, true), "the client knows that it may stop");
    assert!(!task.is_finished());
    wire.send(&[0; 5_000_000]);
    settle().await;
    assert_eq!(wire.unread(), 0);
    wire.end();
    assert_eq!(task.await.unwrap(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_executed_once_it_closes() {
    let node = host().await;
    let outbox = Outbox::new(SETTINGS.outbound_bytes_max);
    let (key, token_end) = node.admit(&ticket(&node, None), outbox.clone()).unwrap();
    let seat = Seat { node: Arc::clone(&node), key, token_end };
    let wire = Wire::open();
    let (outbox, _task) = serve_admitted(&wire, outbox, Some(seat));
    wire.say(TEXT, br#"{"op":"hello"}"#);
    settle().await;
    let send = br#"{"op":"send","to":{"user":"bob"},"data":1}"#;
    wire.say(TEXT, send);
    settle().await;
    assert_eq!(node.core().counts().sent, 1);
    outbox.close(CloseCode::Draining);
    wire.say(TEXT, send);
    settle().await;
    assert_eq!(node.core().counts().sent, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_may_end_never_or_have_just_ended() {
    let node = host().await;
    let now_s = node.now().unix_ms / 1_000;
    let admit = |end_s| {
        let admitted = node.admit(&ticket(&node, Some(end_s)), Outbox::new(1_000));
        admitted.map(|(_, token_end)| token_end.map(|end| (end - Instant::now()).as_secs()))
    };
    assert_eq!(admit(u64::MAX), Ok(None));
    assert!(matches!(admit(now_s), Ok(Some(3..=5))), "the lookup takes it, too: clocks differ");
    assert_eq!(admit(now_s - 60), Err(ErrorCode::TokenExpired));
}

/// Each byte that it takes shows that it is there, but not for ever.
#[tokio::test(start_paused = true)]
async fn a_client_that_drips_does_not_keep_a_closed_connection() {
    let wire = Wire::plain();
    let (outbox, task) = serve(&wire);
    for _ in 0..10 {
        outbox.push(frames::text("sooner or later"));
    }
    outbox.close(CloseCode::SlowConsumer);
    let drip = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(4)).await;
            wire.make_room(20);
        }
    });
    assert_eq!(task.await.unwrap().as_secs(), STALL.as_secs());
    drip.abort();
}
