//! Redis with replicas: a primary that becomes one is left, and appends wait for them where that is wanted.

#![allow(unreachable_pub, dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod log;
#[path = "redis_store/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use ringdial_cluster::log::{Cursor, Log, Open, ReadRequest};
use ringdial_cluster::store::{RedisConfig, RedisStore};

use self::log::support::*;
use self::server::{Server, block_on};

fn connect(server: &Server, wait_replicas: u32) -> Arc<dyn Log> {
    let config = RedisConfig { wait_replicas, ..RedisConfig::new(&server.url()) };
    RedisStore::connect(&config).unwrap().log(SERVICE, log::config()).unwrap()
}

/// Makes a server the replica of this one, or a primary.
fn follow(server: &Server, primary: Option<&Server>) {
    let (host, port) = primary.map_or(("NO".to_owned(), "ONE".to_owned()), |primary| {
        ("127.0.0.1".into(), primary.port.to_string())
    });
    let () = redis::cmd("REPLICAOF").arg(host).arg(port).query(&mut server.connection()).unwrap();
}

/// What `INFO` says of a server's replication.
fn info(server: &Server, field: &str) -> String {
    let text: String = redis::cmd("INFO").arg("replication").query(&mut server.connection()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().to_owned()
}

/// A replica that has everything its primary has.
async fn replica_of(primary: &Server) -> Server {
    let replica = Server::start(&["--repl-diskless-sync-delay", "0"]);
    follow(&replica, Some(primary));
    // One that has just been copied may be silent for a second.
    let quick = || {
        let mut connection = primary.connection();
        (0..10).all(|_| {
            let mut writing = redis::pipe();
            writing.cmd("SET").arg("x").arg("x").ignore().cmd("WAIT").arg(1).arg(100);
            writing.query::<(u32,)>(&mut connection).unwrap() == (1,)
        })
    };
    until("the replica to follow", || async { quick() }).await;
    replica
}

#[test]
fn a_primary_that_becomes_a_replica_is_left_until_there_is_one_again() {
    block_on(async {
        let server = Server::start(&[]);
        let other = Server::start(&["--repl-diskless-sync-delay", "0"]);
        let log = connect(&server, 0);
        let mut interruptions = log.interruptions();
        let before = add(&*log, home("u:a"), keyed("a", "k", "x")).await.position;
        let clients = || -> usize {
            let text: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.connection()).unwrap();
            text.lines().filter(|line| line.contains("resp=3")).count()
        };
        // The store that the log is of is dropped already; its connection, if it got as far as that, may be open still.
        until("the log's own connection alone", || async { clients() == 1 }).await;

        let started = std::time::Instant::now();
        follow(&server, Some(&other));
        let refused = append(&*log, home("u:a"), plenty(), &[plain("y")]).await.unwrap_err();
        assert_eq!((refused.code(), refused.temporary()), ("log_unavailable", true), "{refused}");
        // Where a name led to the new primary, it would be found now.
        until("the connection to be given up", || async { clients() == 0 }).await;
        assert!(started.elapsed() < Duration::from_secs(4), "at once, and not when it is looked at");
        until("it to be a replica", || async { info(&server, "master_link_status") == "up" }).await;
        until("the replica to be refused", || async {
            let touched = log.touch(&[topic("u:a")]).await.remove(0);
            touched.is_err_and(|error| error.to_string().contains("is a replica"))
        })
        .await;
        assert!(!interruptions.has_changed().unwrap(), "not before there is a primary");

        follow(&server, None);
        let told = tokio::time::timeout(Duration::from_secs(20), interruptions.changed()).await;
        told.expect("a notice").unwrap();
        let known = Open { known: Some(before), ..home("u:a") };
        let opened = open(&*log, known).await.unwrap();
        // The other one, which it followed, held nothing.
        assert_ne!(opened.position.epoch, before.epoch);
    });
}

