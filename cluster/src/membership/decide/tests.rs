//! Every pair of what is held and what is seen.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ring::{Member, MemberState, Policy, RecordKey, RingKey};

fn keys(byte: u8) -> RecordKeys {
    RecordKeys::new(RecordKey::new([byte; 32]), [])
}

fn ring_of(ids: &[&str]) -> Ring {
    ids.iter()
        .fold(Ring::genesis("dc", RingKey::new([7; 16]), Policy::Balanced), |ring, id| join(&ring, id, 1))
}

fn join(ring: &Ring, id: &str, generation: u64) -> Ring {
    let (url, peer) = (format!("ws://{id}/ws"), format!("{id}:1"));
    let member = Member { id: id.to_owned(), generation, url, peer, weight: 100, state: MemberState::Active };
    ring.join(member).unwrap()
}

fn seen(ring: &Ring) -> Seen {
    Seen::Ring(Arc::new(ring.clone()))
}

fn record(ring: &Ring, keys: &RecordKeys) -> Stored {
    Stored::Record(Held::seal(ring.clone(), keys).record)
}

#[test]
fn with_a_view_the_higher_one_wins_and_everything_else_is_put_right() {
    let (lower, mine, higher) = (ring_of(&["a"]), ring_of(&["a", "b"]), ring_of(&["a", "b", "c"]));
    let other = ring_of(&["a", "c"]);
    let twin = join(&ring_of(&["a"]), "b", 2);
    assert_eq!(other.version(), mine.version());
    assert_eq!(
        (twin.version(), twin.signature()),
        (mine.version(), mine.signature()),
        "another table is not needed"
    );
    let put_back = |term, why| Verdict::PutBack { term, why };
    for (what, verdict) in [
        (seen(&mine), Verdict::Keep),
        (seen(&higher), Verdict::Adopt),
        (seen(&mine.with_term(2)), Verdict::Adopt),
        (seen(&lower.with_term(2)), Verdict::Adopt),
        (seen(&lower), put_back(2, Loss::Behind)),
        (seen(&other), put_back(2, Loss::Conflict)),
        (seen(&twin), put_back(2, Loss::Conflict)),
        (Seen::Absent, put_back(2, Loss::Empty)),
        (Seen::Foreign { code: "x" }, put_back(2, Loss::Unreadable)),
        (Seen::Debris { code: "x" }, put_back(2, Loss::Unreadable)),
    ] {
        for may_create in [false, true] {
            assert_eq!(judge(Some(&mine), &what, may_create), verdict, "{what:?}");
        }
    }
    assert_eq!(judge(Some(&mine.with_term(5)), &seen(&higher), false), put_back(6, Loss::Behind));
}

#[test]
fn without_a_view_it_takes_one_or_waits() {
    let ring = ring_of(&["a"]);
    for (what, patient, impatient) in [
        (seen(&ring), Verdict::Adopt, Verdict::Adopt),
        (Seen::Absent, Verdict::Wait, Verdict::Create),
        (Seen::Debris { code: "x" }, Verdict::Wait, Verdict::Create),
        (Seen::Foreign { code: "x" }, Verdict::Wait, Verdict::Wait),
    ] {
        assert_eq!(judge(None, &what, false), patient, "{what:?}");
        assert_eq!(judge(None, &what, true), impatient, "{what:?}");
    }
}

#[test]
fn records_are_told_from_debris() {
    let ring = ring_of(&["a"]);
    let open = |stored: &Stored| open(stored, "dc", &keys(1));
    assert_eq!(open(&record(&ring, &keys(1))), seen(&ring));
    assert_eq!(open(&record(&ring, &keys(2))), Seen::Foreign { code: "record_unsigned" });
    let of_text = |text: &'static str| open(&Stored::Record(Bytes::from_static(text.as_bytes())));
    assert_eq!(of_text("ringdial-ring/2 what comes after us\n"), Seen::Foreign { code: "record_malformed" });
    assert_eq!(of_text(""), Seen::Debris { code: "record_malformed" });
    assert_eq!(open(&Stored::Oversized { bytes: 1 << 30 }), Seen::Debris { code: "record_too_large" });
    assert_eq!(open(&Stored::WrongType), Seen::Debris { code: "record_wrong_type" });
    assert_eq!(open(&Stored::Absent), Seen::Absent);
    let rotated = RecordKeys::new(RecordKey::new([3; 32]), [RecordKey::new([1; 32])]);
    assert_eq!(super::open(&record(&ring, &keys(1)), "dc", &rotated), seen(&ring));
}

#[test]
fn a_glimpse_tells_ours_from_newer_and_from_what_may_be_a_loss() {
    let ring = ring_of(&["a"]);
    let held = Held::seal(ring.clone(), &keys(1));
    let glimpse = |ring: &Ring, key| Glimpse::of_record(&Held::seal(ring.clone(), &keys(key)).record);
    let mine = |glimpse: &Glimpse| look(Some(&held), glimpse);
    assert_eq!(mine(&glimpse(&ring, 1)), Look::Ours);
    assert_eq!(look(None, &glimpse(&ring, 1)), Look::Other);
    assert_eq!(mine(&glimpse(&ring, 2)), Look::Other, "sealed with another key");
    assert_eq!(mine(&glimpse(&join(&ring, "b", 1), 1)), Look::Newer);
    assert_eq!(mine(&glimpse(&ring.with_term(2), 1)), Look::Newer);
    assert_eq!(mine(&glimpse(&ring_of(&[]), 1)), Look::Other, "older");
    let mut longer = held.record.to_vec();
    longer.push(b' ');
    assert_eq!(mine(&Glimpse::of_record(&longer.into())), Look::Other, "another length");
    for other in [Glimpse::Absent, Glimpse::WrongType, Glimpse::of_record(&"junk".into())] {
        assert_eq!(mine(&other), Look::Other);
    }
}

#[test]
fn the_rest_grows_with_the_members_and_stays_within_a_poll() {
    let lease = Duration::from_secs(3);
    let rests = [0, 3, 100, 200, 1_000, usize::MAX].map(|members| rest(members, lease).as_millis());
    assert_eq!(rests, [200, 200, 200, 400, 1_000, 1_000]);
    assert_eq!(rest(1_000, Duration::from_millis(300)), Duration::from_millis(100));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whoever acts on a verdict ends above both what it held and what it saw, so that versions never go back and two
    /// processes that put back different views end in agreement.
    #[test]
    fn a_put_back_is_above_both(mine in 1u32..5, seen_term in 1u32..5, mine_members in 0usize..4, seen_members in 0usize..4) {
        let ids = ["a", "b", "c", "d"];
        let mine = ring_of(&ids[..mine_members]).with_term(mine);
        let other = ring_of(&ids[..seen_members]).with_term(seen_term);
        match judge(Some(&mine), &seen(&other), false) {
            Verdict::Keep => prop_assert_eq!(&mine, &other),
            Verdict::Adopt => prop_assert!(other.version() > mine.version()),
            Verdict::PutBack { term, .. } => {
                let put = mine.with_term(term);
                prop_assert!(put.version() > mine.version() && put.version() > other.version());
            }
            verdict => prop_assert!(false, "{:?}", verdict),
        }
    }
}
