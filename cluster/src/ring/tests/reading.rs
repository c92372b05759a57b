//! What is read off a ring: next homes, differences, and the text forms of its parts.

use super::super::{Signature, SlotArc, Version, is_valid_peer, is_valid_service, is_valid_url};
use super::*;

#[test]
fn next_home_goes_clockwise_round_the_origin_and_asks_once_each() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 100)]);
    for slot in [Slot::new(0), Slot::new(30_000), Slot::new(u16::MAX)] {
        let own = home(&ring, slot).unwrap();
        assert_eq!(ring.next_home(slot, |_| false).map(|member| member.id.as_str()), Some(own));
        let clockwise = (1..SLOTS).map(|step| Slot::new(slot.number().wrapping_add(step as u16)));
        let next = clockwise.filter_map(|slot| home(&ring, slot)).find(|id| *id != own);
        assert_eq!(ring.next_home(slot, |member| member.id == own).map(|member| member.id.as_str()), next);
        let asked = std::cell::Cell::new(0);
        assert_eq!(ring.next_home(slot, |_| asked.replace(asked.get() + 1) < 99), None);
        assert_eq!(asked.get(), 3);
    }
}

#[test]
fn next_home_knows_when_it_has_asked_everybody() {
    let ring = ring_of(&[("a", 100), ("b", 100), ("c", 1)]).drain("b");
    for dead in ["", "a", "c"] {
        let ring = ring.bypassing(|member| member.id == dead);
        let holders = ["a", "c"].map(|id| ring.slot_count(id)).iter().filter(|slots| **slots > 0).count();
        assert_eq!(holders, if dead.is_empty() { 2 } else { 1 });
        for slot in (0..=u16::MAX).step_by(4_099).map(Slot::new) {
            for last in ["a", "c"].into_iter().filter(|id| *id != dead) {
                assert!(
                    ring.next_home(slot, |member| member.id != last).is_some_and(|member| member.id == last)
                );
            }
            assert_eq!(ring.next_home(slot, |_| true), None);
        }
    }
}

#[test]
fn arcs_are_maximal_runs_with_both_names() {
    let one = ring_of(&[("a", 100)]);
    let all = genesis().changed(&one);
    let whole = SlotArc { first: Slot::new(0), last: Slot::new(u16::MAX), from: None, to: Some("a") };
    assert_eq!(all.iter().collect::<Vec<_>>(), [whole]);
    assert_eq!(all.slot_count(), SLOTS);
    let gone = one.changed(&one.leave(&["a"]));
    assert_eq!(gone.iter().next(), Some(SlotArc { from: Some("a"), to: None, ..whole }));
    assert!(one.changed(&one).is_empty());
    assert_eq!(one.changed(&one).iter().next(), None);
}

#[test]
fn arcs_compare_members_and_not_indices() {
    // Two histories that give the same homes and other indices: a first, or z first and gone.
    let plain = ring_of(&[("a", 100)]);
    let other = ring_of(&[("z", 100), ("a", 100)]).leave(&["z"]);
    assert_ne!(plain.holder(Slot::new(0)), other.holder(Slot::new(0)));
    assert!(plain.changed(&other).is_empty());
    // And the same index for another member.
    assert_eq!(plain.changed(&ring_of(&[("z", 100)])).slot_count(), SLOTS);
}

#[test]
fn with_another_key_every_slot_changes() {
    let ring = ring_of(&[("a", 100)]);
    let rekeyed = Ring { key: RingKey::new([9; 16]), ..ring.clone() };
    assert_eq!(ring.changed(&rekeyed).slot_count(), SLOTS);
    assert_eq!(ring.changed(&rekeyed).iter().count(), 1);
}

#[test]
fn positions_are_those_of_changed_slots() {
    let ring = ring_of(&[("a", 100), ("b", 100)]);
    let arcs = ring.changed(&ring.join(member("c", 100)).unwrap());
    let sessions: Vec<Slot> = (0..5_000u32).map(|number| Slot::new((number * 7_919) as u16)).collect();
    let expected: Vec<usize> = (0..sessions.len()).filter(|at| arcs.contains(sessions[*at])).collect();
    assert!(!expected.is_empty() && expected.len() < sessions.len());
    assert_eq!(arcs.positions(&sessions), expected);
    assert_eq!(arcs.positions(&[]), Vec::<usize>::new());
}

#[test]
fn versions_order_by_term_then_number() {
    let version = |term, number| Version { term, number };
    assert!(version(2, 0) > version(1, u32::MAX));
    assert_eq!(version(1, 42).to_string(), "4294967338");
    assert_eq!(Version::from_u64(version(3, 7).as_u64()), version(3, 7));
    assert_eq!(version(1, u32::MAX).next(), version(2, 0));
    assert_eq!(serde_json::to_string(&version(1, 1)).unwrap(), "4294967297");
    assert_eq!(serde_json::from_str::<Version>("4294967297").unwrap(), version(1, 1));
}

#[test]
fn signatures_are_16_digits() {
    let signature = Signature::new(0x0081_f46e_5aa4_4fef);
    assert_eq!(signature.to_string(), "0081f46e5aa44fef");
    assert_eq!(Signature::from_hex("0081f46e5aa44fef"), Some(signature));
    assert_eq!(serde_json::from_str::<Signature>("\"0081f46e5aa44fef\"").unwrap(), signature);
    for text in ["81f46e5aa44fef", "0081F46E5AA44FEF", "+081f46e5aa44fef", ""] {
        assert_eq!(Signature::from_hex(text), None, "{text}");
    }
}

#[test]
fn ring_keys_are_32_digits_and_random_ones_differ() {
    assert_eq!(key().to_string(), "000102030405060708090a0b0c0d0e0f");
    assert_eq!(RingKey::from_hex("+00102030405060708090a0b0c0d0e0f"), None);
    assert_ne!(RingKey::random().unwrap(), RingKey::random().unwrap());
}

#[test]
fn urls_that_clients_can_open() {
    for url in [
        "ws://a",
        "wss://n2.ws.example.com/ws",
        "ws://127.0.0.1:40123/ws?x=1",
        "wss://[::1]:443/",
        "ws://h?q",
    ] {
        assert!(is_valid_url(url), "{url}");
    }
    let long = format!("wss://a/{}", "x".repeat(512));
    for url in [
        "",
        "ws://",
        "http://a",
        "WS://a",
        "ws:///ws",
        "ws://:80/",
        "ws://a:0",
        "ws://a:65536",
        "ws://a:",
        "ws://a:+1",
        "ws://user@a/",
        "ws://a/#f",
        "ws://a b",
        "ws://a/ b",
        "ws://a/\n",
        "ws://[::1/",
        "ws://[x]/",
        "ws://ä/",
        &long,
    ] {
        assert!(!is_valid_url(url), "{url}");
    }
}

#[test]
fn peer_addresses_that_nodes_can_dial() {
    for peer in ["127.0.0.1:40124", "node-1.internal:1", "[::1]:4000", "a_b:65535"] {
        assert!(is_valid_peer(peer), "{peer}");
    }
    for peer in ["", "a", "a:", ":1", "a:0", "a:70000", "::1:4000", "[::1]", "a:1/x", "ws://a:1", "a b:1"] {
        assert!(!is_valid_peer(peer), "{peer}");
    }
}

#[test]
fn service_names_fit_into_keys_and_paths() {
    assert!(["default", "dc", "we-check_2.x"].iter().all(|name| is_valid_service(name)));
    assert!(
        ["", "a b", "a/b", "{a}", "a\n", "ä", &"x".repeat(65)].iter().all(|name| !is_valid_service(name))
    );
}
