//! The log's conformance suite on Redis, a real server to each test, and what only Redis can do to us.

#![allow(unreachable_pub, dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod log;
#[path = "redis_store/server.rs"]
mod server;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use redis::Commands;
use ringdial_cluster::log::{Append, Log, Message, Open, Retention};
use ringdial_cluster::store::{RedisConfig, RedisStore};

use self::log::World;
use self::log::support::*;
use self::server::{Server, block_on};

struct Real {
    server: Server,
    copy: Mutex<Vec<(String, i64, Vec<u8>)>>,
}

#[async_trait]
impl World for Real {
    fn log(&self) -> Arc<dyn Log> {
        connect(&self.server)
    }

    async fn flush(&self) {
        let () = redis::cmd("FLUSHALL").query(&mut self.server.connection()).unwrap();
    }

    async fn copy(&self) {
        let mut connection = self.server.connection();
        let keys: Vec<String> = connection.keys("*").unwrap();
        let one = |key: String| {
            let (left, bytes) =
                redis::pipe().pttl(&key).cmd("DUMP").arg(&key).query(&mut connection).unwrap();
            (key, left, bytes)
        };
        *self.copy.lock().unwrap() = keys.into_iter().map(one).collect();
    }

    async fn restore(&self) {
        let mut connection = self.server.connection();
        let () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
        for (key, left, bytes) in self.copy.lock().unwrap().iter() {
            let () = redis::cmd("RESTORE").arg(key).arg(left).arg(bytes).query(&mut connection).unwrap();
        }
    }

    async fn set_answers_lost(&self, lost: bool) {
        self.server.signal(if lost { "-STOP" } else { "-CONT" });
    }
}

fn connect(server: &Server) -> Arc<dyn Log> {
    RedisStore::connect(&RedisConfig::new(&server.url())).unwrap().log(SERVICE, log::config()).unwrap()
}

fn run<F>(scenario: F)
where
    F: for<'a> FnOnce(&'a dyn World) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
{
    block_on(async { scenario(&Real { server: Server::start(&[]), copy: Mutex::default() }).await });
}

log_conformance!(crate::run);

fn key(part: &str, name: &str) -> String {
    format!("ringdial:{{{SERVICE}/{}}}:{part}:{name}", topic(name).slot)
}

/// Replaces one of the words that are known of a topic.
fn spoil(connection: &mut redis::Connection, name: &str, field: usize, junk: &str) {
    let text: String = connection.get(key("topic", name)).unwrap();
    let mut words: Vec<&str> = text.split(' ').collect();
    words[field] = junk;
    let () = connection.set(key("topic", name), words.join(" ")).unwrap();
}

#[test]
fn scripts_that_the_server_forgot_are_sent_again() {
    block_on(async {
        let server = Server::start(&[]);
        let log = connect(&server);
        let names: Vec<String> = (0..50).map(|number| format!("g:{number}")).collect();
        for round in 1..=3 {
            let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut server.connection()).unwrap();
            let messages = [plain("x"), plain("y")];
            let append = |name| Append { open: home(name), retention: plenty(), messages: &messages };
            let appends: Vec<Append> = names.iter().map(|name| append(name)).collect();
            for answer in log.append(&appends).await {
                assert_eq!(fates(&answer.unwrap()), [Ok((round * 2 - 1, false)), Ok((round * 2, false))]);
            }
            assert_eq!(all(&*log, "g:7").await.entries.len() as u64, round * 2);
        }
    });
}

