//! Peers that die, hang, take nothing or talk nonsense.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime;

use super::harness::*;
use super::raw::*;
use crate::peer::*;

/// A raw listener that proves the secret and then does nothing more, and `a` linked to it.
async fn linked_to_statue(settings: LinkSettings) -> (Process, Raw) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = Setup { settings, ..setup("a", 1) }.start();
    let address = socket.local_addr().unwrap().to_string();
    a.targets.send_replace(vec![PeerTarget { name: name("b", 1), address }]);
    let (stream, _) = socket.accept().await.unwrap();
    let raw = Raw::accept(stream, |tokens, token| {
        let claims = tokens.verify(token, &name("b", 1), now_s()).unwrap();
        Some(tokens.prove(&claims.nonce, &claims.iss, &name("b", 1)))
    })
    .await;
    a.opened(1).await;
    (a, raw)
}

/// `b` with a raw dialler.
async fn linked_from_statue(settings: LinkSettings) -> (Process, Raw) {
    let b = Setup { settings, ..setup("b", 1) }.start();
    let token = tokens(SECRET).sign(&name("a", 1), &name("b", 1), "nonce", now_s());
    let raw = Raw::dial(b.address, "/peer", Some(&token)).await;
    assert_eq!(raw.status(), 101);
    b.opened(1).await;
    (b, raw)
}

/// A runtime of its own, so that everything on it can be killed at once.
fn killable() -> runtime::Runtime {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn a_killed_peer_is_told_from_a_slow_one_and_dialled_until_it_is_back() {
    let first_life = killable();
    let b = first_life.spawn(async { setup("b", 1).start() }).await.unwrap();
    let a = setup("a", 1).start();
    a.use_as_home(&b);
    a.opened(1).await;
    first_life.shutdown_background();
    let CloseReason::Broken(_) = a.closed().await else { panic!("{:?}", a.closed().await) };
    assert!(a.dial_failed().await.is_refused());

    let (second_life, listen) = (killable(), b.address);
    let again = second_life.spawn(async move { Setup { listen, ..setup("b", 1) }.start() }).await.unwrap();
    let to_b = a.opened(2).await;
    to_b.try_send(Bytes::from_static(b"hello again")).unwrap();
    assert_eq!(again.frames(1).await, ["hello again"]);
    let positions: Vec<&'static str> = a.events.so_far().iter().map(kind).collect();
    assert_eq!((positions[0], positions[1]), ("opened", "closed"));
    assert_eq!(positions.last(), Some(&"opened"));
    let between = &positions[2..positions.len() - 1];
    assert!(between.iter().all(|kind| ["dial_failed", "seems_dead"].contains(kind)), "{positions:?}");
    // Again after a while, should the machine have been slow.
    assert!(between.contains(&"seems_dead"), "{positions:?}");
    assert!(a.events.so_far().contains(&Event::SeemsDead(name("b", 1))));
    second_life.shutdown_background();
}

#[tokio::test]
async fn a_link_that_was_good_is_dialled_again_at_once() {
    let life = killable();
    let b = life.spawn(async { setup("b", 1).start() }).await.unwrap();
    // Any pause would be one of half a minute at most, and a quarter of one on average; a millisecond is a good life.
    let backoff = (Duration::from_secs(30), Duration::from_millis(1));
    let a = Setup { settings: LinkSettings { backoff, ..LinkSettings::default() }, ..setup("a", 1) }.start();
    a.use_as_home(&b);
    a.opened(1).await;
    tokio::time::sleep(backoff.1 * 2).await;
    life.shutdown_background();
    a.closed().await;
    let closed = Instant::now();
    a.dial_failed().await;
    assert!(closed.elapsed() < Duration::from_secs(1), "{:?}", closed.elapsed());
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Opened(..) => "opened",
        Event::Closed(..) => "closed",
        Event::DialFailed(..) => "dial_failed",
        Event::SeemsDead(..) => "seems_dead",
        Event::Frames(..) => "frames",
        Event::Offered(..) => "offered",
    }
}

