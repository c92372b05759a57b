//! Epochs: what is lost is never passed over in silence.

use ringdial_cluster::log::{Cursor, Open, Position, Read};

use super::World;
use super::support::*;

fn knowing(name: &str, known: Position) -> Open<'_> {
    Open { known: Some(known), ..home(name) }
}

pub async fn a_flush_begins_an_epoch(world: &dyn World) {
    let log = world.log();
    let before = add(&*log, home("u:a"), keyed("a", "k", "x")).await.position;
    world.flush().await;
    assert_eq!(touch(&*log, "u:a").await, None);
    let after = add(&*log, knowing("u:a", before), keyed("a", "k", "x")).await;
    assert_ne!(after.position.epoch, before.epoch);
    assert_eq!((after.position.offset, after.repeated), (1, false), "its keys are gone with it");
    assert_eq!(open(&*log, knowing("u:a", before)).await.unwrap().position, after.position, "but once");
    let read = read(&*log, "u:a", Some(before.epoch), Cursor::After(1)).await;
    assert_eq!(read, Read::OtherEpoch(after.position));
}

pub async fn a_roll_back_begins_an_epoch(world: &dyn World) {
    let log = world.log();
    let copied = add(&*log, home("u:a"), keyed("a", "k1", "x")).await.position;
    world.copy().await;
    let lost = add(&*log, home("u:a"), keyed("a", "k2", "y")).await.position;
    assert_eq!((lost.epoch, lost.offset), (copied.epoch, 2));
    world.restore().await;
    let seen = read(&*log, "u:a", Some(lost.epoch), Cursor::After(lost.offset)).await;
    assert_eq!(seen, Read::RolledBack(copied));
    assert_eq!(
        open(&*log, knowing("u:a", copied)).await.unwrap().position,
        copied,
        "as far as this one knows"
    );
    let stranger = Position { offset: 9, ..open(&*log, home("u:b")).await.unwrap().position };
    assert_eq!(
        open(&*log, knowing("u:a", stranger)).await.unwrap().position,
        copied,
        "another epoch's offset"
    );
    let proof = knowing("u:a", lost);
    let opened = open(&*log, proof).await.unwrap();
    assert_eq!((opened.position, opened.first), (Position { epoch: proof.fresh, offset: 0 }, 1));
    let page = all(&*log, "u:a").await;
    assert!(page.entries.is_empty() && page.gap.is_none(), "{page:?}");
    let again = add(&*log, knowing("u:a", lost), keyed("a", "k1", "x")).await;
    assert_eq!((again.position, again.repeated), (Position { epoch: proof.fresh, offset: 1 }, false));
}

pub async fn an_append_notices_a_roll_back_too(world: &dyn World) {
    let log = world.log();
    add(&*log, home("u:a"), plain("1")).await;
    world.copy().await;
    let lost = add(&*log, home("u:a"), plain("2")).await.position;
    world.restore().await;
    let proof = knowing("u:a", lost);
    let batch = append(&*log, proof, plenty(), &[plain("3"), plain("4")]).await.unwrap();
    assert_eq!(batch.opened.position, Position { epoch: proof.fresh, offset: 2 });
    let page = all(&*log, "u:a").await;
    assert_eq!((offsets(&page), page.position), (vec![1, 2], batch.opened.position));
    assert_eq!(page.entries[0].data, "3");
}

pub async fn a_younger_generation_begins_an_epoch(world: &dyn World) {
    let log = world.log();
    let by = |version, generation| Open { fence: fence(version, generation), ..home("u:a") };
    let first = add(&*log, by(5, 1), keyed("a", "k", "x")).await.position;
    assert_eq!(open(&*log, by(6, 1)).await.unwrap().position, first);
    let younger = by(7, 2);
    assert_eq!(open(&*log, younger).await.unwrap().position, Position { epoch: younger.fresh, offset: 0 });
    assert_eq!(open(&*log, by(8, 2)).await.unwrap().position.epoch, younger.fresh, "but once");
    assert_eq!(open(&*log, by(8, 1)).await.unwrap().position.epoch, younger.fresh, "never back");
    assert_eq!(open(&*log, by(8, 2)).await.unwrap().position.epoch, younger.fresh, "nor forth again");
    let third = by(9, u64::MAX);
    let appended = add(&*log, third, keyed("a", "k", "x")).await;
    assert_eq!((appended.position, appended.repeated), (Position { epoch: third.fresh, offset: 1 }, false));
}

pub async fn a_stale_home_begins_nothing(world: &dyn World) {
    let log = world.log();
    let newer = Open { fence: fence(5, 2), ..home("u:a") };
    let position = add(&*log, newer, plain("1")).await.position;
    let beyond = Position { offset: 9, ..position };
    let stale = Open { fence: fence(4, 3), known: Some(beyond), ..home("u:a") };
    assert_eq!(open(&*log, stale).await.unwrap_err().code(), "stale_home");
    let refused = append(&*log, stale, plenty(), &[plain("2")]).await.unwrap_err();
    assert_eq!(refused.code(), "stale_home");
    assert_eq!(open(&*log, newer).await.unwrap().position, position);
}
