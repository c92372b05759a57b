//! Keys: a message that comes again is told by them, for as long as they are remembered.

use ringdial_cluster::log::{Message, Open, Retention};

use super::support::*;
use super::{World, config};

pub async fn a_repeated_key_gives_the_same_offset(world: &dyn World) {
    let log = world.log();
    let messages = [keyed("a", "k1", "x"), keyed("a", "k2", "y"), keyed("a", "k1", "x")];
    let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
    assert_eq!(fates(&batch), [Ok((1, false)), Ok((2, false)), Ok((1, true))], "within one call");
    // Another process is home now.
    let next = Open { fence: fence(2, 1), ..home("u:a") };
    let messages = [keyed("a", "k2", "y"), keyed("a", "k3", "z"), keyed("a", "k1", "x")];
    let batch = append(&*world.log(), next, plenty(), &messages).await.unwrap();
    assert_eq!(fates(&batch), [Ok((2, true)), Ok((3, false)), Ok((1, true))]);
    assert_eq!(batch.opened.position.offset, 3);
    assert_eq!(offsets(&all(&*log, "u:a").await), [1, 2, 3]);
    let repeated = append(&*log, next, plenty(), &messages).await.unwrap();
    assert_eq!(fates(&repeated), [Ok((2, true)), Ok((3, true)), Ok((1, true))], "nothing new at all");
    assert_eq!(repeated.opened, batch.opened);
}

pub async fn the_scope_of_a_key_is_topic_and_sender(world: &dyn World) {
    let log = world.log();
    let messages = [keyed("a", "bc", "x"), keyed("ab", "c", "x"), plain("x"), plain("x")];
    let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
    assert_eq!(fates(&batch), [Ok((1, false)), Ok((2, false)), Ok((3, false)), Ok((4, false))]);
    assert!(!add(&*log, home("u:b"), keyed("a", "bc", "x")).await.repeated);
}

pub async fn a_key_with_other_data_is_refused(world: &dyn World) {
    let log = world.log();
    add(&*log, home("u:a"), keyed("a", "k", "x")).await;
    let messages = [keyed("a", "k", "y"), keyed("a", "l", "z"), keyed("a", "l", ""), keyed("a", "k", "x")];
    let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
    assert_eq!(fates(&batch), [Err("key_reused"), Ok((2, false)), Err("key_reused"), Ok((1, true))]);
    assert_eq!(offsets(&all(&*log, "u:a").await), [1, 2]);
}

pub async fn keys_outlive_trimmed_entries(world: &dyn World) {
    let log = world.log();
    let few = Retention::new(2, std::time::Duration::from_secs(600)).unwrap();
    for key in ["k1", "k2", "k3", "k4"] {
        append(&*log, home("u:a"), few, &[keyed("a", key, "x")]).await.unwrap();
    }
    assert_eq!(offsets(&all(&*log, "u:a").await), [3, 4]);
    let batch = append(&*log, home("u:a"), few, &[keyed("a", "k1", "x")]).await.unwrap();
    assert_eq!(fates(&batch), [Ok((1, true))]);
}

pub async fn keys_of_the_newest_messages_are_remembered(world: &dyn World) {
    let (log, kept) = (world.log(), u64::from(config().key_messages));
    for (count, per_call) in [(20, 20), (21, 1), (39, 3), (40, 10), (41, 1), (45, 45), (60, 7), (99, 9)] {
        let name = format!("g:{count}");
        let keys: Vec<String> = (1..=count).map(|offset| format!("k{offset}")).collect();
        let messages: Vec<Message> = keys.iter().map(|key| keyed("a", key, "x")).collect();
        for messages in messages.chunks(per_call) {
            append(&*log, home(&name), plenty(), messages).await.unwrap();
        }
        let again = |offset: u64| messages[offset as usize - 1];
        let oldest = count - kept + 1;
        for offset in [count, oldest] {
            let repeated = add(&*log, home(&name), again(offset)).await;
            assert_eq!(
                (repeated.position.offset, repeated.repeated),
                (offset, true),
                "{count} by {per_call}"
            );
        }
        if oldest > 1 {
            let forgotten = add(&*log, home(&name), again(oldest - 1)).await;
            assert_eq!((forgotten.position.offset, forgotten.repeated), (count + 1, false), "{count}");
            let remembered = add(&*log, home(&name), again(oldest - 1)).await;
            assert_eq!((remembered.position.offset, remembered.repeated), (count + 1, true), "{count}");
        }
    }
    // The bound counts all messages, those without keys too, and holds within a call.
    let mut messages = vec![keyed("a", "k", "x")];
    messages.extend((1..kept).map(|_| plain("-")));
    messages.extend([keyed("a", "k", "x"), plain("-"), keyed("a", "k", "x")]);
    let batch = append(&*log, home("g:mixed"), plenty(), &messages).await.unwrap();
    assert_eq!(fates(&batch)[kept as usize..], [Ok((1, true)), Ok((kept + 1, false)), Ok((kept + 2, false))]);
}

pub async fn keys_are_forgotten_with_time(world: &dyn World) {
    let log = world.log();
    let first = append(&*log, home("u:a"), plenty(), &[keyed("a", "k", "x")]).await.unwrap();
    let age = config().key_age;
    loop {
        // Others keep coming, so that nothing expires as a whole.
        tokio::time::sleep(age / 10).await;
        let messages = [keyed("b", "other", "x"), keyed("a", "k", "x")];
        let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
        let forgotten = batch.time_ms - first.time_ms >= age.as_millis() as u64;
        assert_eq!(fates(&batch)[1].unwrap().1, !forgotten, "{} ms", batch.time_ms - first.time_ms);
        if forgotten {
            return;
        }
    }
}

pub async fn a_lost_answer_is_made_up_by_the_key(world: &dyn World) {
    let log = world.log();
    add(&*log, home("u:a"), keyed("a", "k1", "x")).await;
    world.set_answers_lost(true).await;
    let messages = [keyed("a", "k2", "y"), keyed("a", "k3", "z")];
    let started = std::time::Instant::now();
    let lost = append(&*log, home("u:a"), plenty(), &messages).await.unwrap_err();
    assert_eq!((lost.code(), lost.temporary()), ("log_unavailable", true));
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "a bounded wait");
    world.set_answers_lost(false).await;
    // The first may come to the log after this: whichever is first is the one that is stored.
    let messages = [keyed("a", "k2", "y"), keyed("a", "k3", "z"), keyed("a", "k4", "!")];
    let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
    assert_eq!(fates(&batch), [Ok((2, true)), Ok((3, true)), Ok((4, false))]);
    assert_eq!(offsets(&all(&*log, "u:a").await), [1, 2, 3, 4]);
}
