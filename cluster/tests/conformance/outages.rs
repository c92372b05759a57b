//! Stores that do not answer: the last view stays, and nobody is blamed for what nobody could do.

use ringdial_cluster::membership::{KeeperConfig, Role, StoreReach};
use tokio::time::{Instant, sleep};

use super::World;
use super::support::{Process, SERVICE, config, spec, until};

pub async fn a_store_that_stalls_loses_nobody(world: &dyn World) {
    let processes = [
        Process::node(world, "a").await,
        Process::node(world, "b").await,
        Process::node(world, "c").await,
        Process::observer(world).await,
    ];
    for process in &processes {
        process.sees(&["a", "b", "c"]).await;
    }
    let before = processes[0].ring();
    let stalls = |processes: &[Process]| -> u64 {
        processes.iter().map(|process| process.keeper.status().counts.stalls).sum()
    };
    let stalls_before = stalls(&processes);
    world.set_answering(false).await;
    let gone = |process: &Process| matches!(process.keeper.status().store, StoreReach::Unreachable { .. });
    let all_gone = || processes.iter().all(gone);
    until("everybody to notice", all_gone, || format!("{:?}", processes[0].keeper.status())).await;
    // Ten seconds, where a lease is three.
    sleep(world.lease() * 10 / 3).await;
    assert!(processes.iter().all(|process| *process.ring() == *before), "the last view stays");
    world.set_answering(true).await;
    let all_back = || !processes.iter().any(gone);
    until("everybody to be back", all_back, || format!("{:?}", processes[0].keeper.status())).await;
    sleep(3 * world.lease()).await;
    for process in &processes {
        assert_eq!(*process.ring(), *before, "nobody was reaped, nobody registered again");
        assert!(process.keeper.status().counts.registrations <= 1);
        assert!(process.keeper.status().counts.store_errors > 0);
    }
    assert!(stalls(&processes) > stalls_before, "it is on a metric");
}

pub async fn a_start_without_a_store_fails_in_the_end(world: &dyn World) {
    world.set_answering(false).await;
    for role in [Role::Observer, Role::Member(spec("a"))] {
        let config = KeeperConfig { initial_wait: 2 * world.lease(), ..config(role) };
        let started = Instant::now();
        let error = Process::start(world.store(SERVICE), config).await.err().expect("no store");
        assert!(error.code().starts_with("store_") && error.temporary(), "{error}");
        assert!(started.elapsed() >= 2 * world.lease());
    }
    world.set_answering(true).await;
    let a = Process::node(world, "a").await;
    a.sees(&["a"]).await;
}

pub async fn who_died_in_a_stall_is_taken_out_after_it(world: &dyn World) {
    let mut processes = Vec::new();
    for id in ["a", "b", "c", "d"] {
        processes.push(Process::node(world, id).await);
    }
    for process in &processes {
        process.sees(&["a", "b", "c", "d"]).await;
    }
    let before = processes[0].ring();
    world.set_answering(false).await;
    sleep(world.lease()).await;
    drop(processes.pop());
    for process in &processes {
        let generation = before.member("d").unwrap().generation;
        process.keeper.suspect("d", generation);
    }
    sleep(world.lease() * 2).await;
    assert!(processes.iter().all(|process| process.keeper.suspects().borrow().len() == 1));
    world.set_answering(true).await;
    for process in &processes {
        process.sees(&["a", "b", "c"]).await;
    }
    assert_eq!(processes[0].ring().version().number, before.version().number + 1, "one was, and once");
    assert!(processes.iter().all(|process| process.keeper.status().counts.registrations == 1));
}

pub async fn flapping_says_nothing_new(world: &dyn World) {
    let processes =
        [Process::node(world, "a").await, Process::node(world, "b").await, Process::observer(world).await];
    // A third member, so that one who flaps caps no lease.
    let c = Process::node(world, "c").await;
    for process in processes.iter().chain([&c]) {
        process.sees(&["a", "b", "c"]).await;
    }
    let before = processes[0].ring();
    let (mut view, generation) = (processes[2].keeper.view(), processes[1].generation().unwrap());
    view.mark_unchanged();
    for _ in 0..5 {
        for process in [&processes[0], &processes[2]] {
            process.keeper.suspect("b", generation);
        }
        sleep(world.lease() / 3).await;
        for process in [&processes[0], &processes[2]] {
            process.keeper.trust("b", generation);
        }
        sleep(world.lease() / 3).await;
    }
    let quiet = || processes.iter().all(|process| process.keeper.suspects().borrow().is_empty());
    until("nobody suspected", quiet, || "somebody is".to_owned()).await;
    assert!(!view.has_changed().unwrap(), "the ring changed");
    assert_eq!(*processes[1].ring(), *before);
    assert_eq!(processes[1].keeper.status().counts.registrations, 1, "it renewed all the time");
}

pub async fn a_node_that_comes_and_goes_changes_the_ring_each_time_and_no_more(world: &dyn World) {
    let (a, observer) = (Process::node(world, "a").await, Process::observer(world).await);
    let mut number = a.ring().version().number;
    for _ in 0..4 {
        let b = Process::node(world, "b").await;
        observer.sees(&["a", "b"]).await;
        sleep(world.lease() / 3).await;
        b.keeper.leave().await.unwrap();
        observer.sees(&["a"]).await;
        sleep(world.lease() / 3).await;
        number += 2;
        assert_eq!(observer.ring().version().number, number);
    }
    let places = observer.ring().members().map(|member| member.generation).collect::<Vec<_>>();
    assert_eq!(Some(places[0]), a.generation(), "who stays has its first registration");
    assert_eq!(a.keeper.status().counts.registrations, 1);
}

pub async fn who_was_capped_before_a_stall_is_capped_again_after_it(world: &dyn World) {
    let (a, b) = (Process::node(world, "a").await, Process::node(world, "b").await);
    a.sees(&["a", "b"]).await;
    let generation = a.ring().member("b").unwrap().generation;
    drop(b);
    a.keeper.suspect("b", generation);
    let caps = || a.keeper.status().counts.capped;
    until("the cap", || caps() == 1, || format!("{} caps", caps())).await;
    world.set_answering(false).await;
    sleep(world.lease()).await;
    if a.ids() == ["a"] {
        // The stall came too late, on a busy machine: the lease had lapsed.
        return;
    }
    world.set_answering(true).await;
    a.sees(&["a"]).await;
    assert!(caps() > 1, "it had a whole lease once more");
}
