//! Keepers whose members seem dead to each other: some are, some are not.

use ringdial_cluster::membership::{Keeper, Role};
use tokio::time::{Instant, sleep};

use super::World;
use super::support::{Frail, Process, SERVICE, config, spec, until};

fn suspects(process: &Process) -> Vec<String> {
    process.keeper.suspects().borrow().iter().map(|(id, _)| id.to_owned()).collect()
}

async fn suspects_only(process: &Process, ids: &[&str]) {
    let found = || format!("{:?}", suspects(process));
    until(&format!("suspects {ids:?}"), || suspects(process) == ids, found).await;
}

/// What a link does that broke and is refused.
fn suspect(keeper: &Keeper, id: &str) -> u64 {
    let generation = keeper.ring().unwrap().member(id).unwrap().generation;
    keeper.suspect(id, generation);
    generation
}

async fn nodes<const N: usize>(world: &dyn World, ids: [&str; N]) -> Vec<Process> {
    let mut processes = Vec::new();
    for id in ids {
        processes.push(Process::node(world, id).await);
    }
    for process in &processes {
        process.sees(&ids).await;
    }
    processes
}

pub async fn a_saying_counts_at_once_and_without_a_store(world: &dyn World) {
    let frail = Frail::new(world.store(SERVICE));
    let a = Process::node(world, "a").await;
    let observer = Process::start(frail.clone(), config(Role::Observer)).await.unwrap();
    observer.sees(&["a"]).await;
    assert!(observer.keeper.suspects().borrow().is_empty());
    frail.cut(true);
    let mut watched = observer.keeper.suspects();
    let generation = suspect(&observer.keeper, "a");
    assert!(watched.has_changed().unwrap());
    let ring = observer.ring();
    assert!(watched.borrow_and_update().contains(ring.member("a").unwrap()));
    observer.keeper.suspect("a", generation);
    assert!(!watched.has_changed().unwrap(), "nothing new");
    observer.keeper.suspect("a", generation + 1);
    observer.keeper.suspect("stranger", 1);
    assert_eq!(suspects(&observer), ["a"]);
    assert_eq!(observer.keeper.status().counts.suspicions, 1);
    sleep(3 * world.lease()).await;
    assert_eq!(suspects(&observer), ["a"], "as long as nobody knows better");
    observer.keeper.trust("a", generation);
    assert!(suspects(&observer).is_empty());
    drop(a);
}

pub async fn everybody_hears_who_seems_dead(world: &dyn World) {
    let mut processes = nodes(world, ["a", "b", "c", "d", "e"]).await;
    let observer = Process::observer(world).await;
    observer.sees(&["a", "b", "c", "d", "e"]).await;
    let version = observer.ring().version();
    drop(processes.pop());
    let generation = suspect(&processes[0].keeper, "e");
    suspect(&observer.keeper, "d");
    for process in processes.iter().take(3).chain([&observer]) {
        let hears = || suspects(process).contains(&"e".to_owned());
        until("to hear of e", hears, || format!("{:?}", suspects(process))).await;
    }
    assert_eq!(observer.ring().version(), version, "a suspicion changes no ring");
    processes[0].keeper.trust("e", generation);
    // Said and taken back, or reaped meanwhile, on a slow machine: nobody suspects it.
    for process in processes.iter().chain([&observer]) {
        suspects_only(process, &[]).await;
    }
}

pub async fn a_living_suspect_proves_alive(world: &dyn World) {
    // One of two others, so that its lease is not capped.
    let processes = nodes(world, ["a", "b", "c"]).await;
    let version = processes[0].ring().version();
    let generation = suspect(&processes[0].keeper, "b");
    let refuted = || processes[0].keeper.status().counts.refuted == 1;
    until("a renewal", refuted, || format!("{:?}", processes[0].keeper.status())).await;
    for process in &processes {
        suspects_only(process, &[]).await;
    }
    processes[0].keeper.trust("b", generation);
    sleep(2 * world.lease()).await;
    assert_eq!(processes[0].ring().version(), version, "its lease runs on");
    assert_eq!(processes[1].generation(), Some(generation));
}

