//! Homes, offsets, and calls.

use std::collections::BTreeMap;

use ringdial_cluster::log::{Append, ENTRY_BYTES_MAX, Epoch, LogError, Message, Open, Read, Topic};
use ringdial_cluster::ring::{Slot, Version};

use super::World;
use super::support::*;

pub async fn a_topic_begins_at_its_first_opening(world: &dyn World) {
    let log = world.log();
    assert_eq!(touch(&*log, "u:a").await, None);
    assert_eq!(
        read(&*log, "u:a", None, ringdial_cluster::log::Cursor::After(0)).await,
        Read::Absent,
        "reading and touching begin nothing"
    );
    assert_eq!(touch(&*log, "u:a").await, None);
    let first = home("u:a");
    let opened = open(&*log, first).await.unwrap();
    assert_eq!((opened.position.epoch, opened.position.offset, opened.first), (first.fresh, 0, 1));
    assert_eq!(open(&*world.log(), home("u:a")).await.unwrap(), opened, "the next one finds it");
    assert_eq!(touch(&*log, "u:a").await, Some(opened.position));
    let appended = add(&*log, home("u:a"), plain("1")).await;
    assert_eq!((appended.position.epoch, appended.position.offset), (first.fresh, 1));
    let unopened = add(&*log, home("u:b"), plain("1")).await;
    assert_eq!((unopened.position.offset, unopened.repeated), (1, false), "an append opens");
}

pub async fn offsets_are_contiguous_under_concurrent_homes(world: &dyn World) {
    let homes = (0..4).map(|number| async move {
        let (log, mut taken) = (world.log(), Vec::new());
        for round in 0..20 {
            let texts: Vec<String> = (0..=round % 4).map(|at| format!("{number} {round} {at}")).collect();
            let messages: Vec<Message> = texts.iter().map(|text| plain(text)).collect();
            let batch = append(&*log, home("g:all"), plenty(), &messages).await.unwrap();
            let offsets: Vec<u64> = fates(&batch).into_iter().map(|fate| fate.unwrap().0).collect();
            assert!(offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]), "one call's stay together");
            taken.extend(offsets.into_iter().zip(texts));
        }
        taken
    });
    let taken: Vec<(u64, String)> = futures_util::future::join_all(homes).await.concat();
    let by_offset: BTreeMap<u64, String> = taken.iter().cloned().collect();
    assert_eq!(taken.len(), 200);
    assert!(by_offset.keys().copied().eq(1..=200), "no offset twice, none left out");
    let page = all(&*world.log(), "g:all").await;
    assert!(
        page.entries
            .iter()
            .map(|entry| (entry.offset, &entry.data[..]))
            .eq(by_offset.iter().map(|(offset, text)| (*offset, text.as_bytes())))
    );
}

pub async fn an_older_home_is_refused(world: &dyn World) {
    let log = world.log();
    let at = |version| Open { fence: fence(version, 1), ..home("u:a") };
    add(&*log, at(5), plain("1")).await;
    let stale = Err(LogError::StaleHome { highest: Version::from_u64(5) });
    assert_eq!(append(&*log, at(4), plenty(), &[plain("2")]).await, stale.clone().map(|()| unreachable!()));
    assert_eq!(open(&*log, at(4)).await, stale.map(|()| unreachable!()));
    open(&*log, at(6)).await.unwrap();
    let refused = append(&*log, at(5), plenty(), &[plain("2")]).await.unwrap_err();
    assert_eq!((refused.code(), refused.temporary()), ("stale_home", true), "opening alone fences");
    add(&*log, at(7), plain("2")).await;
    let refused = open(&*log, at(6)).await.unwrap_err();
    assert_eq!(refused, LogError::StaleHome { highest: Version::from_u64(7) }, "appending does, too");
    assert_eq!(offsets(&all(&*log, "u:a").await), [1, 2], "nothing of the refused was stored");
}

pub async fn versions_are_compared_to_the_last_digit(world: &dyn World) {
    let log = world.log();
    let at = |version| Open { fence: fence(version, 1), ..home("u:a") };
    for version in [9, 10, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        open(&*log, at(version)).await.unwrap();
        let refused = open(&*log, at(version - 1)).await.unwrap_err();
        assert_eq!(refused, LogError::StaleHome { highest: Version::from_u64(version) });
    }
}

