//! Stores that forget, go back, or hold what they must not: views are believed, the store is put right.

use std::time::Duration;

use ringdial_cluster::membership::{KeeperConfig, Role, Stored};
use ringdial_cluster::ring::{Member, MemberState, RECORD_BYTES_MAX, Ring};
use tokio::time::{Instant, sleep};

use super::World;
use super::support::{Frail, Process, SERVICE, config, keys, other_keys, ring_of, sealed, spec, until};

/// Three members and an observer in agreement.
async fn cluster(world: &dyn World) -> [Process; 4] {
    let processes = [
        Process::node(world, "a").await,
        Process::node(world, "b").await,
        Process::node(world, "c").await,
        Process::observer(world).await,
    ];
    for process in &processes {
        process.sees(&["a", "b", "c"]).await;
    }
    processes
}

/// Waits until everybody holds one ring, of this term, and checks that it is the ring of before and nobody lost.
async fn put_right(processes: &[Process], before: &Ring, term: u32) {
    for process in processes {
        process.sees_that(&format!("term {term}"), |ring| ring.version().term == term).await;
    }
    let first = processes[0].ring();
    for process in processes {
        let same = |ring: &Ring| *ring == *first;
        process.sees_that("the same ring", same).await;
    }
    assert_eq!(first.signature(), before.signature());
    assert_eq!(first.key(), before.key());
    assert!(first.members().eq(before.members()), "everybody, in the generation of before");
    assert!(first.log_generation() > before.log_generation());
    assert!(processes.iter().all(|process| process.keeper.status().counts.registrations <= 1));
}

fn putbacks(processes: &[Process]) -> u64 {
    processes.iter().map(|process| process.keeper.status().counts.putbacks).sum()
}

pub async fn a_flush_loses_nobody(world: &dyn World) {
    let processes = cluster(world).await;
    let before = processes[0].ring();
    world.flush().await;
    put_right(&processes, &before, 2).await;
    assert_eq!(putbacks(&processes), 1);
    // Leases stand again as well.
    sleep(3 * world.lease()).await;
    put_right(&processes, &before, 2).await;
    world.flush().await;
    put_right(&processes, &before, 3).await;
}

pub async fn a_stale_record_is_put_right(world: &dyn World) {
    let a = Process::node(world, "a").await;
    let stale = a.keeper.sealed().unwrap();
    let processes = [Process::node(world, "b").await, Process::node(world, "c").await, a];
    for process in &processes {
        process.sees(&["a", "b", "c"]).await;
    }
    let before = processes[0].ring();
    world.overwrite(SERVICE, Stored::Record(stale)).await;
    put_right(&processes, &before, 2).await;
    assert_eq!(putbacks(&processes), 1);
}

pub async fn garbage_is_ignored_counted_and_put_right(world: &dyn World) {
    let processes = cluster(world).await;
    let before = processes[0].ring();
    let forged = ring_of(SERVICE, &["evil"]).with_term(1_000);
    let mut flipped = processes[0].keeper.sealed().unwrap().to_vec();
    let last = flipped.len() - 3;
    flipped[last] ^= 1;
    // Another length too, as a glimpse shows no more than header and length.
    flipped.push(b' ');
    let garbage = [
        Stored::Record(sealed(&forged, &other_keys())),
        Stored::Record(flipped.into()),
        Stored::Record("junk".into()),
        Stored::Record(sealed(&ring_of("wecheck", &["x"]).with_term(1_000), &keys())),
        Stored::Oversized { bytes: 2 * RECORD_BYTES_MAX as u64 },
        Stored::WrongType,
    ];
    let store = world.store(SERVICE);
    for (term, garbage) in (2..).zip(garbage) {
        world.overwrite(SERVICE, garbage).await;
        put_right(&processes, &before, term).await;
        let stored = store.read().await.unwrap();
        let ring = processes[0].ring();
        assert!(matches!(stored, Stored::Record(record) if record == sealed(&ring, &keys())));
    }
    let ignored: u64 = processes.iter().map(|process| process.keeper.status().counts.ignored_records).sum();
    assert!(ignored >= 6, "{ignored}");
}