pub async fn a_member_that_most_suspect_is_taken_out_soon(world: &dyn World) {
    let mut processes = nodes(world, ["a", "b", "c"]).await;
    let observer = Process::observer(world).await;
    observer.sees(&["a", "b", "c"]).await;
    drop(processes.pop());
    for process in processes.iter().chain([&observer]) {
        suspect(&process.keeper, "c");
    }
    for process in processes.iter().chain([&observer]) {
        process.sees(&["a", "b"]).await;
    }
    for process in processes.iter().chain([&observer]) {
        suspects_only(process, &[]).await;
    }
    let capped: u64 = processes.iter().map(|process| process.keeper.status().counts.capped).sum();
    assert_eq!(capped, 1);
    assert_eq!(observer.ring().version().number, 4);
}

pub async fn observers_alone_take_nobody_out(world: &dyn World) {
    let mut processes = nodes(world, ["a", "b", "c"]).await;
    let observers = [Process::observer(world).await, Process::observer(world).await];
    for observer in &observers {
        observer.sees(&["a", "b", "c"]).await;
    }
    drop(processes.pop());
    for observer in &observers {
        suspect(&observer.keeper, "c");
    }
    suspect(&processes[0].keeper, "c");
    processes[1].sees(&["a", "b"]).await;
    // Its lease has lapsed, and was not capped.
    let capped = |process: &Process| process.keeper.status().counts.capped;
    assert_eq!(processes.iter().chain(&observers).map(capped).sum::<u64>(), 0);
}

pub async fn what_was_said_without_a_store_is_told_when_it_is_back(world: &dyn World) {
    let mut processes = nodes(world, ["b", "c"]).await;
    let frail = Frail::new(world.store(SERVICE));
    let a = Process::start(frail.clone(), config(Role::Member(spec("a")))).await.unwrap();
    for process in processes.iter().chain([&a]) {
        process.sees(&["a", "b", "c"]).await;
    }
    frail.cut(true);
    sleep(world.lease() / 5).await;
    drop(processes.pop());
    suspect(&a.keeper, "c");
    assert!(suspects(&processes[0]).is_empty());
    frail.cut(false);
    let hears = || suspects(&processes[0]) == ["c"] || processes[0].ids() == ["a", "b"];
    until("b to hear of c", hears, || format!("{:?}", suspects(&processes[0]))).await;
    processes[0].sees(&["a", "b"]).await;
}

pub async fn what_others_said_is_believed_while_the_store_can_refute_it(world: &dyn World) {
    let mut processes = nodes(world, ["a", "b", "c", "d"]).await;
    let frail = Frail::new(world.store(SERVICE));
    let observer = Process::start(frail.clone(), config(Role::Observer)).await.unwrap();
    observer.sees(&["a", "b", "c", "d"]).await;
    drop(processes.pop());
    suspect(&processes[0].keeper, "d");
    suspects_only(&observer, &["d"]).await;
    frail.cut(true);
    let cut = Instant::now();
    suspects_only(&observer, &[]).await;
    assert!(cut.elapsed() >= world.lease(), "too soon: {:?}", cut.elapsed());
    assert_eq!(observer.ids(), ["a", "b", "c", "d"], "the last view stays");
    suspect(&observer.keeper, "d");
    sleep(world.lease() * 3).await;
    assert_eq!(suspects(&observer), ["d"], "what it says itself stays");
}

pub async fn a_flush_does_not_clear_a_dead_members_name(world: &dyn World) {
    let mut processes = nodes(world, ["a", "b", "c", "d"]).await;
    drop(processes.pop());
    suspect(&processes[0].keeper, "d");
    suspects_only(&processes[1], &["d"]).await;
    world.flush().await;
    for process in &processes {
        process.sees_that("term 2", |ring| ring.version().term == 2).await;
    }
    // Its lease is a new one, nobody knows of its death but who said so.
    assert_eq!(suspects(&processes[0]), ["d"]);
    suspects_only(&processes[1], &["d"]).await;
    assert_eq!(processes[0].keeper.status().counts.refuted, 0);
    processes[0].sees(&["a", "b", "c"]).await;
}

pub async fn observers_know_how_many_they_are(world: &dyn World) {
    let a = Process::node(world, "a").await;
    assert_eq!(a.keeper.observers(), 1, "never less");
    let first = Process::observer(world).await;
    let second = Process::observer(world).await;
    for process in [&a, &first, &second] {
        let two = || process.keeper.observers() == 2;
        until("two observers", two, || process.keeper.observers().to_string()).await;
    }
    drop(second);
    let one = || first.keeper.observers() == 1;
    until("one observer", one, || first.keeper.observers().to_string()).await;
}
