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
    world.set_answering(false).await;
    let gone = |process: &Process| matches!(process.keeper.status().store, StoreReach::Unreachable { .. });
    let all_gone = || processes.iter().all(gone);
    until("everybody to notice", all_gone, || format!("{:?}", processes[0].keeper.status())).await;
    sleep(3 * world.lease()).await;
    assert!(processes.iter().all(|process| *process.ring() == *before), "the last view stays");
    world.set_answering(true).await;
    let all_back = || !processes.iter().any(gone);
    until("everybody to be back", all_back, || format!("{:?}", processes[0].keeper.status())).await;
    sleep(3 * world.lease()).await;
    for process in &processes {
        assert_eq!(*process.ring(), *before, "nobody was reaped, nobody registered again");
        assert!(process.keeper.status().counts.registrations <= 1);
    }
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
