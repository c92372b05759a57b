//! Reading: pages, both ways, and what they lack.

use std::time::Duration;

use ringdial_cluster::log::{Cursor, Gap, Message, Read, Retention};

use super::World;
use super::support::*;

async fn fill(world: &dyn World, name: &str, count: usize, keep: u32) {
    let log = world.log();
    let texts: Vec<String> = (1..=count).map(|offset| format!("{offset:010}")).collect();
    let messages: Vec<Message> = texts.iter().map(|text| plain(text)).collect();
    let retention = Retention::new(keep, Duration::from_secs(600)).unwrap();
    append(&*log, home(name), retention, &messages).await.unwrap();
}

pub async fn entries_come_back_as_they_were(world: &dyn World) {
    let log = world.log();
    let bytes: Vec<u8> = (0..=255).collect();
    let messages = [
        Message { from: "grüße", key: Some("用户\0\r\n"), data: &bytes },
        Message { from: "", key: None, data: b"" },
    ];
    let batch = append(&*log, home("g:用户 {x}"), plenty(), &messages).await.unwrap();
    let page = all(&*log, "g:用户 {x}").await;
    assert_eq!((page.position, page.gap, page.more), (batch.opened.position, None, false));
    for (at, (entry, message)) in page.entries.iter().zip(messages).enumerate() {
        assert_eq!((entry.offset, entry.time_ms), (at as u64 + 1, batch.time_ms));
        assert_eq!(
            (&*entry.from, entry.key.as_deref(), &entry.data[..]),
            (message.from, message.key, message.data)
        );
    }
    assert_eq!(page.entries.len(), 2);
}

pub async fn pages_go_both_ways(world: &dyn World) {
    fill(world, "g:a", 50, 1_000).await;
    let log = world.log();
    let (mut up, mut down, mut pages) = (Vec::new(), Vec::new(), 0);
    loop {
        let cursor = Cursor::After(up.last().copied().unwrap_or(0));
        let page = page(read_some(&*log, "g:a", None, cursor, 17, 1 << 20).await);
        up.extend(offsets(&page));
        pages += 1;
        assert!(page.gap.is_none() && page.entries.len() <= 17, "{page:?}");
        if !page.more {
            break;
        }
    }
    assert!(up.iter().copied().eq(1..=50) && pages == 3, "{pages} {up:?}");
    loop {
        let cursor = Cursor::Before(down.last().copied().unwrap_or(u64::MAX));
        let page = page(read_some(&*log, "g:a", None, cursor, 25, 1 << 20).await);
        down.extend(offsets(&page));
        assert!(page.gap.is_none(), "{page:?}");
        if !page.more {
            break;
        }
    }
    assert!(down.iter().copied().eq((1..=50).rev()), "{down:?}");
    for (cursor, expected) in [
        (Cursor::After(50), vec![]),
        (Cursor::After(49), vec![50]),
        (Cursor::Before(1), vec![]),
        (Cursor::Before(0), vec![]),
        (Cursor::Before(2), vec![1]),
        (Cursor::After(u64::MAX), vec![]),
    ] {
        let page = page(read(&*log, "g:a", None, cursor).await);
        assert_eq!((offsets(&page), page.gap, page.more), (expected, None, false), "{cursor:?}");
    }
}

pub async fn pages_have_limits(world: &dyn World) {
    fill(world, "g:a", 50, 1_000).await;
    let log = world.log();
    for (count, bytes, expected) in
        [(0, 1_000, 1), (3, 1_000, 3), (50, 0, 1), (50, 9, 1), (50, 39, 3), (50, 200, 20)]
    {
        for cursor in [Cursor::After(10), Cursor::Before(40)] {
            let page = page(read_some(&*log, "g:a", None, cursor, count, bytes).await);
            assert_eq!((page.entries.len(), page.more), (expected, true), "{count} {bytes} {cursor:?}");
        }
    }
}

pub async fn what_is_missing_is_told(world: &dyn World) {
    fill(world, "g:a", 50, 10).await;
    let log = world.log();
    let look = async |cursor| {
        let page = page(read_some(&*log, "g:a", None, cursor, 5, 1 << 20).await);
        assert_eq!(page.first, 41);
        (offsets(&page), page.gap.map(|Gap { after, before }| (after, before)), page.more)
    };
    assert_eq!(look(Cursor::After(0)).await, (vec![41, 42, 43, 44, 45], Some((0, 41)), true));
    assert_eq!(look(Cursor::After(39)).await, (vec![41, 42, 43, 44, 45], Some((39, 41)), true));
    assert_eq!(look(Cursor::After(40)).await, (vec![41, 42, 43, 44, 45], None, true));
    assert_eq!(look(Cursor::After(45)).await, (vec![46, 47, 48, 49, 50], None, false));
    assert_eq!(look(Cursor::Before(u64::MAX)).await, (vec![50, 49, 48, 47, 46], None, true));
    assert_eq!(look(Cursor::Before(46)).await, (vec![45, 44, 43, 42, 41], None, false));
    assert_eq!(look(Cursor::Before(41)).await, (vec![], Some((0, 41)), false));
    assert_eq!(look(Cursor::Before(20)).await, (vec![], Some((0, 20)), false));
}

pub async fn nothing_is_read_of_another_epoch(world: &dyn World) {
    let log = world.log();
    let position = add(&*log, home("u:a"), plain("1")).await.position;
    let other = Some(home("u:b").fresh);
    assert_eq!(read(&*log, "u:a", other, Cursor::After(0)).await, Read::OtherEpoch(position));
    assert_eq!(read(&*log, "u:a", other, Cursor::Before(9)).await, Read::OtherEpoch(position));
    assert_eq!(read(&*log, "u:a", Some(position.epoch), Cursor::After(2)).await, Read::RolledBack(position));
    assert_eq!(page(read(&*log, "u:a", Some(position.epoch), Cursor::After(0)).await).entries.len(), 1);
}