pub async fn a_call_serves_many_topics_in_order(world: &dyn World) {
    let log = world.log();
    let names: Vec<String> = (0..100).map(|number| format!("g:{number}")).collect();
    // One of them has a newer home already.
    open(&*log, Open { fence: fence(2, 1), ..home(&names[7]) }).await.unwrap();
    for round in 0..3u64 {
        let texts: Vec<String> = (0..names.len() * 3).map(|number| format!("{round} {number}")).collect();
        let messages: Vec<Message> = texts.iter().map(|text| plain(text)).collect();
        let appends: Vec<Append> = names
            .iter()
            .zip(messages.chunks(3))
            .map(|(name, messages)| Append { open: home(name), retention: plenty(), messages })
            .collect();
        let answers = log.append(&appends).await;
        assert_eq!(answers.len(), names.len());
        for (at, answer) in answers.iter().enumerate() {
            match answer {
                Ok(batch) => {
                    let expected = (1..=3).map(|number| Ok((round * 3 + number, false)));
                    assert!(fates(batch).into_iter().eq(expected), "{at}: {batch:?}");
                    assert_eq!((batch.opened.position.offset, batch.opened.first), (round * 3 + 3, 1));
                }
                Err(error) => assert_eq!((at, error.code()), (7, "stale_home")),
            }
        }
    }
    let page = all(&*log, "g:42").await;
    let texts: Vec<&[u8]> = page.entries.iter().map(|entry| &entry.data[..]).collect();
    let expected = ["0 126", "0 127", "0 128", "1 126", "1 127", "1 128", "2 126", "2 127", "2 128"];
    assert_eq!(texts, expected.map(str::as_bytes));
    let opens: Vec<Open> = names.iter().map(|name| home(name)).collect();
    let opened = log.open(&opens).await;
    assert_eq!(opened.iter().filter(|answer| answer.is_ok()).count(), 99);
    let topics: Vec<Topic> = names.iter().map(|name| topic(name)).collect();
    let touched = log.touch(&topics).await;
    assert_eq!(touched[42].clone().unwrap(), Some(opened[42].clone().unwrap().position));
}

pub async fn calls_have_limits(world: &dyn World) {
    let log = world.log();
    assert!(
        log.append(&[]).await.is_empty() && log.open(&[]).await.is_empty() && log.touch(&[]).await.is_empty()
    );
    let twice = log.open(&[home("u:a"), home("u:a")]).await;
    assert!(
        twice.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code() == "log_request_invalid"))
    );
    let large = vec![0; ENTRY_BYTES_MAX + 1];
    let long = "x".repeat(257);
    let messages = [
        plain("1"),
        Message { data: &large, ..plain("") },
        Message { from: &long, ..plain("") },
        Message { key: Some(&long), ..plain("") },
        Message { key: Some(""), ..plain("") },
        Message { data: &large[1..], ..plain("") },
        plain("3"),
    ];
    let batch = append(&*log, home("u:a"), plenty(), &messages).await.unwrap();
    let invalid = Err("log_request_invalid");
    let expected =
        [Ok((1, false)), Err("too_large"), invalid, invalid, invalid, Ok((2, false)), Ok((3, false))];
    assert_eq!(fates(&batch), expected, "the others are appended all the same");
    let messages: Vec<Message> = (0..9).map(|_| Message { data: &large[1..], ..plain("") }).collect();
    let refused = append(&*log, home("u:b"), plenty(), &messages).await.unwrap_err();
    assert_eq!((refused.code(), refused.temporary()), ("too_large", false));
    let messages = vec![plain(""); 501];
    assert_eq!(append(&*log, home("u:b"), plenty(), &messages).await.unwrap_err().code(), "too_large");
    append(&*log, home("u:b"), plenty(), &messages[1..]).await.unwrap();
}

pub async fn services_and_slots_are_apart(world: &dyn World) {
    let log = world.log();
    add(&*log, home("u:a"), plain("1")).await;
    let elsewhere = Topic { slot: Slot::new(topic("u:a").slot.number() ^ 1), ..topic("u:a") };
    let fresh = Epoch::random().unwrap();
    let opened = open(&*log, Open { topic: elsewhere, fresh, ..home("u:a") }).await.unwrap();
    assert_eq!((opened.position.epoch, opened.position.offset), (fresh, 0));
}
