//! Single changes: what each of them does and leaves alone.

use super::super::{INDEX_REST_VERSIONS, MEMBERS_MAX, RingError, Version};
use super::*;

#[test]
fn genesis_has_no_homes() {
    let ring = genesis();
    assert_eq!(ring.version(), Version { term: 1, number: 0 });
    assert!(slots().all(|slot| ring.home(slot).is_none() && ring.holder(slot).is_none()));
    assert_eq!(ring.next_home(Slot::new(9), |_| false), None);
}

#[test]
fn join_again_with_the_same_weight_keeps_index_and_slots() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 100)]);
    let again =
        ring.join(Member { generation: 2, peer: "10.0.0.9:4000".to_owned(), ..member("b", 100) }).unwrap();
    assert_eq!(again.version(), ring.version().next());
    assert_eq!(again.signature(), ring.signature());
    assert_eq!(again.index_of("b"), ring.index_of("b"));
    let b = again.member("b").unwrap();
    assert_eq!((b.generation, b.peer.as_str()), (2, "10.0.0.9:4000"));
}

#[test]
fn join_exactly_as_before_changes_nothing() {
    let ring = ring_of(&[("a", 100), ("b", 100)]);
    assert_eq!(ring.join(member("b", 100)).unwrap(), ring);
}

#[test]
fn join_again_heavier_takes_only_the_difference() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 100)]);
    let heavier = ring.join(member("b", 200)).unwrap();
    assert_eq!(heavier.slot_count("b"), 32_768);
    let moved = moved(&ring, &heavier);
    assert_eq!(moved.len() as u32, 32_768 - ring.slot_count("b"));
    assert!(moved.iter().all(|slot| home(&heavier, *slot) == Some("b")));
}

#[test]
fn join_again_lighter_gives_up_only_the_difference() {
    let ring = ring_of(&[("a", 100), ("b", 200), ("c", 100)]);
    let lighter = ring.join(member("b", 100)).unwrap();
    assert_eq!(lighter.slot_count("b"), 21_845);
    let moved = moved(&ring, &lighter);
    assert_eq!(moved.len() as u32, ring.slot_count("b") - 21_845);
    assert!(moved.iter().all(|slot| home(&ring, *slot) == Some("b")));
}

#[test]
fn join_is_always_active() {
    let ring = genesis().join(Member { state: MemberState::Draining, ..member("a", 1) }).unwrap();
    assert_eq!(ring.member("a").unwrap().state, MemberState::Active);
}

#[test]
fn draining_member_stays_without_slots() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 100)]);
    let drained = ring.drain("b");
    assert_eq!(drained.member("b").unwrap().state, MemberState::Draining);
    assert_eq!(drained.slot_count("b"), 0);
    // The table is the one that b's leaving would make.
    assert_eq!(drained.signature(), ring.leave(&["b"]).signature());
    assert_eq!(drained.drain("b"), drained);
    // It takes part in nothing: neither in a newcomer's share, nor in what a leaver leaves.
    assert_eq!(drained.join(member("d", 100)).unwrap().slot_count("d"), 21_845);
    assert_eq!(drained.leave(&["a"]).slot_count("c"), 65_536);
}

#[test]
fn draining_member_that_joins_again_takes_its_share() {
    let drained = ring_of(&[("a", 100), ("b", 100), ("c", 100)]).drain("b");
    let back = drained.join(member("b", 100)).unwrap();
    assert_eq!(back.member("b").unwrap().state, MemberState::Active);
    assert_eq!(back.slot_count("b"), 21_845);
    assert_eq!(back.index_of("b"), drained.index_of("b"));
}

#[test]
fn the_last_active_member_keeps_its_slots_when_it_drains() {
    let ring = ring_of(&[("a", 100), ("b", 100)]).drain("a");
    let last = ring.drain("b");
    assert_eq!(last.version(), ring.version().next());
    assert_eq!((last.slot_count("a"), last.slot_count("b")), (0, 65_536));
    // Whoever comes next takes over all of them.
    let next = last.join(member("c", 7)).unwrap();
    assert_eq!((next.slot_count("b"), next.slot_count("c")), (0, 65_536));
    // If it leaves before, the draining ones are better than nobody.
    assert_eq!(last.leave(&["b"]).slot_count("a"), 65_536);
    let back = last.leave(&["b"]).join(member("a", 100)).unwrap();
    assert_eq!((back.slot_count("a"), back.member("a").unwrap().state), (65_536, MemberState::Active));
}