#[tokio::test]
async fn a_silent_listener_is_left() {
    let began = Instant::now();
    let (a, _statue) = linked_to_statue(hasty()).await;
    assert_eq!(a.closed().await, CloseReason::Silent);
    assert!(began.elapsed() >= hasty().silence);
}

#[tokio::test]
async fn a_silent_dialler_is_left() {
    let (b, mut statue) = linked_from_statue(hasty()).await;
    // A sign of life half-way puts it off.
    tokio::time::sleep(hasty().silence / 2).await;
    let signed = Instant::now();
    statue.send(&1u64.to_le_bytes(), true).await;
    assert_eq!(b.closed().await, CloseReason::Silent);
    assert!(signed.elapsed() >= hasty().silence, "{:?}", signed.elapsed());
}

#[tokio::test]
async fn an_idle_link_lives_on_heartbeats() {
    let fast = || Setup { settings: hasty(), ..setup("a", 1) };
    let (a, b) = linked_pair(fast(), Setup { name: name("b", 1), ..fast() }).await;
    tokio::time::sleep(hasty().silence * 3).await;
    assert_eq!((a.events.so_far().len(), b.events.so_far().len()), (1, 1), "opened, and nothing since");
    for counts in [a.counts.totals(), b.counts.totals()] {
        // Ten a second for three seconds, fewer on a busy machine.
        assert!((10..=31).contains(&counts.messages_out), "{counts:?}");
        assert_eq!((counts.frames_in, counts.frames_out), (0, 0));
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_a_peer_that_takes_nothing_is_left() {
    let settings = LinkSettings {
        write_timeout: Duration::from_secs(1),
        silence: Duration::from_secs(60),
        queue_bytes_max: 1 << 20,
        ..LinkSettings::default()
    };
    let (a, _statue) = linked_to_statue(settings).await;
    let to_b = a.opened(1).await;
    let frame = Bytes::from(vec![7; 10_000]);
    let (mut sent, began) = (0, Instant::now());
    let error = loop {
        match to_b.try_send(frame.clone()) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => {
                assert!(to_b.queued_bytes() <= 1 << 20 && to_b.queued_bytes() > (1 << 20) - 10_100);
                // The kernel's buffers take some megabytes before the queue stays full.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => break error,
        }
        assert!(sent < 10_000, "100 MB were taken");
        assert!(began.elapsed() < SOON, "{sent} frames");
    };
    assert_eq!(error, SendError::Closed);
    assert_eq!(a.closed().await, CloseReason::WriteTimeout);
}

#[tokio::test]
async fn nonsense_ends_the_link_before_any_of_it_is_acted_on() {
    let mut cut = message(1, b"good");
    cut.extend_from_slice(&[9, 0, 0, 0, 0]);
    for nonsense in [&cut[..], b"short"] {
        let (b, mut raw) = linked_from_statue(LinkSettings::default()).await;
        raw.send(nonsense, true).await;
        let CloseReason::Protocol(_) = b.closed().await else { panic!("{:?}", b.closed().await) };
        assert_eq!(frames(&b.events.so_far()), Vec::<Bytes>::new());
    }
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_link() {
    use tokio::io::AsyncWriteExt;
    let (b, mut raw) = linked_from_statue(LinkSettings::default()).await;
    let head = [&[0x82, 0xff][..], &(MESSAGE_BYTES_MAX as u64 + 1).to_be_bytes(), &[0; 4]].concat();
    raw.stream.write_all(&head).await.unwrap();
    assert_eq!(b.closed().await, CloseReason::Protocol("a message over the limit"));
}

#[tokio::test]
async fn a_hanging_listener_does_not_hold_up_the_dialler() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = LinkSettings { dial_timeout: Duration::from_millis(300), ..LinkSettings::default() };
    let a = Setup { settings, ..setup("a", 1) }.start();
    let address = socket.local_addr().unwrap().to_string();
    a.targets.send_replace(vec![PeerTarget { name: name("b", 1), address }]);
    assert_eq!(a.dial_failed().await, DialError::TimedOut(Duration::from_millis(300)));
}