#[test]
fn who_only_reads_leaves_a_replica_too() {
    block_on(async {
        let (server, other) = (Server::start(&[]), Server::start(&[]));
        let log = connect(&server, 0);
        read(&*log, "u:a", None, Cursor::After(0)).await;
        follow(&server, Some(&other));
        let refused = || async {
            let request = ReadRequest {
                topic: topic("u:a"),
                epoch: None,
                cursor: Cursor::After(0),
                count_max: 1,
                bytes_max: 1,
            };
            log.read(&request).await.is_err_and(|error| error.to_string().contains("is a replica"))
        };
        until("reading to be refused", refused).await;
    });
}

#[test]
fn appends_are_confirmed_when_so_many_replicas_have_them() {
    block_on(async {
        let primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
        let (easy, strict) = (connect(&primary, 0), connect(&primary, 1));
        let alone = append(&*strict, home("u:a"), plenty(), &[keyed("a", "k", "x")]).await.unwrap_err();
        assert_eq!((alone.code(), alone.temporary()), ("log_unavailable", true), "{alone}");
        assert!(alone.to_string().contains("0 of 1 replicas"), "{alone}");

        let replica = replica_of(&primary).await;
        let added = add(&*strict, home("u:a"), keyed("a", "k", "x")).await;
        assert_eq!((added.position.offset, added.repeated), (1, true), "stored then, and confirmed now");
        let next = add(&*strict, home("u:a"), plain("y")).await;
        assert_eq!(next.position.offset, 2);

        replica.signal("-STOP");
        add(&*easy, home("u:a"), plain("z")).await;
        let silent = append(&*strict, home("u:a"), plenty(), &[keyed("a", "l", "w")]).await.unwrap_err();
        assert!(silent.to_string().contains("0 of 1 replicas"), "{silent}");
        // On a connection that has written nothing yet, what is only repeated is not in the replica either.
        let other = connect(&primary, 1);
        let again = append(&*other, home("u:a"), plenty(), &[keyed("a", "l", "w")]).await.unwrap_err();
        assert!(again.to_string().contains("0 of 1 replicas"), "{again}");
        replica.signal("-CONT");
        let strict = &strict;
        until("the replica to be back", || async move {
            append(&**strict, home("u:a"), plenty(), &[keyed("a", "l", "w")]).await.is_ok()
        })
        .await;
        assert_eq!(offsets(&all(&**strict, "u:a").await), [1, 2, 3, 4]);
    });
}

#[test]
fn readers_do_not_wait_for_replicas() {
    block_on(async {
        let primary = Server::start(&[]);
        let log = connect(&primary, 1);
        add(&*connect(&primary, 0), home("u:a"), plain("x")).await;
        let appending = async {
            for number in 0..3 {
                append(&*log, home(&format!("g:{number}")), plenty(), &[plain("y")]).await.unwrap_err();
            }
        };
        let reading = async {
            let started = std::time::Instant::now();
            for _ in 0..20 {
                assert_eq!(offsets(&page(read(&*log, "u:a", None, Cursor::After(0)).await)), [1]);
            }
            started.elapsed()
        };
        let ((), took) = futures_util::future::join(appending, reading).await;
        assert!(took < Duration::from_millis(400), "{took:?}: behind at least one wait of 200 ms for each");
    });
}

#[test]
fn scripts_that_the_server_forgot_are_waited_for_as_well() {
    block_on(async {
        let primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
        let (log, replica) = (connect(&primary, 1), replica_of(&primary).await);
        add(&*log, home("u:a"), plain("x")).await;
        let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut primary.connection()).unwrap();
        replica.signal("-STOP");
        append(&*log, home("u:a"), plenty(), &[plain("y")]).await.unwrap_err();
        replica.signal("-CONT");
        let log = &log;
        until("the replica to be back", || async move {
            append(&**log, home("u:a"), plenty(), &[plain("y")]).await.is_ok()
        })
        .await;
    });
}