#[test]
fn leave_of_several_is_one_version_and_moves_each_slot_once() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 200), ("d", 50)]);
    let left = ring.leave(&["b", "nobody", "d", "b"]);
    assert_eq!(left.version(), ring.version().next());
    assert_eq!(left.member_count(), 2);
    let moved = moved(&ring, &left);
    assert!(moved.iter().all(|slot| matches!(home(&ring, *slot), Some("b" | "d"))));
    assert_eq!(moved.len() as u32, ring.slot_count("b") + ring.slot_count("d"));
}

#[test]
fn leave_of_strangers_changes_nothing() {
    let ring = ring_of(&[("a", 100)]);
    assert_eq!(ring.leave(&["b"]), ring);
    assert_eq!(ring.drain("b"), ring);
}

#[test]
fn leave_of_all_empties_the_table() {
    let ring = ring_of(&[("a", 100), ("b", 100)]).leave(&["a", "b"]);
    assert_eq!(ring.signature(), genesis().signature());
    assert!(slots().all(|slot| ring.home(slot).is_none()));
    // Indices are remembered all the same.
    assert_eq!(ring.join(member("b", 100)).unwrap().index_of("b").unwrap().get(), 1);
}

#[test]
fn put_back_is_the_same_ring_under_a_new_term() {
    let ring = ring_of(&[("a", 100), ("b", 100)]);
    let back = ring.with_term(5);
    assert_eq!(back.version(), Version { term: 5, number: 3 });
    assert_eq!(back.log_generation(), ring.log_generation() + 1);
    assert_eq!(back.signature(), ring.signature());
    assert!(back.version() > ring.version());
    assert!(ring.changed(&back).is_empty());
}

#[test]
fn vacated_index_rests_except_for_its_own() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 100)]).leave(&["b"]);
    assert_eq!(ring.join(member("d", 100)).unwrap().index_of("d").unwrap().get(), 3);
    assert_eq!(ring.join(member("b", 100)).unwrap().index_of("b").unwrap().get(), 1);
    let later = |versions: u32| {
        let number = ring.version().number + versions - 1;
        let aged = Ring { version: Version { number, ..ring.version() }, ..ring.clone() };
        aged.join(member("d", 100)).unwrap().index_of("d").unwrap().get()
    };
    assert_eq!(later(INDEX_REST_VERSIONS - 1), 3);
    assert_eq!(later(INDEX_REST_VERSIONS), 1);
}

#[test]
fn ring_takes_4096_nodes() {
    let mut ring = ring_of(&[("first", 100)]);
    for number in 1..MEMBERS_MAX {
        // The index alone: 4,096 placements take too long for a test.
        std::sync::Arc::make_mut(&mut ring.places).seat(member(&format!("{number}"), 100), 1).unwrap();
    }
    assert_eq!(ring.join(member("late", 100)).unwrap_err(), RingError::Full);
    assert_eq!(ring.leave(&["7"]).join(member("late", 100)).unwrap_err(), RingError::Full);
    let back = ring.leave(&["7"]).join(member("7", 100)).unwrap();
    assert_eq!(back.member_count(), MEMBERS_MAX);
}

#[test]
fn join_refuses_what_nobody_could_use() {
    let refused = |member: Member| genesis().join(member).unwrap_err();
    let ok = member("a", 100);
    for id in ["", "a\nb", "\u{85}", &"x".repeat(257)] {
        assert_eq!(refused(Member { id: id.to_owned(), ..ok.clone() }), RingError::InvalidId, "{id:?}");
    }
    assert_eq!(refused(Member { url: "http://a/ws".to_owned(), ..ok.clone() }), RingError::InvalidUrl);
    assert_eq!(refused(Member { peer: "10.0.0.1".to_owned(), ..ok.clone() }), RingError::InvalidPeer);
    assert_eq!(refused(Member { weight: 0, ..ok.clone() }), RingError::InvalidWeight);
    let hashed = Ring::genesis("default", key(), Policy::Hashed);
    assert!(hashed.join(member("a", 25_600)).is_ok());
    assert_eq!(hashed.join(member("a", 25_601)).unwrap_err(), RingError::WeightTooLarge);
}

#[test]
fn join_refuses_a_ring_too_large_for_its_record() {
    let mut ring = ring_of(&[("first", 100)]);
    for number in 0..2_500 {
        std::sync::Arc::make_mut(&mut ring.places).seat(member(&format!("{number:0250}"), 100), 1).unwrap();
    }
    assert_eq!(ring.join(member("late", 100)).unwrap_err(), RingError::TooLarge);
    // Not even in place of a shorter self.
    let longer =
        Member { url: format!("wss://node.example.com/{}", "x".repeat(400)), ..member("first", 100) };
    assert_eq!(ring.join(longer).unwrap_err(), RingError::TooLarge);
}
