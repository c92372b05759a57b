//! Frames both ways: order, batches, bounds, the orderly end.

use super::harness::*;
use crate::peer::*;
use bytes::Bytes;

#[tokio::test]
async fn frames_flow_both_ways_in_order_on_one_link() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 7)).await;
    let (to_b, to_a) = (a.opened(1).await, b.opened(1).await);
    for n in 0..500u32 {
        to_b.try_send(Bytes::copy_from_slice(&n.to_le_bytes())).unwrap();
        to_a.try_send(Bytes::copy_from_slice(&(n + 1000).to_le_bytes())).unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let expected = |from: u32| -> Vec<Bytes> {
        (from..from + 500).map(|n| Bytes::copy_from_slice(&n.to_le_bytes())).collect()
    };
    assert_eq!(b.frames(500).await, expected(0));
    assert_eq!(a.frames(500).await, expected(1000));
    assert_eq!(a.events.so_far()[0], Event::Opened(to_b.link(), Direction::Outbound, name("b", 7)));
    assert_eq!(b.events.so_far()[0], Event::Opened(to_a.link(), Direction::Inbound, name("a", 1)));
    assert_eq!((a.counts.open(), a.counts.totals().opened), (1, 1));
}

#[tokio::test]
async fn each_direction_of_use_has_its_own_link() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    b.use_as_home(&a);
    let (outbound, inbound) = (b.opened(2).await, a.opened(2).await);
    assert!(b.events.so_far().contains(&Event::Opened(outbound.link(), Direction::Outbound, name("a", 1))));
    inbound.try_send(Bytes::from_static(b"delivery")).unwrap();
    b.frames(1).await;
    let arrived = |event: &Event| matches!(event, Event::Frames(link, ..) if *link == outbound.link());
    assert!(b.events.so_far().iter().any(arrived), "a delivery comes back on the link that was dialled");
}

#[tokio::test]
async fn thousands_of_queued_frames_share_a_few_messages() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    let to_b = a.opened(1).await;
    // Nothing is awaited here, so the writer finds them all in its queue.
    for n in 0..10_000u32 {
        to_b.try_send(Bytes::from(n.to_le_bytes().repeat(25))).unwrap();
    }
    assert_eq!(to_b.queued_bytes(), 10_000 * (100 + FRAME_COST));
    let frames = b.frames(10_000).await;
    assert!(frames.iter().zip(0u32..).all(|(frame, n)| frame[..4] == n.to_le_bytes()));
    let (sent, received) = (a.counts.totals(), b.counts.totals());
    assert_eq!((sent.frames_out, received.frames_in), (10_000, 10_000));
    // 1.05 MB in messages of 256 KiB are five; heartbeats may come on top.
    assert!((5..=8).contains(&received.messages_in), "{received:?}");
    assert_eq!(to_b.queued_bytes(), 0);
}

#[tokio::test]
async fn the_largest_frame_arrives_and_a_larger_one_is_refused() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    let to_b = a.opened(1).await;
    to_b.try_send(Bytes::from_static(b"before")).unwrap();
    to_b.try_send(vec![7; FRAME_BYTES_MAX].into()).unwrap();
    to_b.try_send(Bytes::from_static(b"after")).unwrap();
    assert_eq!(to_b.try_send(vec![7; FRAME_BYTES_MAX + 1].into()), Err(SendError::TooLarge));
    let lengths: Vec<usize> = b.frames(3).await.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [6, FRAME_BYTES_MAX, 5]);
}

#[tokio::test]
async fn a_process_that_ends_sends_what_it_has_queued() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    let to_b = a.opened(1).await;
    for n in 0..1000u32 {
        to_b.try_send(Bytes::from(n.to_le_bytes().repeat(250))).unwrap();
    }
    a.shutdown.cancel();
    assert_eq!(b.frames(1000).await.len(), 1000);
    assert_eq!(b.closed().await, CloseReason::ClosedByPeer);
    assert_eq!(a.closed().await, CloseReason::Shutdown);
    a.links.closed().await;
    a.listener.closed().await;
    assert_eq!(to_b.try_send(Bytes::from_static(b"late")), Err(SendError::Closed));
    assert_eq!(a.counts.open(), 0);
}

#[tokio::test]
async fn a_target_that_is_no_longer_wanted_is_left() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    a.targets.send_replace(Vec::new());
    assert_eq!(a.closed().await, CloseReason::NotWanted);
    assert_eq!(b.closed().await, CloseReason::ClosedByPeer);
    a.use_as_home(&b);
    a.opened(2).await;
}

#[tokio::test]
async fn a_process_does_not_dial_itself() {
    let (a, b) = (setup("a", 1).start(), setup("b", 1).start());
    a.targets.send_replace(vec![a.as_target(), b.as_target()]);
    a.opened(1).await;
    assert_eq!((a.counts.totals().opened, a.counts.totals().refused), (1, 0));
    assert_eq!(b.opened(1).await.link(), b.events.senders.lock().keys().copied().next().unwrap());
}
