//! The worker against the log in memory, on virtual time: what is grouped, what waits, and what happens when the log
//! fails.

mod double;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::log::{
    CALL_BYTES_MAX, Cursor, Epoch, Fence, LogConfig, LogError, Position, Read, Retention, TOPICS_PER_CALL_MAX,
};
use cluster::ring::{Slot, Version};
use cluster::store::MemoryStore;
use edge::metrics::{Labels, Page};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::double::{Double, Told};
use super::{LogCounts, LogQueue, QueueBounds, queue};
use crate::core::log_port::{LogAnswer, LogRequest, LogSink, NewEntry};

const FENCE: Fence = Fence { version: Version::from_u64(1), generation: 1 };

/// A worker on a log, and what it told.
struct World {
    store: MemoryStore,
    log: Arc<Double>,
    queue: LogQueue,
    counts: LogCounts,
    told: Arc<Told>,
    end: CancellationToken,
    worker: JoinHandle<()>,
}

// === impl World ===

impl World {
    fn new(bounds: QueueBounds) -> Self {
        let store = MemoryStore::new();
        let log = Arc::new(Double::new(store.log("dc", LogConfig::default()).unwrap()));
        let counts = LogCounts::default();
        let (queue, worker) = queue(bounds, counts.clone());
        let (told, end) = (Arc::new(Told::default()), CancellationToken::new());
        let worker = tokio::spawn(worker.run(log.clone(), told.clone(), end.clone()));
        Self { store, log, queue, counts, told, end, worker }
    }

    fn submit(&self, request: LogRequest) {
        self.queue.submit(request).unwrap();
    }

    /// The next answers, in the order in which they were given.
    async fn answers(&self, count: usize) -> Vec<LogAnswer> {
        timeout(Duration::from_secs(60), self.told.take(count)).await.expect("answers")
    }

    /// The figures of a kind, without those that depend on time.
    fn figures(&self, kind: &str) -> Vec<(String, String)> {
        let mut page = Page::new("test");
        self.counts.register(&mut page, &Labels::new());
        let text = page.text().unwrap();
        let label = format!("{{kind=\"{kind}\"}} ");
        let figures = text.lines().filter_map(|line| line.split_once(&label));
        let own = figures.filter_map(|(name, value)| Some((name.strip_prefix("ringdial_log_")?, value)));
        let steady = own.filter(|(name, _)| *name != "call_seconds_sum");
        steady.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    async fn answer(&self, request: LogRequest) -> LogAnswer {
        self.submit(request);
        self.answers(1).await.remove(0)
    }
}

fn run(test: impl Future<Output = ()>) {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(test);
}

fn slot(topic: &str) -> Slot {
    Slot::new(topic.len() as u16)
}

fn open(topic: &str) -> LogRequest {
    LogRequest::Open { topic: topic.into(), slot: slot(topic), fence: FENCE, known: None }
}

fn entries(keys: &[&str], data: &Bytes) -> Vec<NewEntry> {
    keys.iter().map(|key| NewEntry { from: "alice".into(), key: (*key).into(), data: data.clone() }).collect()
}

fn append(topic: &str, keys: &[&str], data: &Bytes) -> LogRequest {
    let (slot, messages) = (slot(topic), entries(keys, data));
    let retention = Retention::default();
    LogRequest::Append { topic: topic.into(), slot, fence: FENCE, known: None, retention, messages }
}

fn read(reader: u64, topic: &str, epoch: Option<Epoch>, cursor: Cursor) -> LogRequest {
    let (topic, slot) = (topic.into(), slot(topic));
    LogRequest::Read { reader, topic, slot, epoch, cursor, count_max: 100, bytes_max: 1024 }
}

fn look(look: u64, topics: &[&str]) -> LogRequest {
    LogRequest::Look { look, topics: topics.iter().map(|name| ((*name).into(), slot(name))).collect() }
}

fn short() -> Bytes {
    Bytes::from_static(b"\"x\"")
}

/// Where the appended messages are, or why not.
fn offsets(answer: &LogAnswer) -> Result<Vec<u64>, &'static str> {
    match answer {
        LogAnswer::Appended { result: Ok(batch), .. } => {
            Ok(batch.results.iter().map(|result| result.as_ref().unwrap().position.offset).collect())
        }
        LogAnswer::Appended { result: Err(error), .. } => Err(error.code()),
        other => panic!("no append: {other:?}"),
    }
}

fn head(answer: &LogAnswer) -> Position {
    match answer {
        LogAnswer::Opened { result, .. } => result.as_ref().unwrap().position,
        LogAnswer::Appended { result, .. } => result.as_ref().unwrap().opened.position,
        other => panic!("no position: {other:?}"),
    }
}

