//! What stays, and for how long.

use std::time::Duration;

use ringdial_cluster::log::{Cursor, Gap, Message, Retention};

use super::support::*;
use super::{World, config};

pub async fn the_oldest_leave_by_count(world: &dyn World) {
    let log = world.log();
    let keep = |count| Retention::new(count, Duration::from_secs(600)).unwrap();
    for number in 1..=5u64 {
        let batch = append(&*log, home("u:a"), keep(3), &[plain("x")]).await.unwrap();
        assert_eq!(batch.opened.first, number.saturating_sub(2).max(1));
    }
    assert_eq!(offsets(&all(&*log, "u:a").await), [3, 4, 5]);
    let many: Vec<Message> = (0..250).map(|_| plain("x")).collect();
    append(&*log, home("u:a"), keep(100), &many).await.unwrap();
    assert!(offsets(&all(&*log, "u:a").await).into_iter().eq(156..=255), "more in a call than are kept");
    append(&*log, home("u:a"), keep(1), &[plain("x")]).await.unwrap();
    let opened = open(&*log, home("u:a")).await.unwrap();
    assert_eq!((opened.position.offset, opened.first), (256, 256), "the last call's wish counts");
}

pub async fn the_aged_leave_with_the_next_append(world: &dyn World) {
    let log = world.log();
    let age = Duration::from_secs(2);
    let retention = Retention::new(1_000, age).unwrap();
    let mut times = Vec::new();
    // More at once than a script looks at in one go.
    for round in 0..8 {
        let messages = vec![plain("x"); if round == 0 { 40 } else { 1 }];
        let batch = append(&*log, home("u:a"), retention, &messages).await.unwrap();
        times.extend(messages.iter().map(|_| batch.time_ms));
        let aged =
            times.iter().filter(|time| **time + age.as_millis() as u64 <= batch.time_ms).count() as u64;
        let page = all(&*log, "u:a").await;
        assert!(offsets(&page).into_iter().eq(aged + 1..=times.len() as u64), "{aged} aged: {page:?}");
        assert_eq!(batch.opened.first, aged + 1);
        tokio::time::sleep(age / 5).await;
    }
    assert!(all(&*log, "u:a").await.first > 40, "the first ones have left");
}

pub async fn a_silent_topic_keeps_its_position(world: &dyn World) {
    let log = world.log();
    let retention = Retention::new(10, Duration::from_millis(500)).unwrap();
    let batch = append(&*log, home("u:a"), retention, &[plain("x"); 3]).await.unwrap();
    let (log, position) = (&log, batch.opened.position);
    until("the entries to leave", || async move { all(&**log, "u:a").await.entries.is_empty() }).await;
    let page = page(read(&**log, "u:a", Some(position.epoch), Cursor::After(1)).await);
    assert_eq!((page.position, page.first, page.gap), (position, 4, Some(Gap { after: 1, before: 4 })));
    let again = append(&**log, home("u:a"), retention, &[plain("x")]).await.unwrap();
    assert_eq!((again.opened.position.epoch, fates(&again)), (position.epoch, vec![Ok((4, false))]));
    assert_eq!(again.opened.first, 4);
    let started = tokio::time::Instant::now();
    // Reading keeps nothing alive; openings and touches would.
    until("the topic to be forgotten", || async move {
        read(&**log, "u:a", None, Cursor::After(0)).await == ringdial_cluster::log::Read::Absent
    })
    .await;
    assert!(started.elapsed() >= config().position_age, "after {:?}", started.elapsed());
    assert_ne!(open(&**log, home("u:a")).await.unwrap().position.epoch, position.epoch);
}

pub async fn a_touch_keeps_the_position(world: &dyn World) {
    let log = world.log();
    let retention = Retention::new(10, Duration::from_millis(200)).unwrap();
    let names = ["u:a", "u:b"];
    let mut positions = Vec::new();
    for name in names {
        let batch = append(&*log, home(name), retention, &[plain("x")]).await.unwrap();
        positions.push(batch.opened.position);
    }
    let started = tokio::time::Instant::now();
    while started.elapsed() < 2 * config().position_age {
        assert_eq!(touch(&*log, "u:a").await, Some(positions[0]));
        tokio::time::sleep(config().position_age / 10).await;
    }
    assert_eq!(touch(&*log, "u:b").await, None, "nobody touched this one");
    assert_eq!(open(&*log, home("u:a")).await.unwrap().position, positions[0]);
    // A touch never shortens: the log promised more before.
    append(&*log, home("u:c"), plenty(), &[plain("x")]).await.unwrap();
    touch(&*log, "u:c").await.unwrap();
    tokio::time::sleep(config().position_age + Duration::from_millis(100)).await;
    assert_eq!(offsets(&all(&*log, "u:c").await), [1]);
}