pub async fn two_rings_of_one_version_are_noticed(world: &dyn World) {
    let processes = cluster(world).await;
    let before = processes[0].ring();
    // The fourth change, as another half of the cluster might have made it: same version, other table.
    let other = (*before).clone();
    let member = other.member("c").unwrap().clone();
    let other = ring_with_c_replaced(&other, member);
    let a = Process::node(world, "d").await;
    for process in &processes {
        process.sees(&["a", "b", "c", "d"]).await;
    }
    let agreed = processes[0].ring();
    assert_eq!(other.version(), agreed.version());
    world.overwrite(SERVICE, Stored::Record(sealed(&other, &keys()))).await;
    put_right(&processes, &agreed, 2).await;
    let conflicts: u64 = processes.iter().map(|process| process.keeper.status().counts.conflicts).sum();
    assert!(conflicts + a.keeper.status().counts.conflicts >= 1);
}

fn ring_with_c_replaced(ring: &Ring, member: Member) -> Ring {
    ring.join(Member { weight: member.weight * 2, state: MemberState::Active, ..member }).unwrap()
}

pub async fn a_new_process_waits_for_those_who_know(world: &dyn World) {
    let frail = Frail::new(world.store(SERVICE));
    let a = Process::node(world, "a").await;
    let knows = Process::start(frail.clone(), config(Role::Observer)).await.unwrap();
    knows.sees(&["a"]).await;
    let key = knows.ring().key();
    frail.cut(true);
    drop(a);
    world.flush().await;
    let store = world.store(SERVICE);
    assert!(store.absence_may_be_loss());
    let started = Instant::now();
    let (b, ()) = tokio::join!(Process::node(world, "b"), async {
        sleep(world.lease()).await;
        frail.cut(false);
    });
    assert!(started.elapsed() >= world.lease());
    assert_eq!(b.ring().key(), key, "the ring key of before");
    assert_eq!(b.ring().version().term, 2);

    // And with nobody who knows it makes a ring of its own, after two leases.
    drop((b, knows));
    world.flush().await;
    let started = Instant::now();
    let c = Process::node(world, "c").await;
    assert!(started.elapsed() >= 2 * world.lease());
    assert_eq!((c.ring().version().term, c.ring().version().number), (1, 1));
    assert_ne!(c.ring().key(), key);
}

pub async fn a_foreign_ring_is_left_alone(world: &dyn World) {
    let foreign = Stored::Record(sealed(&ring_of(SERVICE, &["x"]), &other_keys()));
    world.overwrite(SERVICE, foreign.clone()).await;
    for role in [Role::Observer, Role::Member(spec("a"))] {
        let config = KeeperConfig { initial_wait: 3 * world.lease(), ..config(role) };
        let error = Process::start(world.store(SERVICE), config).await.err().expect("refused");
        assert_eq!((error.code(), error.temporary()), ("ring_foreign", false), "{error}");
        assert!(world.store(SERVICE).read().await.unwrap() == foreign);
    }
}

pub async fn debris_does_not_stop_a_first_member(world: &dyn World) {
    world.overwrite(SERVICE, Stored::Record("debris".into())).await;
    let a = Process::node(world, "a").await;
    assert!(a.keeper.status().counts.ignored_records >= 1);
    let store = world.store(SERVICE);
    let stored = || async { store.read().await.unwrap() };
    assert!(stored().await == Stored::Record(a.keeper.sealed().unwrap()));
    let observer = Process::observer(world).await;
    observer.sees(&["a"]).await;
    let unharmed = || observer.keeper.status().counts.ignored_records == 0;
    until("a clean look", unharmed, || format!("{:?}", observer.keeper.status())).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