#[test]
fn each_request_is_answered_with_what_the_log_says() {
    run(async {
        let world = World::new(QueueBounds::default());
        let begun = Instant::now();
        let epoch = head(&world.answer(open("u:a")).await).epoch;
        let appended = world.answer(append("u:a", &["k", "l", "k"], &short())).await;
        assert_eq!(offsets(&appended).unwrap(), [1, 2, 1], "a key is a message's");
        assert_eq!(head(&appended), Position { epoch, offset: 2 });
        let Ok(page) = (match world.answer(read(7, "u:a", Some(epoch), Cursor::After(1))).await {
            LogAnswer::Read { reader: 7, result, .. } => result,
            other => panic!("{other:?}"),
        }) else {
            panic!("no page")
        };
        let Read::Page(page) = page else { panic!("{page:?}") };
        assert_eq!((page.entries[0].offset, &*page.entries[0].from), (2, "alice"));
        let LogAnswer::Looked { look: 9, results } = world.answer(look(9, &["u:b", "u:a"])).await else {
            panic!("no look")
        };
        assert_eq!(results, [("u:b".into(), Ok(None)), ("u:a".into(), Ok(Some(head(&appended))))]);
        assert_ne!(head(&world.answer(open("u:b")).await).epoch, epoch);
        assert_eq!(begun.elapsed(), Duration::ZERO, "nothing waits for company");
    });
}

#[test]
fn what_comes_while_calls_are_out_goes_together() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.log.hold();
        for number in 0..4 {
            world.submit(append(&format!("u:{number}"), &["k"], &short()));
            world.log.until_held(number + 1).await;
        }
        for number in 4..904 {
            world.submit(append(&format!("u:{number}"), &["k"], &short()));
        }
        tokio::task::yield_now().await;
        assert_eq!(world.log.calls(), [1, 1, 1, 1], "as many as may be out");
        world.log.release();
        let answers = world.answers(904).await;
        assert!(answers.iter().all(|answer| offsets(answer) == Ok(vec![1])));
        // 819 topics of one message make the cost of a call.
        assert_eq!(world.log.calls(), [1, 1, 1, 1, 819, 81]);
        assert!(world.told.batches().iter().all(|batch| *batch <= 512), "{:?}", world.told.batches());
    });
}

#[test]
fn a_call_keeps_to_the_limits_of_the_log() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.log.hold();
        let large = Bytes::from(vec![b'x'; 1024 * 1024]);
        let keys = ["a", "b", "c"];
        for number in 0..4 {
            world.submit(append(&format!("g:{number}"), &["k"], &short()));
            world.log.until_held(number + 1).await;
        }
        for number in 0..6 {
            world.submit(append(&format!("u:{number}"), &keys, &large));
        }
        world.log.release();
        for answer in world.answers(10).await {
            offsets(&answer).unwrap();
        }
        assert_eq!(world.log.calls()[4..], [2, 2, 2], "{CALL_BYTES_MAX} bytes take eight messages");
        world.log.forget();
        world.log.hold();
        for number in 0..2_500 {
            world.submit(open(&format!("u:{number}")));
        }
        world.log.release();
        world.answers(2_500).await.iter().for_each(|answer| assert_ne!(head(answer).epoch, Epoch::new(0)));
        assert_eq!(world.log.calls(), [TOPICS_PER_CALL_MAX, TOPICS_PER_CALL_MAX, 500]);
        let names: Vec<_> = (0..1_500).map(|number| format!("u:{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let LogAnswer::Looked { results, .. } = world.answer(look(1, &names)).await else {
            panic!("no look")
        };
        assert!(results.len() == 1_500 && results.iter().all(|(_, found)| matches!(found, Ok(Some(_)))));
    });
}

#[test]
fn a_full_queue_gives_back_what_it_cannot_hold() {
    run(async {
        let world = World::new(QueueBounds { requests: 3, bytes: 10_000 });
        world.log.hold();
        for number in 0..4 {
            world.submit(append(&format!("g:{number}"), &["k"], &short()));
            world.log.until_held(number + 1).await;
        }
        let large = Bytes::from(vec![b'x'; 6_000]);
        world.submit(append("u:1", &["k"], &large));
        world.submit(append("u:2", &["k"], &large));
        let third = append("u:3", &["k"], &large);
        assert_eq!(world.queue.submit(third.clone()).unwrap_err(), third, "too many bytes");
        let figure = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let waiting =
            [figure("given_back_total", "1"), figure("waiting", "2"), figure("waiting_bytes", "12130")];
        assert_eq!(world.figures("append")[3..], waiting);
        for number in 0..3 {
            world.submit(look(number, &["g:1"]));
        }
        assert_eq!(world.queue.submit(look(3, &[])).unwrap_err(), look(3, &[]), "too many requests");
        world.submit(read(1, "g:1", None, Cursor::After(0)));
        world.log.release();
        world.answers(10).await;
        world.submit(third);
        assert_eq!(offsets(&world.answers(1).await[0]), Ok(vec![1]), "there is room again");
        let sum = ["call_seconds_count 6", "topics_total 7", "unconfirmed_total 0", "given_back_total 1"];
        let figures = world.figures("append").into_iter().map(|(name, value)| format!("{name} {value}"));
        assert_eq!(figures.collect::<Vec<_>>(), [&sum[..], &["waiting 0", "waiting_bytes 0"]].concat());
    });
}

