//! What holds after any history: exact shares, no slot moved without need, and documents that agree.

use proptest::prelude::*;

use super::super::Record;
use super::*;

#[derive(Clone, Debug)]
enum Change {
    Join(String, u32),
    Leave(Vec<String>),
    Drain(String),
}

fn id() -> impl Strategy<Value = String> {
    (0..9u8).prop_map(|number| format!("n{number}"))
}

fn change() -> impl Strategy<Value = Change> {
    let weight = prop_oneof![
        6 => prop::sample::select(vec![50u32, 100, 200, 400]),
        1 => 1..=u32::MAX,
        1 => prop::sample::select(vec![1, u32::MAX]),
    ];
    prop_oneof![
        5 => (id(), weight).prop_map(|(id, weight)| Change::Join(id, weight)),
        2 => prop::collection::vec(id(), 1..4).prop_map(Change::Leave),
        1 => id().prop_map(Change::Drain),
    ]
}

fn apply(ring: &Ring, change: &Change) -> Ring {
    match change {
        Change::Join(id, weight) => ring.join(member(id, *weight)).unwrap(),
        Change::Leave(ids) => ring.leave(&ids.iter().map(String::as_str).collect::<Vec<_>>()),
        Change::Drain(id) => ring.drain(id),
    }
}

fn has_active(ring: &Ring) -> bool {
    ring.members().any(|member| member.state == MemberState::Active)
}

/// A ring's own figures are those of its table, and every slot is held by a member that may hold it.
fn check_table(ring: &Ring) {
    let counts = counts(ring);
    let signature = super::super::view::signature(ring.key(), &ring.holders);
    assert_eq!(ring.signature(), signature);
    for (place, count) in ring.places.all().iter().zip(&counts) {
        assert_eq!(place.slots, *count);
    }
    let held = if ring.member_count() == 0 { 0 } else { SLOTS as u32 };
    assert_eq!(counts.iter().sum::<u32>(), held);
    if has_active(ring) {
        let draining = ring.members().filter(|member| member.state == MemberState::Draining);
        assert!(draining.into_iter().all(|member| ring.slot_count(&member.id) == 0));
    }
}

