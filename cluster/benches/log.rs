//! What the log costs on a local Redis: `cargo bench -p ringdial-cluster --bench log`.
//!
//! For each size of call: appends a second, and CPU time per append of this process and of Redis. Every message has a key
//! and 200 bytes of data; every topic has grown so far that each append also trims entries and forgets keys. Then the
//! memory of a topic, and what opening and reading take.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot be set up fails"
)]

#[path = "../tests/redis_store/server.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringdial_cluster::log::{
    Append, Cursor, Epoch, Fence, Log, LogConfig, Message, Open, ReadRequest, Retention, Topic,
};
use ringdial_cluster::ring::{Slot, Version};
use ringdial_cluster::store::{RedisConfig, RedisStore};

use self::server::Server;

/// Calls on their way at once, each for topics of its own.
const IN_FLIGHT: usize = 4;
const WARM_UP: Duration = Duration::from_millis(1_500);
const MEASURED: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for (topics, messages) in [(1, 1), (1, 10), (1, 100), (10, 1), (100, 1), (100, 10), (10, 100)] {
        appends(topics, messages).await;
    }
    memory().await;
    others().await;
}

/// Appends as fast as it goes, `IN_FLIGHT` calls at once.
async fn appends(topics: usize, messages: usize) {
    let server = Server::start(&[]);
    let log = connect(&server);
    grow(&*log, topics).await;
    let started = Instant::now();
    let workers = (0..IN_FLIGHT).map(|worker| run(log.clone(), worker, topics, messages, started));
    let begin = async {
        tokio::time::sleep_until((started + WARM_UP).into()).await;
        (cpu_of_this_process(), cpu_of_redis(&server))
    };
    let (calls, (own, redis)) = tokio::join!(futures_util::future::join_all(workers), begin);
    let (own, redis) = (cpu_of_this_process() - own, cpu_of_redis(&server) - redis);
    let calls: usize = calls.into_iter().sum();
    let count = (calls * topics * messages) as f64;
    println!(
        "append {topics:>3} topics x {messages:>3} messages a call, {IN_FLIGHT} calls at once: {:>8.0} appends/s, \
         CPU per append: {:>5.2} us here, {:>5.2} us in Redis",
        count / MEASURED.as_secs_f64(),
        own * 1e6 / count,
        redis * 1e6 / count,
    );
}

/// Calls until time is up; counts those of the measured time.
async fn run(log: Arc<dyn Log>, worker: usize, topics: usize, messages: usize, started: Instant) -> usize {
    let (names, data, mut calls) = (names(worker, topics), vec![b'x'; 200], 0);
    for round in 0.. {
        let keys: Vec<String> = (0..messages).map(|at| format!("01J{round:012}{at:06}")).collect();
        let message = |key| Message { from: "user-1234", key: Some(key), data: &data };
        let messages: Vec<Message> = keys.iter().map(|key| message(key)).collect();
        let append = |name| Append { open: open(name), retention: Retention::default(), messages: &messages };
        let appends: Vec<Append> = names.iter().map(|name| append(name)).collect();
        for answer in log.append(&appends).await {
            assert!(answer.unwrap().results.iter().all(Result::is_ok));
        }
        let elapsed = started.elapsed();
        if elapsed > WARM_UP + MEASURED {
            break;
        }
        calls += usize::from(elapsed > WARM_UP);
    }
    calls
}

/// Fills every topic, so that each append trims.
async fn grow(log: &dyn Log, topics: usize) {
    for worker in 0..IN_FLIGHT {
        let (names, data) = (names(worker, topics), vec![b'x'; 200]);
        for round in 0..12 {
            let keys: Vec<String> = (0..100).map(|at| format!("grow{round:08}{at:06}")).collect();
            let message = |key| Message { from: "user-1234", key: Some(key), data: &data };
            let messages: Vec<Message> = keys.iter().map(|key| message(key)).collect();
            for name in &names {
                let retention = Retention::default();
                let append = Append { open: open(name), retention, messages: &messages };
                log.append(&[append]).await.remove(0).unwrap();
            }
        }
    }
}

