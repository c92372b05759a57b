//! Reading past the dead: only their slots move, each to the next living holder.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;

/// A ring of some members, a few of them with other weights, some draining.
fn some_ring() -> impl Strategy<Value = Ring> {
    let member = (prop::sample::select(vec![50u32, 100, 400]), prop::bool::weighted(0.2));
    let policy = prop::sample::select(vec![Policy::Balanced, Policy::Hashed]);
    (prop::collection::vec(member, 1..8), policy).prop_map(|(members, policy)| {
        let empty = Ring::genesis("default", key(), policy);
        let ids: Vec<String> = (0..members.len()).map(|number| format!("n{number}")).collect();
        let joined = ids
            .iter()
            .zip(&members)
            .fold(empty, |ring, (id, (weight, _))| ring.join(super::member(id, *weight)).unwrap());
        ids.iter().zip(&members).fold(joined, |ring, (id, (_, drains))| match drains {
            true => ring.drain(id),
            false => ring,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn only_the_slots_of_the_dead_move_and_to_the_next_living_holder(ring in some_ring(), dead in any::<u8>()) {
        let dead = |member: &Member| dead & (1 << member.id[1..].parse::<u8>().unwrap()) != 0;
        let past = ring.bypassing(dead);
        prop_assert_eq!(past.version(), ring.version());
        prop_assert_eq!(past.signature(), ring.signature());
        prop_assert!(past.members().eq(ring.members()));
        if !slots().any(|slot| !dead(ring.home(slot).unwrap())) {
            prop_assert!(past == ring);
            return Ok(());
        }
        for slot in slots() {
            prop_assert_eq!(past.home(slot), ring.next_home(slot, dead));
        }
        for (place, count) in past.places.all().iter().zip(counts(&past)) {
            prop_assert_eq!(place.slots, count);
        }
        // One after the other is as all at once.
        let one_by_one = ring.members().filter(|member| dead(member)).fold(ring.clone(), |ring, gone| {
            ring.bypassing(|member| member.id == gone.id)
        });
        prop_assert!(slots().all(|slot| home(&one_by_one, slot) == home(&past, slot)));
    }
}

#[test]
fn without_the_dead_or_without_the_living_it_is_the_ring() {
    let ring = ring_of(&[("a", 100), ("b", 100)]);
    assert!(ring.bypassing(|_| false) == ring);
    assert!(ring.bypassing(|_| true) == ring);
    assert!(ring.drain("b").bypassing(|member| member.id == "b") == ring.drain("b"), "it holds nothing");
    assert!(genesis().bypassing(|_| true) == genesis());
    let left = ring.leave(&["a"]);
    assert!(left.bypassing(|member| member.id == "a") == left, "who left is not asked of");
}

#[test]
fn each_member_is_asked_once() {
    let asked = RefCell::new(Vec::new());
    ring_of(&[("a", 100), ("b", 100), ("c", 100)]).bypassing(|member| {
        asked.borrow_mut().push(member.id.clone());
        false
    });
    assert_eq!(asked.into_inner(), ["a", "b", "c"]);
}

#[test]
fn the_last_slots_fall_to_the_first_living_one_after_them() {
    let ring = ring_of(&[("a", 100), ("b", 100)]);
    let past = ring.bypassing(|member| member.id == "b");
    assert!(slots().all(|slot| home(&past, slot) == Some("a")));
    assert_eq!((past.slot_count("a"), past.slot_count("b")), (SLOTS as u32, 0));
}
