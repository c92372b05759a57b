//! Keys of ours in which somebody else has written: what is of another type is thrown away, what is of the right type and
//! makes no sense is passed over. Nobody is lost, and it is on a metric.

use std::time::Duration;

use redis::Commands;
use ringdial_cluster::membership::{LeaseHolder, Sayer};
use tokio::time::sleep;

use super::conformance::World;
use super::conformance::support::{Process, SERVICE, holder, until};
use super::server::block_on;
use super::{LEASE, Real, Server};

/// All keys but the record, which the conformance suite spoils.
const PARTS: [&str; 5] = ["leases", "generations", "state", "suspects", "observers"];

/// A command for each type of keys, the key left out.
const FILLS: [&[&str]; 6] = [
    &["SET", "junk"],
    &["RPUSH", "junk"],
    &["SADD", "junk"],
    &["HSET", "junk", "junk"],
    &["ZADD", "inf", "junk"],
    &["XADD", "*", "junk", "junk"],
];

fn key(part: &str) -> String {
    format!("ringdial:{{{SERVICE}}}:{part}")
}

async fn cluster(world: &Real) -> [Process; 3] {
    let processes =
        [Process::node(world, "a").await, Process::node(world, "b").await, Process::observer(world).await];
    for process in &processes {
        process.sees(&["a", "b"]).await;
    }
    processes
}

/// Both members have leases, nobody is suspected, and one observer counted, by the store and by everybody.
async fn is_well(world: &Real, processes: &[Process]) {
    let store = world.store(SERVICE);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let pulse = store.poll(None).await.unwrap();
        if (pulse.leases, pulse.lapsed, pulse.suspects.len(), pulse.observers) == (2, 0, 0, 1) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{pulse:?}");
        sleep(Duration::from_millis(20)).await;
    }
    for process in processes {
        process.sees(&["a", "b"]).await;
        let well = || process.keeper.suspects().borrow().is_empty() && process.keeper.observers() == 1;
        until("nobody suspected", well, || format!("{:?}", process.keeper.suspects().borrow())).await;
        assert!(process.keeper.failure().borrow().is_none());
    }
}

#[test]
fn own_keys_of_another_type_are_mended() {
    block_on(async {
        let world = Real { server: Server::start(&[]) };
        let processes = cluster(&world).await;
        let before = processes[0].ring();
        let mut connection = world.server.connection();
        let mended = || {
            let counts = processes.iter().map(|process| process.keeper.status().counts);
            counts.map(|counts| counts.mended).min().unwrap_or_default()
        };
        for fill in FILLS {
            let (before, mut pipeline) = (mended(), redis::pipe());
            for key in PARTS.map(key) {
                let (command, arguments) = fill.split_first().unwrap();
                pipeline.del(&key).ignore().cmd(command).arg(&key).arg(arguments).ignore();
            }
            // Again and again, as a process tells nothing of what was mended before its first poll.
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while mended() == before {
                assert!(std::time::Instant::now() < deadline, "not everybody was told");
                let () = pipeline.query(&mut connection).unwrap();
                sleep(LEASE).await;
            }
            is_well(&world, &processes).await;
        }
        assert_eq!(processes[0].ring().key(), before.key());
        assert_eq!(processes[0].ring().version().term, 1, "the ring itself was never in question");
        assert_eq!(processes[0].ring().signature(), before.signature(), "every slot is where it was");
    });
}

#[test]
fn nonsense_in_own_keys_is_passed_over() {
    block_on(async {
        let world = Real { server: Server::start(&[]) };
        let mut processes = Vec::from(cluster(&world).await);
        let before = processes[0].ring();
        let (a, b) = (processes[0].generation().unwrap(), processes[1].generation().unwrap());
        let mut connection = world.server.connection();
        let junk = ["junk", "", "nan", "inf", "-inf", "1e300", "-5", "\n", "9007199254740993", "1,1,1;2,2"];
        for junk in junk {
            let mut pipeline = redis::pipe();
            for field in ["sign", "claim", "turn", "reaped", "stalled", "mended", "generation"] {
                pipeline.hset(key("state"), field, junk).ignore();
            }
            pipeline.hset(key("suspects"), "a", junk).ignore();
            pipeline.hset(key("suspects"), "b", format!("{b},1")).ignore();
            pipeline.hset(key("suspects"), "stranger", "1,1\nmstranger\n").ignore();
            pipeline.hset(key("suspects"), &b"\xff\x00"[..], "1,1\nx\n").ignore();
            pipeline.hset(key("generations"), "stranger", junk).ignore();
            pipeline
                .zadd(key("leases"), "stranger", "inf")
                .zadd(key("leases"), &b"\xff"[..], "-inf")
                .ignore();
            for score in ["inf", "-inf", "1e300", "0"] {
                pipeline.zadd(key("observers"), format!("stranger{score}"), score).ignore();
            }
            let () = pipeline.query(&mut connection).unwrap();
            is_well(&world, &processes).await;
        }
        let observers = world.server.url();
        let count = || {
            let client = redis::Client::open(observers.as_str()).unwrap();
            client.get_connection().unwrap().zcard::<_, u64>(key("observers")).unwrap()
        };
        until("strangers to be thrown away", || count() == 1, || count().to_string()).await;
        assert_eq!(*processes[0].ring(), *before, "nobody was lost or registered again");
        assert_eq!((processes[0].generation(), processes[1].generation()), (Some(a), Some(b)));

        // More suspects than there can be members, of whom two are real.
        let mut pipeline = redis::pipe();
        for number in 0..5_000 {
            pipeline.hset(key("suspects"), format!("stranger{number}"), "1,1\nmstranger\n").ignore();
        }
        let () = pipeline.query(&mut connection).unwrap();
        is_well(&world, &processes).await;

        // A lease that would never end: its holder dies all the same.
        drop(processes.remove(1));
        let () = connection.zadd(key("leases"), "b", "inf").unwrap();
        for process in &processes {
            process.sees(&["a"]).await;
        }
    });
}

#[test]
fn forged_suspicions_end_with_a_renewal() {
    block_on(async {
        let world = Real { server: Server::start(&[]) };
        let store = world.store(SERVICE);
        super::conformance::support::Sample::of(&["a", "b", "c", "d"]).put(&*store).await;
        let mut connection = world.server.connection();
        let () = connection.hset(key("suspects"), "d", "1,0\nmstranger\nma\nmb\n\n\nm\no\n").unwrap();
        assert_eq!(store.poll(None).await.unwrap().suspects.len(), 1);
        // It counts as it stands: who can write the store can end leases too.
        let by = Sayer::Member(LeaseHolder { id: "a", generation: 1 });
        store.suspect(by, &[holder("d")], &[]).await.unwrap();
        if store.renew(holder("d")).await.unwrap().held {
            assert!(store.poll(None).await.unwrap().suspects.is_empty());
        }
        sleep(LEASE / 10).await;
    });
}