/// What Redis needs for topics that are silent, have one message, are full.
async fn memory() {
    let server = Server::start(&[]);
    let log = connect(&server);
    let names: Vec<String> = (0..5_000).map(|number| format!("u:silent-{number:08}")).collect();
    let used = || info(&server, "memory", "used_memory:");
    let before = used();
    for names in names.chunks(500) {
        let opens: Vec<Open> = names.iter().map(|name| open(name)).collect();
        assert!(log.open(&opens).await.iter().all(Result::is_ok));
    }
    println!("memory of an opened topic: {:.0} bytes", (used() - before) / names.len() as f64);
    let before = used();
    let message = [Message { from: "user-1234", key: Some("01J000000000000000001"), data: &[b'x'; 200] }];
    for names in names.chunks(500) {
        let append = |name| Append { open: open(name), retention: Retention::default(), messages: &message };
        let appends: Vec<Append> = names.iter().map(|name| append(name)).collect();
        assert!(log.append(&appends).await.iter().all(Result::is_ok));
    }
    println!("its first entry of 200 bytes adds: {:.0} bytes", (used() - before) / names.len() as f64);
    let before = used();
    grow(&*log, 10).await;
    println!("a full topic: {:.0} bytes", (used() - before) / (10 * IN_FLIGHT) as f64);
}

/// Opening and reading.
async fn others() {
    let server = Server::start(&[]);
    let log = connect(&server);
    grow(&*log, 100).await;
    let names = names(0, 100);
    let opens: Vec<Open> = names.iter().map(|name| open(name)).collect();
    let (rounds, own, redis, started) = (300, cpu_of_this_process(), cpu_of_redis(&server), Instant::now());
    for _ in 0..rounds {
        assert!(log.open(&opens).await.iter().all(Result::is_ok));
    }
    let count = (rounds * opens.len()) as f64;
    println!(
        "open 100 topics a call: {:.0} topics/s, CPU per topic: {:.2} us here, {:.2} us in Redis",
        count / started.elapsed().as_secs_f64(),
        (cpu_of_this_process() - own) * 1e6 / count,
        (cpu_of_redis(&server) - redis) * 1e6 / count,
    );
    let started = Instant::now();
    for name in &names {
        let (topic, cursor) = (topic(name), Cursor::After(0));
        let request = ReadRequest { topic, epoch: None, cursor, count_max: 256, bytes_max: 1 << 20 };
        log.read(&request).await.unwrap();
    }
    println!("read 256 entries of 200 bytes: {:.0} us", started.elapsed().as_secs_f64() * 1e6 / 100.0);
}

fn connect(server: &Server) -> Arc<dyn Log> {
    let store = RedisStore::connect(&RedisConfig::new(&server.url())).unwrap();
    store.log("bench", LogConfig::default()).unwrap()
}

fn names(worker: usize, topics: usize) -> Vec<String> {
    (0..topics).map(|topic| format!("u:user-{worker:02}-{topic:06}")).collect()
}

fn topic(name: &str) -> Topic<'_> {
    let slot = name.bytes().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(byte)));
    Topic { name, slot: Slot::new(slot) }
}

fn open(name: &str) -> Open<'_> {
    let fence = Fence { version: Version { term: 1, number: 1 }, generation: 1 };
    Open { topic: topic(name), fence, known: None, fresh: Epoch::new(1) }
}

/// User and system time so far, in seconds. (proc(5): a tick is 10 ms.)
fn cpu_of_this_process() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn cpu_of_redis(server: &Server) -> f64 {
    info(server, "cpu", "used_cpu_user:") + info(server, "cpu", "used_cpu_sys:")
}

fn info(server: &Server, section: &str, field: &str) -> f64 {
    let text: String = redis::cmd("INFO").arg(section).query(&mut server.connection()).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)).unwrap().parse().unwrap()
}
