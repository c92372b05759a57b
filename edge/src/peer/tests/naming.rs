//! Names and generations: whose link stays when several claim the same place.

use std::time::{Duration, Instant};

use super::harness::*;
use super::raw::*;
use crate::peer::*;

/// The inbound story of `id` at a process: `+generation` and `-` in order.
fn story(process: &Process) -> Vec<String> {
    let mut told = Vec::new();
    for event in process.events.so_far() {
        match event {
            Event::Opened(_, Direction::Inbound, peer) => told.push(format!("+{peer}")),
            Event::Closed(_, why) => told.push(format!("-{}", why.code())),
            _ => {}
        }
    }
    told
}

#[tokio::test]
async fn a_new_generation_of_its_own_makes_a_process_dial_again() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    a.me.send_replace(name("a", 2));
    assert_eq!(a.closed().await, CloseReason::Renamed);
    let to_b = a.opened(2).await;
    b.opened(2).await;
    let told = story(&b);
    assert_eq!((told.len(), &told[0][..], &told[2][..]), (3, "+a#1", "+a#2"), "{told:?}");
    to_b.try_send("under the new name".into()).unwrap();
    b.frames(1).await;
}

#[tokio::test]
async fn another_generation_of_the_target_is_another_link() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    b.me.send_replace(name("b", 2));
    a.use_as_home(&b);
    assert_eq!(a.closed().await, CloseReason::NotWanted);
    a.opened(2).await;
    assert!(
        matches!(&a.events.so_far()[..], [_, Event::Closed(..), Event::Opened(_, _, peer)] if *peer == b.name())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_opens_only_after_the_one_before_it_was_closed() {
    let (a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    let stuck = a.events.stick();
    b.opened(1).await.try_send("holds up its link".into()).unwrap();
    let began = Instant::now();
    while a.counts.totals().frames_in == 0 {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    a.me.send_replace(name("a", 2));
    // Time enough for a dialler that does not wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(a.events.so_far().len(), 1, "{:?}", a.events.so_far());
    drop(stuck);
    a.opened(2).await;
    let log = a.events.so_far();
    assert!(matches!(log[..], [_, Event::Frames(..), Event::Closed(..), Event::Opened(..)]), "{log:?}");
}

#[tokio::test]
async fn a_target_of_the_wrong_generation_is_not_taken_for_dead() {
    let (a, b) = (setup("a", 1).start(), setup("b", 2).start());
    a.targets.send_replace(vec![PeerTarget { name: name("b", 1), address: b.address.to_string() }]);
    let error = a.dial_failed().await;
    assert!(error.is_other_process() && !error.is_refused(), "{error:?}");
    a.use_as_home(&b);
    a.opened(1).await;
}

#[tokio::test]
async fn a_newer_link_of_the_same_peer_replaces_the_older_one() {
    let (_a, b) = linked_pair(setup("a", 1), setup("b", 1)).await;
    let token = tokens(SECRET).sign(&name("a", 1), &name("b", 1), "nonce", now_s());
    let _raw = Raw::dial(b.address, "/peer", Some(&token)).await;
    // The real one finds its link closed and opens another, which replaces the raw one.
    b.opened(3).await;
    assert_eq!(story(&b), ["+a#1", "-link_replaced", "+a#1", "-link_replaced", "+a#1"]);
    assert_eq!(b.counts.open(), 1);
}

#[tokio::test]
async fn an_older_generation_does_not_replace_a_newer_one() {
    let (_a, b) = linked_pair(setup("a", 5), setup("b", 1)).await;
    let token = tokens(SECRET).sign(&name("a", 4), &name("b", 1), "nonce", now_s());
    let mut raw = Raw::dial(b.address, "/peer", Some(&token)).await;
    assert_eq!((raw.status(), raw.code().await), (409, "peer_old_generation".to_owned()));
    assert_eq!(story(&b), ["+a#5"]);
}

#[tokio::test]
async fn a_newer_generation_replaces_an_older_one() {
    let (_a, b) = linked_pair(setup("a", 5), setup("b", 1)).await;
    let token = tokens(SECRET).sign(&name("a", 6), &name("b", 1), "nonce", now_s());
    let raw = Raw::dial(b.address, "/peer", Some(&token)).await;
    b.opened(2).await;
    assert_eq!(story(&b), ["+a#5", "-link_replaced", "+a#6"]);
    // The older one dials again and is refused, until the newer one is gone.
    drop(raw);
    b.opened(3).await;
    assert_eq!(story(&b)[3..], ["-link_broken", "+a#5"]);
}