#[test]
fn a_restart_with_its_data_loses_nothing_and_one_without_begins_anew() {
    block_on(async {
        for (persistent, offset) in [(true, 2), (false, 1)] {
            let keeping: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
            let mut server = Server::start(if persistent { keeping } else { &[] });
            let log = connect(&server);
            let before = add(&*log, home("u:a"), keyed("a", "k", "x")).await.position;
            server.kill();
            let started = std::time::Instant::now();
            let gone = append(&*log, home("u:a"), plenty(), &[plain("y")]).await.unwrap_err();
            assert_eq!((gone.code(), gone.temporary()), ("log_unavailable", true), "{gone}");
            assert!(started.elapsed() < Duration::from_secs(5), "a bounded wait");
            server.restart();
            let known = Open { known: Some(before), ..home("u:a") };
            let log = &log;
            until("the server to be back", || async move { open(&**log, known).await.is_ok() }).await;
            let repeated = add(&**log, known, keyed("a", "k", "x")).await;
            assert_eq!(repeated.repeated, persistent);
            assert_eq!(repeated.position == before, persistent);
            let next = add(&**log, known, plain("z")).await.position;
            assert_eq!((next.offset, next.epoch == before.epoch), (2, persistent), "{offset}");
        }
    });
}

#[test]
fn each_connection_after_a_lost_one_is_told_of() {
    block_on(async {
        let mut server = Server::start(&[]);
        let log = connect(&server);
        let mut interruptions = log.interruptions();
        let mut before = add(&*log, home("u:a"), plain("x")).await.position;
        assert!(!interruptions.has_changed().unwrap(), "the first one replaces nothing");
        for restarts in [true, false, true] {
            if restarts {
                server.kill();
                append(&*log, home("u:a"), plenty(), &[plain("y")]).await.unwrap_err();
                assert!(!interruptions.has_changed().unwrap(), "not while there is none");
                server.restart();
            } else {
                let kill = ["CLIENT", "KILL", "TYPE", "normal"];
                let mut kill_all = redis::cmd(kill[0]);
                let () = kill_all.arg(&kill[1..]).query(&mut server.connection()).unwrap();
            }
            let told = tokio::time::timeout(Duration::from_secs(20), interruptions.changed()).await;
            told.expect("a notice").unwrap();
            // Whoever hears of it finds a connection.
            let known = Open { known: Some(before), ..home("u:a") };
            let opened = open(&*log, known).await.unwrap();
            assert_eq!(opened.position.epoch == before.epoch, !restarts);
            before = add(&*log, known, plain("z")).await.position;
        }
        // A silent server, which keeps its connection, was not replaced.
        server.signal("-STOP");
        append(&*log, home("u:a"), plenty(), &[plain("y")]).await.unwrap_err();
        server.signal("-CONT");
        let log = &log;
        until("the server to answer", || async move { open(&**log, home("u:a")).await.is_ok() }).await;
        assert!(!interruptions.has_changed().unwrap(), "it was not gone");
    });
}

#[test]
fn keys_expire_and_share_a_hash_tag() {
    block_on(async {
        let server = Server::start(&[]);
        let log = connect(&server);
        for number in 0..45 {
            let text = number.to_string();
            add(&*log, home("u:a"), keyed("a", &text, "x")).await;
        }
        let mut connection = server.connection();
        let mut keys: Vec<String> = connection.keys("*").unwrap();
        keys.sort();
        assert_eq!(keys, ["entries", "keys", "older", "topic"].map(|part| key(part, "u:a")));
        for key in keys {
            let left: i64 = connection.pttl(&key).unwrap();
            assert!(left > 0, "{key} never expires");
        }
        let remembered: (u64, u64) =
            redis::pipe().hlen(key("keys", "u:a")).hlen(key("older", "u:a")).query(&mut connection).unwrap();
        assert_eq!(remembered, (5, 20), "no more than two turns");
    });
}

#[test]
fn what_nobody_can_read_is_removed() {
    block_on(async {
        let server = Server::start(&[]);
        let (log, mut connection) = (connect(&server), server.connection());
        let keep = |count, age_ms| Retention::new(count, Duration::from_millis(age_ms)).unwrap();
        for _ in 0..10 {
            append(&*log, home("u:a"), keep(5, 600_000), &vec![plain("x"); 100]).await.unwrap();
        }
        // Redis removes nodes of a stream, of 100 entries, as a whole; we ask for it at every 16th.
        let held: u64 = redis::cmd("XLEN").arg(key("entries", "u:a")).query(&mut connection).unwrap();
        assert!((5..=120).contains(&held), "by count: {held}");
        append(&*log, home("u:b"), keep(1_000, 1_000), &vec![plain("x"); 250]).await.unwrap();
        // Between the time that they lapse and the time that their key expires.
        tokio::time::sleep(Duration::from_millis(1_030)).await;
        append(&*log, home("u:b"), keep(1_000, 1_000), &[plain("x")]).await.unwrap();
        let held: u64 = redis::cmd("XLEN").arg(key("entries", "u:b")).query(&mut connection).unwrap();
        assert!((1..=117).contains(&held), "by age: {held}");
        assert_eq!(offsets(&all(&*log, "u:b").await), [251]);
    });
}

