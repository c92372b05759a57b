//! What the ring costs, against the targets of its design: `cargo bench -p ringdial-cluster --bench ring`.
//!
//! Prints one line for each figure: name, median and best time of the runs, and the target where there is
//! one. Times of a few nanoseconds are those of a loop over entries that differ, at the throughput that a
//! busy process sees.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up fails")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ringdial_cluster::ring::{
    Member, MemberState, Policy, Record, RecordKey, Ring, RingKey, Slot, public_document,
};

/// Points, spread over the whole table.
const KEYS: usize = 1 << 16;
/// Ids: so many that none is predicted, so few that their text stays in the nearer caches.
const IDS: usize = 1 << 12;
const SESSIONS: usize = 500_000;

fn main() {
    let ring = grow(1_000);
    lookups(&ring);
    for nodes in [3, 10, 100, 1_000] {
        changes(&grow(nodes), nodes);
    }
    let (best, _) = time(3, || grow(1_000));
    report("genesis by 1,000 joins", best, best, 1, Some("well under 1 s"));
    documents(&ring);
    let hashed = with_policy(1_000, Policy::Hashed);
    let (best, median) = time(20, || hashed.join(member("joiner", 100)));
    report("hashed: join at 1,000 nodes", best, median, 1, None);
}

/// The way from a point, and from an id, to its home.
fn lookups(ring: &Ring) {
    let key = ring.key();
    let points: Vec<u64> = (0..KEYS).map(|number| key.hash(&number.to_le_bytes())).collect();
    let slots: Vec<Slot> = points.iter().map(|point| Slot::of(*point)).collect();
    let (best, median) =
        time(200, || points.iter().fold(0, |sum, point| sum + holder(ring, Slot::of(*point))));
    report("holder from a point, 1,000 nodes", best, median, KEYS, Some("1 ns"));
    let (best, median) = time(200, || slots.iter().filter(|slot| ring.home(**slot).is_some()).count());
    report("home from a slot, 1,000 nodes", best, median, KEYS, Some("1 ns"));
    let (best, median) =
        time(200, || points.iter().fold(0, |sum, point| sum + home_generation(ring, Slot::of(*point))));
    report("home from a point, member read, 1,000 nodes", best, median, KEYS, None);
    for (what, width) in [("8-byte", 8), ("36-byte", 36)] {
        let ids: Vec<String> = (0..IDS).map(|number| format!("{number:0width$}")).collect();
        let (best, median) =
            time(1_000, || ids.iter().filter(|id| ring.home(key.slot(id)).is_some()).count());
        let target = (width == 36).then_some("15 ns");
        report(&format!("home from a {what} id, 1,000 nodes"), best, median, IDS, target);
    }
    let (best, median) = time(50, || slots.iter().filter(|slot| next(ring, **slot).is_some()).count());
    report("next home, one node avoided, 1,000 nodes", best, median, KEYS, None);
    for (nodes, target) in [(3, Some("100 ns")), (1_000, None)] {
        let ring = grow(nodes);
        let slots = &slots[..IDS];
        let (best, median) =
            time(50, || slots.iter().filter(|slot| ring.next_home(**slot, |_| true).is_some()).count());
        report(&format!("next home, all {nodes} nodes avoided"), best, median, IDS, target);
    }
}

/// A change, its difference, and the sessions that it moves.
fn changes(ring: &Ring, nodes: usize) {
    let (best, median) = time(50, || ring.join(member("joiner", 100)).unwrap());
    report(&format!("join at {nodes} nodes"), best, median, 1, Some("0.5 ms"));
    let (best, median) = time(50, || ring.leave(&["node-1"]));
    report(&format!("leave at {nodes} nodes"), best, median, 1, None);
    let next = ring.join(member("joiner", 100)).unwrap();
    let (best, median) = time(50, || ring.changed(&next));
    report(&format!("difference after a join at {nodes} nodes"), best, median, 1, None);

    // The sessions of one node, each with its slot.
    let id = ring.members().next().unwrap().id.clone();
    let own: Vec<Slot> =
        (0..=u16::MAX).map(Slot::new).filter(|slot| ring.home(*slot).unwrap().id == id).collect();
    let mut random = 1;
    let sessions: Vec<Slot> = (0..SESSIONS).map(|_| own[step(&mut random) as usize % own.len()]).collect();
    let (best, median) = time(50, || ring.changed(&next).positions(&sessions));
    report(
        &format!("difference and moves of {SESSIONS} sessions at {nodes} nodes"),
        best,
        median,
        1,
        Some("1 ms"),
    );
}

fn documents(ring: &Ring) {
    let key = RecordKey::new([7; 32]);
    let record = Record::seal(ring, &key);
    println!("record at 1,000 nodes: {} bytes", record.as_bytes().len());
    println!("public document at 1,000 nodes: {} bytes", public_document(ring).to_string().len());
    let (best, median) = time(50, || Record::seal(ring, &key));
    report("seal a record, 1,000 nodes", best, median, 1, None);
    let (best, median) =
        time(50, || Record::open(record.as_bytes(), "default", std::slice::from_ref(&key)).unwrap());
    report("open a record, 1,000 nodes", best, median, 1, None);
    let (best, median) = time(20, || public_document(ring).to_string());
    report("public document, 1,000 nodes", best, median, 1, None);
}

fn holder(ring: &Ring, slot: Slot) -> u64 {
    ring.holder(slot).map_or(0, |index| u64::from(index.get()))
}

fn home_generation(ring: &Ring, slot: Slot) -> u64 {
    ring.home(slot).map_or(0, |member| member.generation)
}

fn next(ring: &Ring, slot: Slot) -> Option<&Member> {
    let home = ring.home(slot)?;
    ring.next_home(slot, |member| std::ptr::eq(member, home))
}

fn grow(nodes: usize) -> Ring {
    with_policy(nodes, Policy::Balanced)
}

fn with_policy(nodes: usize, policy: Policy) -> Ring {
    let key = RingKey::new(std::array::from_fn(|index| index as u8));
    let genesis = Ring::genesis("default", key, policy);
    (0..nodes).fold(genesis, |ring, number| ring.join(member(&format!("node-{number}"), 100)).unwrap())
}

fn member(id: &str, weight: u32) -> Member {
    Member {
        id: id.to_owned(),
        generation: 1,
        url: format!("wss://{id}.ws.example.com/ws"),
        peer: "10.0.0.1:4000".to_owned(),
        weight,
        state: MemberState::Active,
    }
}

/// The best and the median of `runs` runs.
fn time<T>(runs: usize, mut work: impl FnMut() -> T) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[0], times[runs / 2])
}

fn report(what: &str, best: Duration, median: Duration, times: usize, target: Option<&str>) {
    let each = |time: Duration| match time.as_secs_f64() / times as f64 {
        time if time < 1e-6 => format!("{:.2} ns", time * 1e9),
        time if time < 1e-3 => format!("{:.1} us", time * 1e6),
        time => format!("{:.2} ms", time * 1e3),
    };
    let target = target.map(|target| format!(", target {target}")).unwrap_or_default();
    println!("{what}: median {}, best {}{target}", each(median), each(best));
}

/// One step of xorshift64.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
