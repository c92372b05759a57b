//! The conformance suite on Redis, a real server to each test, and what only Redis can do to us. Leases are real but
//! short.

#![allow(unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod conformance;
#[path = "redis_store/server.rs"]
mod server;
#[path = "redis_store/spoilt.rs"]
mod spoilt;
#[path = "redis_store/tls.rs"]
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Commands;
use ringdial_cluster::membership::{MembershipStore, Role, StoreReach, Stored};
use ringdial_cluster::store::{RedisConfig, RedisStore};
use tokio::time::sleep;

use self::conformance::World;
use self::conformance::support::{Process, SERVICE, config, holder, until, until_within};
use self::server::{Server, block_on};

const LEASE: Duration = Duration::from_millis(900);

struct Real {
    server: Server,
}

#[async_trait]
impl World for Real {
    fn lease(&self) -> Duration {
        LEASE
    }

    fn store(&self, service: &str) -> Arc<dyn MembershipStore> {
        connect(&self.server).membership(service, LEASE).unwrap()
    }

    async fn flush(&self) {
        let () = redis::cmd("FLUSHALL").query(&mut self.server.connection()).unwrap();
    }

    async fn overwrite(&self, service: &str, stored: Stored) {
        let (mut connection, key) = (self.server.connection(), format!("ringdial:{{{service}}}:ring"));
        // At once: who looks in between finds nothing, puts the ring back, and is a term further.
        let mut change = redis::pipe();
        change.atomic().del(&key).ignore();
        match stored {
            Stored::Absent => {}
            Stored::Record(record) => _ = change.set(&key, &record[..]),
            Stored::Oversized { bytes } => _ = change.set(&key, vec![b'x'; bytes as usize]),
            Stored::WrongType => _ = change.lpush(&key, "x"),
        }
        let () = change.query(&mut connection).unwrap();
    }

    async fn set_answering(&self, answering: bool) {
        self.server.signal(if answering { "-CONT" } else { "-STOP" });
    }
}

fn connect(server: &Server) -> RedisStore {
    RedisStore::connect(&RedisConfig::new(&server.url())).unwrap()
}

fn run<F>(scenario: F)
where
    F: for<'a> FnOnce(&'a dyn World) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
{
    block_on(async { scenario(&Real { server: Server::start(&[]) }).await });
}

conformance!(crate::run);

#[test]
fn a_server_that_restarts_empty_loses_nobody() {
    block_on(async {
        let mut world = Real { server: Server::start(&[]) };
        let processes = [
            Process::node(&world, "a").await,
            Process::node(&world, "b").await,
            Process::observer(&world).await,
        ];
        for process in &processes {
            process.sees(&["a", "b"]).await;
        }
        let before = processes[0].ring();
        world.server.kill();
        let gone =
            |process: &Process| matches!(process.keeper.status().store, StoreReach::Unreachable { .. });
        until("everybody to notice", || processes.iter().all(gone), || "some did not".to_owned()).await;
        sleep(2 * LEASE).await;
        assert!(processes.iter().all(|process| *process.ring() == *before), "the last view stays");
        world.server.restart();
        for process in &processes {
            process.sees_that("term 2", |ring| ring.version().term == 2).await;
            assert!(process.ring().members().eq(before.members()), "nobody was lost or registered again");
            assert_eq!(process.ring().key(), before.key());
        }
        until("everybody to be back", || !processes.iter().any(gone), || "some are not".to_owned()).await;
    });
}

#[test]
fn notices_are_heard_without_the_poll_and_after_a_broken_connection() {
    block_on(async {
        let server = Server::start(&[]);
        // Leases so long that no poll and no renewal comes to help.
        let lease = Duration::from_secs(600);
        let store = |store: RedisStore| store.membership(SERVICE, lease).unwrap();
        let observer = Process::start(store(connect(&server)), config(Role::Observer)).await.unwrap();
        // Nothing else makes a ring at once in a store that may have lost one.
        let sample = conformance::support::Sample::of(&["a"]);
        sample.put(&*store(connect(&server))).await;
        // Sooner than subscriptions are made again.
        let soon = async |ids: &[&str]| {
            let seen = || observer.ids() == ids;
            until_within(Duration::from_secs(5), "a notice", seen, || format!("{:?}", observer.ids())).await;
        };
        soon(&["a"]).await;
        for round in 0..3 {
            let id = format!("n{round}");
            let role = Role::Member(conformance::support::spec(&id));
            let node = Process::start(store(connect(&server)), config(role)).await.unwrap();
            soon(&["a", &id]).await;
            node.keeper.leave().await.unwrap();
            soon(&["a"]).await;
            let () = redis::cmd("CLIENT")
                .arg("KILL")
                .arg("TYPE")
                .arg("pubsub")
                .query(&mut server.connection())
                .unwrap();
        }
    });
}