/// Only what has to move moved, and it went by the order of loads.
fn check_moves(old: &Ring, new: &Ring, change: &Change) {
    let moved = moved(old, new);
    match change {
        Change::Join(id, _) => {
            if old.member(id) == new.member(id) {
                return assert_eq!(new, old);
            }
            let (before, after) = (old.slot_count(id), new.slot_count(id));
            assert_eq!(after, quota(new, id));
            assert_eq!(moved.len() as u32, before.abs_diff(after));
            let other = if after >= before { new } else { old };
            assert!(moved.iter().all(|slot| home(other, *slot) == Some(id)));
            check_order(old, new, &[id]);
        }
        Change::Leave(ids) => {
            let left = |id: Option<&str>| id.is_some_and(|id| ids.iter().any(|other| other == id));
            assert!(slots().all(|slot| left(home(old, slot)) == moved.contains_slot(slot)));
            check_order(old, new, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Change::Drain(id) => {
            let gives = old.member(id).is_some() && has_active(new);
            assert!(slots().all(|slot| (gives && home(old, slot) == Some(id)) == moved.contains_slot(slot)));
            check_order(old, new, &[id]);
        }
    }
}

trait ContainsSlot {
    fn contains_slot(&self, slot: Slot) -> bool;
}

impl ContainsSlot for Vec<Slot> {
    fn contains_slot(&self, slot: Slot) -> bool {
        self.binary_search(&slot).is_ok()
    }
}

/// Among the members other than the changed ones: the last slot of a giver was taken at the largest
/// count/weight, the last one of a taker was given at the smallest; of equal loads the smaller id comes
/// first.
fn check_order(old: &Ring, new: &Ring, changed: &[&str]) {
    let others: Vec<(&Member, u64, u64)> = new
        .members()
        .filter(|member| !changed.contains(&member.id.as_str()))
        .filter(|member| {
            member.state == MemberState::Active || !has_active(new) || old.slot_count(&member.id) > 0
        })
        .map(|member| (member, old.slot_count(&member.id).into(), new.slot_count(&member.id).into()))
        .collect();
    for (one, before, after) in &others {
        for (other, _, load) in others.iter().filter(|(other, ..)| other.id != one.id) {
            let (own, others) = (u64::from(one.weight), u64::from(other.weight));
            // one's ratio just before its last slot moved, against the other's at the end.
            let gave = ((after + 1) * others).cmp(&(load * own)).then(other.id.cmp(&one.id));
            let took = (after.saturating_sub(1) * others).cmp(&(load * own)).then(one.id.cmp(&other.id));
            assert!(after >= before || gave.is_gt(), "{} gave before {}", one.id, other.id);
            assert!(after <= before || took.is_lt(), "{} took before {}", one.id, other.id);
        }
    }
}

/// The difference says what a look at every slot says.
fn check_arcs(old: &Ring, new: &Ring) {
    let arcs = old.changed(new);
    let moved = moved(old, new);
    assert_eq!(arcs.slot_count(), moved.len());
    assert!(moved.iter().all(|slot| arcs.contains(*slot)));
    let mut listed = Vec::new();
    for arc in arcs.iter() {
        for number in arc.first.number()..=arc.last.number() {
            let slot = Slot::new(number);
            assert_eq!((home(old, slot), home(new, slot)), (arc.from, arc.to));
            listed.push(slot);
        }
    }
    assert_eq!(listed, moved);
    let runs: Vec<_> = arcs.iter().collect();
    let joins = |pair: &[super::super::SlotArc<'_>]| {
        pair[0].last.index() + 1 == pair[1].first.index()
            && (pair[0].from, pair[0].to) == (pair[1].from, pair[1].to)
    };
    assert!(!runs.windows(2).any(joins), "runs are maximal");
}

fn check(old: &Ring, new: &Ring, change: &Change) {
    check_table(new);
    if new.version() == old.version() {
        assert_eq!(new, old);
    } else {
        assert_eq!(new.version(), old.version().next());
    }
    check_arcs(old, new);
    let record = Record::seal(new, &record_key());
    assert_eq!(&Record::open(record.as_bytes(), "default", &[record_key()]).unwrap(), new);
    // Applied again, nothing happens: a change whose outcome is unknown may be repeated.
    assert_eq!(&apply(new, change), new);
}

/// Few cases, because each of them looks at every slot many times; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn balanced_histories(changes in prop::collection::vec(change(), 1..18)) {
        let mut ring = genesis();
        for change in &changes {
            let next = apply(&ring, change);
            check(&ring, &next, change);
            check_moves(&ring, &next, change);
            ring = next;
        }
    }

    #[test]
    fn hashed_histories_depend_on_the_members_only(changes in prop::collection::vec(change(), 1..10)) {
        let empty = || Ring::genesis("default", key(), Policy::Hashed);
        let light = |change: &Change| match change {
            Change::Join(id, weight) => Change::Join(id.clone(), weight % 400 + 1),
            Change::Drain(id) => Change::Leave(vec![id.clone()]),
            other => other.clone(),
        };
        let mut ring = empty();
        for change in changes.iter().map(light) {
            let next = apply(&ring, &change);
            check(&ring, &next, &change);
            ring = next;
        }
        let fresh = ring.members().collect::<Vec<_>>().into_iter().rev();
        let fresh = fresh.fold(empty(), |ring, member| ring.join(member.clone()).unwrap());
        prop_assert!(slots().all(|slot| home(&ring, slot) == home(&fresh, slot)));
    }

    #[test]
    fn strangers_bytes_are_never_a_ring(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Record::open(&bytes, "default", &[record_key()]).is_err());
        let framed = [b"ringdial-ring/1 default 1 0000000000000000 ".as_slice(), &[b'0'; 64], b"\n", &bytes].concat();
        prop_assert_eq!(Record::open(&framed, "default", &[record_key()]).unwrap_err().code(), "record_unsigned");
    }
}