#[test]
fn readers_are_many_at_once_and_bounded() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.log.hold();
        for number in 0..100 {
            world.submit(read(number, "u:a", None, Cursor::Before(u64::MAX)));
        }
        world.log.until_held(32).await;
        tokio::task::yield_now().await;
        assert_eq!(world.log.calls().len(), 32);
        world.log.release();
        let answers = world.answers(100).await;
        let absent = |answer: &LogAnswer| matches!(answer, LogAnswer::Read { result: Ok(Read::Absent), .. });
        assert!(answers.iter().all(absent));
    });
}

#[test]
fn a_log_that_is_gone_is_told_of_and_so_is_its_return() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.answer(append("u:a", &["k"], &short())).await;
        world.store.set_reachable(false);
        let unavailable = |error: &LogError| assert_eq!(error.code(), "log_unavailable");
        for request in [
            open("u:a"),
            append("u:a", &["l"], &short()),
            read(1, "u:a", None, Cursor::After(0)),
            look(1, &["u:a"]),
        ] {
            match world.answer(request).await {
                LogAnswer::Opened { result, .. } => unavailable(&result.unwrap_err()),
                LogAnswer::Appended { result, .. } => unavailable(&result.unwrap_err()),
                LogAnswer::Read { result, .. } => unavailable(&result.unwrap_err()),
                LogAnswer::Looked { results, .. } => unavailable(results[0].1.as_ref().unwrap_err()),
            }
        }
        assert_eq!(world.told.interruptions(), 0);
        world.store.set_reachable(true);
        world.told.until_interrupted(1).await;
        assert_eq!(offsets(&world.answer(append("u:a", &["l", "k"], &short())).await), Ok(vec![2, 1]));
        world.store.set_answers_lost(true);
        let lost = world.answer(append("u:a", &["m"], &short())).await;
        assert_eq!(offsets(&lost), Err("log_unavailable"));
        world.store.set_answers_lost(false);
        assert_eq!(offsets(&world.answer(append("u:a", &["m", "n"], &short())).await), Ok(vec![3, 4]));
    });
}

#[test]
fn nobody_waits_for_the_time_outs_of_others() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.store.set_reachable(false);
        world.log.take(Duration::from_secs(1));
        let begun = Instant::now();
        for number in 0..10_000 {
            let topic = format!("u:{number}");
            world.submit(append(&topic, &["k"], &short()));
            world.submit(open(&topic));
            world.submit(read(number, &topic, None, Cursor::After(0)));
            world.submit(look(number, &[&topic]));
        }
        world.answers(40_000).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert_eq!(world.figures("append").iter().find(|(name, _)| name == "waiting_bytes").unwrap().1, "0");
    });
}

#[test]
fn calls_are_small_after_the_log_did_not_confirm() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.store.set_reachable(false);
        world.answer(append("u:a", &["k"], &short())).await;
        world.store.set_reachable(true);
        world.log.forget();
        for number in 0..200 {
            world.submit(append(&format!("u:{number}"), &["k"], &short()));
        }
        world.answers(200).await;
        let calls = world.log.calls();
        assert!(calls[..4] == [12; 4] && calls[4] > 12, "{calls:?}");
    });
}

#[test]
fn a_panic_or_a_missing_answer_leaves_nobody_waiting() {
    run(async {
        let world = World::new(QueueBounds::default());
        for fault in [Double::panic, Double::say_nothing] {
            fault(&world.log);
            let answer = world.answer(append("u:a", &["k"], &short())).await;
            assert_eq!(offsets(&answer), Err("log_unavailable"));
            assert_eq!(offsets(&world.answer(append("u:a", &["k"], &short())).await), Ok(vec![1]));
        }
    });
}

#[test]
fn the_end_waits_for_nothing() {
    run(async {
        let world = World::new(QueueBounds::default());
        world.log.hold();
        for number in 0..6 {
            world.submit(append(&format!("u:{number}"), &["k"], &short()));
            tokio::task::yield_now().await;
        }
        world.log.until_held(4).await;
        world.end.cancel();
        timeout(Duration::from_secs(1), world.worker).await.unwrap().unwrap();
        assert_eq!(world.queue.submit(open("u:a")).unwrap_err(), open("u:a"), "closed");
        assert_eq!(world.told.batches(), [0; 0]);
    });
}
