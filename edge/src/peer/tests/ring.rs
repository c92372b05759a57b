//! A receiver that is behind gets the ring before the frames that were sent under it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::harness::*;
use super::raw::*;
use crate::peer::*;

/// `a` at ring 5, `b` at ring 3, linked.
async fn behind(b: Setup) -> (Process, Process, LinkSender) {
    let (a, b) = linked_pair(Setup { ring: 5, ..setup("a", 1) }, Setup { ring: 3, ..b }).await;
    let to_b = a.opened(1).await;
    (a, b, to_b)
}

#[tokio::test]
async fn a_receiver_that_is_behind_gets_the_record_before_the_frames() {
    let (a, b, to_b) = behind(setup("b", 1)).await;
    to_b.try_send(Bytes::from_static(b"act under 5")).unwrap();
    b.frames(1).await;
    let log = b.events.so_far();
    let link = b.opened(1).await.link();
    assert_eq!(log[1], Event::Offered(Bytes::from_static(b"5")));
    assert_eq!(log[2], Event::Frames(link, 5, 5, vec![Bytes::from_static(b"act under 5")]));
    assert_eq!((b.counts.totals().rings_asked, b.counts.totals().rings_missed), (1, 0));
    assert_eq!(a.counts.totals().rings_asked, 0, "who is ahead asks nothing");
}

#[tokio::test]
async fn a_sender_that_is_behind_holds_nothing_up() {
    let (a, b, _) = behind(setup("b", 1)).await;
    b.opened(1).await.try_send(Bytes::from_static(b"from the past")).unwrap();
    a.frames(1).await;
    assert!(matches!(&a.events.so_far()[1], Event::Frames(_, 3, 5, _)));
    assert_eq!(a.counts.totals().rings_asked, 0);
}

#[tokio::test]
async fn an_idle_receiver_learns_of_the_ring_from_heartbeats() {
    let (a, b) = linked_pair(
        Setup { settings: hasty(), ..setup("a", 1) },
        Setup { settings: hasty(), ..setup("b", 1) },
    )
    .await;
    a.ring.version.store(9, Ordering::SeqCst);
    let began = Instant::now();
    while b.ring.version.load(Ordering::SeqCst) < 9 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn frames_wait_in_order_for_a_keeper_that_takes_its_time() {
    let slow = Setup { slowness: Duration::from_millis(300), ..setup("b", 1) };
    let (_a, b, to_b) = behind(slow).await;
    for n in 0..50u32 {
        to_b.try_send(Bytes::copy_from_slice(&n.to_le_bytes())).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let frames = b.frames(50).await;
    assert!(frames.iter().zip(0u32..).all(|(frame, n)| frame[..] == n.to_le_bytes()));
    let versions: Vec<u64> = b.events.so_far().iter().filter_map(held_at).collect();
    assert!(versions.len() > 1 && versions.iter().all(|version| *version == 5), "{versions:?}");
    assert_eq!(b.counts.totals().rings_asked, 1);
}

/// The receiver's ring when it was handed a batch.
fn held_at(event: &Event) -> Option<u64> {
    match event {
        Event::Frames(_, _, held, _) => Some(*held),
        _ => None,
    }
}

#[tokio::test]
async fn a_record_that_is_not_believed_costs_one_wait() {
    let (_a, b, to_b) = behind(Setup { believes: false, ..setup("b", 1) }).await;
    let wait = LinkSettings::default().ring_wait;
    let began = Instant::now();
    to_b.try_send(Bytes::from_static(b"first")).unwrap();
    b.frames(1).await;
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    let began = Instant::now();
    for n in 2..=20 {
        to_b.try_send(Bytes::from_static(b"next")).unwrap();
        b.frames(n).await;
    }
    assert!(began.elapsed() < wait, "{:?}", began.elapsed());
    assert_eq!(b.counts.totals().rings_missed, 1);
}

#[tokio::test]
async fn what_waits_is_bounded_by_not_reading_on() {
    let settings = LinkSettings { held_bytes_max: 100_000, ..LinkSettings::default() };
    let (_a, b, to_b) = behind(Setup { believes: false, settings, ..setup("b", 1) }).await;
    let began = Instant::now();
    for n in 0..100u32 {
        to_b.try_send(n.to_le_bytes().repeat(2500).into()).unwrap();
    }
    let wait = LinkSettings::default().ring_wait;
    while began.elapsed() < wait / 2 {
        assert!(b.counts.totals().bytes_in < 600_000, "{:?}", b.counts.totals());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let frames = b.frames(100).await;
    assert!(frames.iter().zip(0u32..).all(|(frame, n)| frame[..4] == n.to_le_bytes()));
    assert!(began.elapsed() >= wait);
}

#[tokio::test]
async fn of_many_peers_that_are_ahead_one_is_asked() {
    let b = Setup { ring: 3, ..setup("b", 1) }.start();
    let ahead: Vec<Process> =
        (0..8).map(|n| Setup { ring: 5, ..setup(&format!("a{n}"), 1) }.start()).collect();
    for a in &ahead {
        a.use_as_home(&b);
    }
    b.opened(8).await;
    for a in &ahead {
        a.opened(1).await.try_send("all at once".into()).unwrap();
    }
    b.frames(8).await;
    assert!(b.events.so_far().iter().filter_map(held_at).all(|version| version == 5));
    assert_eq!(b.counts.totals().rings_asked, 1);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_not_the_last_one_asked() {
    let b = Setup { ring: 3, ..setup("b", 1) }.start();
    let token = tokens(SECRET).sign(&name("mute", 1), &name("b", 1), "nonce", now_s());
    let mut mute = Raw::dial(b.address, "/peer", Some(&token)).await;
    let a = Setup { ring: 5, ..setup("a", 1) }.start();
    a.use_as_home(&b);
    b.opened(2).await;
    mute.send(&message(5, b"from the mute"), true).await;
    let began = Instant::now();
    while b.counts.totals().rings_asked == 0 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    a.opened(1).await.try_send("from the other".into()).unwrap();
    b.frames(2).await;
    assert!(b.events.so_far().iter().filter_map(held_at).all(|version| version == 5));
    assert_eq!((b.counts.totals().rings_asked, b.counts.totals().rings_missed), (2, 0));
}

#[tokio::test]
async fn waiting_without_reading_is_not_taken_for_silence() {
    let wait = hasty().silence * 2;
    let settings = LinkSettings { held_bytes_max: 50, ring_wait: wait, ..hasty() };
    let b = Setup { ring: 3, settings, ..setup("b", 1) }.start();
    let token = tokens(SECRET).sign(&name("a", 1), &name("b", 1), "nonce", now_s());
    let mut statue = Raw::dial(b.address, "/peer", Some(&token)).await;
    b.opened(1).await;
    let began = Instant::now();
    statue.send(&message(5, &[7; 100]), true).await;
    b.frames(1).await;
    assert!(began.elapsed() >= wait);
    assert_eq!(b.closed().await, CloseReason::Silent, "its time began when it was read again");
    assert!(began.elapsed() >= wait + hasty().silence, "{:?}", began.elapsed());
}