#[test]
fn what_makes_no_sense_begins_an_epoch() {
    block_on(async {
        let server = Server::start(&[]);
        let (log, mut connection) = (connect(&server), server.connection());
        for part in ["topic", "entries", "keys", "older"] {
            let name = format!("g:{part}");
            let messages: Vec<String> = (0..25).map(|number| number.to_string()).collect();
            let mut before = None;
            for text in &messages {
                before = Some(add(&*log, home(&name), keyed("a", text, "x")).await.position);
            }
            let () = redis::pipe()
                .del(key(part, &name))
                .set(key(part, &name), "junk")
                .query(&mut connection)
                .unwrap();
            let after = add(&*log, home(&name), keyed("a", "new", "x")).await;
            assert_ne!(after.position.epoch, before.unwrap().epoch, "{part}");
            assert_eq!(after.position.offset, 1);
            assert_eq!(offsets(&all(&*log, &name).await), [1]);
        }
        for (field, junk) in
            (0..11).flat_map(|field| ["", "junk", "-1", "1e300", "nan"].map(|junk| (field, junk)))
        {
            let position = add(&*log, home("u:a"), plain("x")).await.position;
            spoil(&mut connection, "u:a", field, junk);
            let after = open(&*log, home("u:a")).await.unwrap().position;
            assert_ne!(after.epoch, position.epoch, "{field} {junk:?}");
        }
        // Half of an older copy put back: the entries are ahead of the head.
        add(&*log, home("u:b"), plain("x")).await;
        let last = add(&*log, home("u:b"), plain("x")).await.position;
        spoil(&mut connection, "u:b", 3, "1");
        let after = add(&*log, home("u:b"), plain("y")).await.position;
        assert!(after.epoch != last.epoch && after.offset == 1);
    });
}

#[test]
fn a_server_without_memory_takes_all_or_nothing() {
    block_on(async {
        let server = Server::start(&[]);
        let (log, mut connection) = (connect(&server), server.connection());
        let before = add(&*log, home("u:a"), keyed("a", "k", "x")).await.position;
        let () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).query(&mut connection).unwrap();
        let messages = [keyed("a", "l", "x"), plain("y")];
        let full = append(&*log, home("u:a"), plenty(), &messages).await.unwrap_err();
        assert_eq!((full.code(), full.temporary()), ("log_unavailable", true), "{full}");
        assert_eq!(all(&*log, "u:a").await.position, before, "reading goes on");
        let () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "0"]).query(&mut connection).unwrap();
        let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
        assert_eq!(fates(&batch), [Ok((2, false)), Ok((3, false))]);
    });
}

#[test]
fn calls_in_flight_at_once_keep_the_order_of_each_topic() {
    block_on(async {
        let server = Server::start(&[]);
        let log = connect(&server);
        let senders = (0..20).map(|number| {
            let log = log.clone();
            async move {
                let name = format!("g:{number}");
                for round in 0..30 {
                    let text = round.to_string();
                    let messages: Vec<Message> = vec![plain(&text); 3];
                    append(&*log, home(&name), plenty(), &messages).await.unwrap();
                }
                let page = all(&*log, &name).await;
                let rounds: Vec<u32> = page
                    .entries
                    .iter()
                    .map(|entry| std::str::from_utf8(&entry.data).unwrap().parse().unwrap())
                    .collect();
                assert!(rounds.is_sorted() && rounds.len() == 90, "{name}: {rounds:?}");
            }
        });
        futures_util::future::join_all(senders).await;
    });
}