#[test]
fn a_server_that_was_silent_for_a_moment_keeps_its_connection() {
    block_on(async {
        let server = Server::start(&[]);
        let store = connect(&server).membership(SERVICE, LEASE).unwrap();
        store.poll(None).await.unwrap();
        let mut connection = server.connection();
        let mut connections = || {
            let stats: redis::InfoDict = redis::cmd("INFO").arg("stats").query(&mut connection).unwrap();
            stats.get::<u64>("total_connections_received").unwrap()
        };
        let before = connections();
        // A server that was not asked for long was not silent for long.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        server.signal("-STOP");
        // Who begins to listen has the connection looked at: neither that nor the poll is answered.
        let _notices = store.notices();
        let error = store.poll(None).await.unwrap_err();
        server.signal("-CONT");
        assert_eq!(error.code(), "store_timeout");
        while store.poll(None).await.is_err() {}
        assert_eq!(connections(), before);
    });
}

#[test]
fn scripts_that_the_server_forgot_are_sent_again() {
    block_on(async {
        let server = Server::start(&[]);
        let store = connect(&server).membership(SERVICE, LEASE).unwrap();
        store.poll(None).await.unwrap();
        let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut server.connection()).unwrap();
        store.poll(None).await.unwrap();
        store.renew(holder("a")).await.unwrap();
    });
}

#[test]
fn a_spoilt_state_does_not_stop_generations() {
    block_on(async {
        let server = Server::start(&[]);
        let store = connect(&server).membership(SERVICE, LEASE).unwrap();
        let mut last = store.next_generation(0).await.unwrap();
        let key = format!("ringdial:{{{SERVICE}}}:state");
        for junk in ["junk", "nan", "inf", "1e300", "-5", "9007199254740993", ""] {
            let () = server.connection().hset(&key, "generation", junk).unwrap();
            let () = server.connection().hset(&key, "sign", junk).unwrap();
            let next = store.next_generation(last).await.unwrap();
            assert!(next > last && next < 1 << 52, "{junk}: {next}");
            last = next;
            store.poll(None).await.unwrap();
        }
    });
}

#[test]
fn a_wrong_password_is_told_at_once_and_shown_to_nobody() {
    block_on(async {
        let server = Server::start(&["--requirepass", "correct horse"]);
        for url in [format!("redis://:hunter2@127.0.0.1:{}", server.port), server.url()] {
            let store = RedisStore::connect(&RedisConfig::new(&url)).unwrap();
            let store = store.membership(SERVICE, LEASE).unwrap();
            let error = Process::start(store, config(Role::Observer)).await.err().expect("denied");
            assert_eq!((error.code(), error.temporary()), ("store_denied", false), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let url = format!("redis://:correct%20horse@127.0.0.1:{}", server.port);
        let store = RedisStore::connect(&RedisConfig::new(&url)).unwrap();
        store.membership(SERVICE, LEASE).unwrap().poll(None).await.unwrap();
    });
}

#[test]
fn a_server_without_memory_is_a_temporary_failure() {
    block_on(async {
        let world = Real { server: Server::start(&[]) };
        let a = Process::node(&world, "a").await;
        let ring = a.ring();
        let mut connection = world.server.connection();
        let () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).query(&mut connection).unwrap();
        let full =
            || matches!(a.keeper.status().store, StoreReach::Unreachable { code: "store_not_ready", .. });
        until("the keeper to notice", full, || format!("{:?}", a.keeper.status())).await;
        sleep(2 * LEASE).await;
        let () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "0"]).query(&mut connection).unwrap();
        until("the keeper to be back", || !full(), || format!("{:?}", a.keeper.status())).await;
        sleep(2 * LEASE).await;
        assert_eq!(*a.ring(), *ring, "its lease was not lapsed meanwhile");
    });
}

#[test]
fn no_server_is_told_at_once_by_each_operation() {
    block_on(async {
        let mut server = Server::start(&[]);
        server.kill();
        let store = connect(&server).membership(SERVICE, LEASE).unwrap();
        let started = std::time::Instant::now();
        for _ in 0..20 {
            let error = store.poll(None).await.unwrap_err();
            assert_eq!((error.code(), error.temporary()), ("store_unreachable", true), "{error}");
            assert!(error.to_string().contains(&server.port.to_string()), "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        server.restart();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while store.poll(None).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "not back");
            sleep(Duration::from_millis(20)).await;
        }
    });
}
