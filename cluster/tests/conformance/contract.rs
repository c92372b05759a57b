//! The operations of a store, one by one.

use std::time::Duration;

use bytes::Bytes;
use ringdial_cluster::membership::{Glimpse, LeaseChange, LeaseHolder, Stored, Swapped};
use ringdial_cluster::ring::RECORD_BYTES_MAX;

use tokio::time::{Instant, sleep};

use super::World;
use super::support::{SERVICE, Sample, holder, live_until, until, until_within};

pub async fn an_empty_store_says_so(world: &dyn World) {
    let store = world.store(SERVICE);
    assert_eq!(store.read().await.unwrap(), Stored::Absent);
    let pulse = store.poll(None).await.unwrap();
    assert_eq!((pulse.glimpse, pulse.leases, pulse.lapsed), (Glimpse::Absent, 0, 0));
    let renewal = store.renew(holder("a")).await.unwrap();
    assert_eq!((renewal.held, renewal.glimpse), (false, Glimpse::Absent));
    assert!(store.lapsed(b"x", &[holder("a")]).await.unwrap().is_empty());
}

pub async fn a_swap_compares_the_whole_record(world: &dyn World) {
    let store = world.store(SERVICE);
    let (sample, next) = (Sample::of(&["a"]), Sample::of(&["a", "b"]));
    let keep = LeaseChange::Keep;
    assert_eq!(store.swap(&next.stored(), &sample.record, keep).await.unwrap(), Swapped::Changed, "absent");
    assert_eq!(store.swap(&Stored::Absent, &sample.record, keep).await.unwrap(), Swapped::Done);
    assert_eq!(
        store.swap(&Stored::Absent, &next.record, keep).await.unwrap(),
        Swapped::Changed,
        "no longer absent"
    );
    let mut same_header = sample.record.to_vec();
    *same_header.last_mut().unwrap() ^= 1;
    let same_header = Stored::Record(same_header.into());
    assert_eq!(store.swap(&same_header, &next.record, keep).await.unwrap(), Swapped::Changed, "another body");
    assert_eq!(store.read().await.unwrap(), sample.stored());
    let whole = Glimpse::Record { line: sample.line.clone(), bytes: sample.record.len() as u64 };
    assert_eq!(store.poll(None).await.unwrap().glimpse, whole);
    assert_eq!(store.swap(&sample.stored(), &next.record, keep).await.unwrap(), Swapped::Done);
    assert_eq!(store.read().await.unwrap(), next.stored());
}

pub async fn a_lease_is_renewed_by_its_generation_only(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a"]);
    sample.put(&*store).await;
    let whole = Glimpse::Record { line: sample.line.clone(), bytes: sample.record.len() as u64 };
    let renewal = store.renew(holder("a")).await.unwrap();
    assert_eq!((renewal.held, renewal.glimpse), (true, whole));
    assert!(!store.renew(LeaseHolder { id: "a", generation: 2 }).await.unwrap().held);
    assert!(!store.renew(holder("b")).await.unwrap().held);
    let younger = LeaseHolder { id: "a", generation: 2 };
    let grant = LeaseChange::Grant { holder: younger, only_lapsed: false };
    assert_eq!(store.swap(&sample.stored(), &sample.record, grant).await.unwrap(), Swapped::Done);
    assert!(store.renew(younger).await.unwrap().held);
    assert!(!store.renew(holder("a")).await.unwrap().held, "replaced");
    let end = LeaseChange::End { id: "a" };
    assert_eq!(store.swap(&sample.stored(), &sample.record, end).await.unwrap(), Swapped::Done);
    assert!(!store.renew(younger).await.unwrap().held, "ended");
    assert_eq!(store.poll(None).await.unwrap().leases, 0);
}

pub async fn a_lease_lapses_on_the_stores_clock(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b"]);
    sample.put(&*store).await;
    let pulse = live_until(&*store, &[holder("a")], |pulse| pulse.lapsed > 0).await;
    assert_eq!((pulse.leases, pulse.lapsed), (2, 1));
    assert!(!store.renew(holder("b")).await.unwrap().held, "a lapsed lease is not renewed");
    assert!(store.renew(holder("a")).await.unwrap().held);
}

pub async fn a_grant_may_spare_a_running_lease(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a"]);
    sample.put(&*store).await;
    let younger = LeaseHolder { id: "a", generation: 2 };
    let grant = LeaseChange::Grant { holder: younger, only_lapsed: true };
    assert_eq!(store.swap(&sample.stored(), &sample.record, grant).await.unwrap(), Swapped::Refused);
    assert!(store.renew(holder("a")).await.unwrap().held, "untouched");
    live_until(&*store, &[], |pulse| pulse.lapsed == 1).await;
    assert_eq!(store.swap(&sample.stored(), &sample.record, grant).await.unwrap(), Swapped::Done);
    assert!(store.renew(younger).await.unwrap().held);
}

pub async fn a_reset_leaves_no_other_leases(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b"]);
    sample.put(&*store).await;
    live_until(&*store, &[], |pulse| pulse.lapsed == 2).await;
    let (a, c) = (LeaseHolder { id: "a", generation: 5 }, LeaseHolder { id: "c", generation: 6 });
    let reset = LeaseChange::Reset { holders: &[a, c] };
    assert_eq!(store.swap(&sample.stored(), &sample.record, reset).await.unwrap(), Swapped::Done);
    let pulse = store.poll(None).await.unwrap();
    assert_eq!((pulse.leases, pulse.lapsed), (2, 0));
    assert!(store.renew(a).await.unwrap().held && store.renew(c).await.unwrap().held);
    assert!(!store.renew(holder("b")).await.unwrap().held);
}

pub async fn generations_grow_even_over_a_flush(world: &dyn World) {
    let (store, other) = (world.store(SERVICE), world.store(SERVICE));
    let mut last = store.next_generation(0).await.unwrap();
    assert!(last > 1_600_000_000_000, "at least the time in milliseconds");
    for _ in 0..20 {
        let next = other.next_generation(0).await.unwrap();
        assert!(next > last);
        last = next;
    }
    assert_eq!(store.next_generation(last + 1_000_000).await.unwrap(), last + 1_000_001);
    world.flush().await;
    assert!(store.next_generation(last + 1_000_001).await.unwrap() > last + 1_000_001);
    sleep(Duration::from_millis(50)).await;
    world.flush().await;
    assert!(store.next_generation(0).await.unwrap() > last, "by the clock alone");
}

pub async fn services_are_apart(world: &dyn World) {
    let (dc, wecheck) = (world.store("dc"), world.store("wecheck"));
    let sample = Sample::of(&["a"]);
    let notices = wecheck.notices();
    let noticed = *notices.borrow();
    sample.put(&*dc).await;
    assert_eq!(wecheck.read().await.unwrap(), Stored::Absent);
    assert_eq!(wecheck.poll(None).await.unwrap().leases, 0);
    assert!(!wecheck.renew(holder("a")).await.unwrap().held);
    sample.put(&*wecheck).await;
    until("a notice", || *notices.borrow() > noticed, || "none".to_owned()).await;
    let end = LeaseChange::End { id: "a" };
    assert_eq!(dc.swap(&sample.stored(), &Bytes::from_static(b"dc"), end).await.unwrap(), Swapped::Done);
    assert_eq!(wecheck.read().await.unwrap(), sample.stored());
    assert!(wecheck.renew(holder("a")).await.unwrap().held);
}

pub async fn what_is_no_record_can_be_seen_and_replaced(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a"]);
    let large = RECORD_BYTES_MAX as u64 + 1;
    let full = Stored::Record(vec![b'x'; RECORD_BYTES_MAX].into());
    for foreign in [Stored::WrongType, Stored::Oversized { bytes: large }, full, Stored::Record(Bytes::new())]
    {
        world.overwrite(SERVICE, foreign.clone()).await;
        let read = store.read().await.unwrap();
        assert!(read == foreign, "read something else");
        match (store.poll(None).await.unwrap().glimpse, &foreign) {
            (Glimpse::WrongType, Stored::WrongType) => {}
            (Glimpse::Record { bytes, .. }, Stored::Oversized { .. }) => assert_eq!(bytes, large),
            (Glimpse::Record { bytes, .. }, Stored::Record(record)) => assert_eq!(bytes, record.len() as u64),
            (glimpse, _) => panic!("{glimpse:?}"),
        }
        let grant = LeaseChange::Grant { holder: holder("a"), only_lapsed: false };
        assert_eq!(store.swap(&Stored::Absent, &sample.record, grant).await.unwrap(), Swapped::Changed);
        assert_eq!(store.swap(&read, &sample.record, grant).await.unwrap(), Swapped::Done);
        assert_eq!(store.read().await.unwrap(), sample.stored());
    }
}

pub async fn a_swap_is_noticed_by_others(world: &dyn World) {
    let (store, other) = (world.store(SERVICE), world.store(SERVICE));
    let notices = other.notices();
    other.poll(None).await.unwrap();
    let sample = Sample::of(&["a"]);
    sample.put(&*store).await;
    // A subscription may have been confirmed after the first swap: then that is the notice.
    for _ in 0..2 {
        let noticed = *notices.borrow();
        let swapped = store.swap(&sample.stored(), &sample.record, LeaseChange::Keep).await.unwrap();
        assert_eq!(swapped, Swapped::Done);
        // Sooner than subscriptions are made again.
        until_within(
            Duration::from_secs(5),
            "a notice",
            || *notices.borrow() > noticed,
            || "none".to_owned(),
        )
        .await;
    }
}

pub async fn the_turn_is_one_callers_at_a_time(world: &dyn World) {
    let (store, other) = (world.store(SERVICE), world.store(SERVICE));
    other.poll(None).await.unwrap();
    let taken = Instant::now();
    assert!(store.take_turn().await.unwrap());
    let again = other.take_turn().await.unwrap();
    assert!(!again || taken.elapsed() >= world.lease() / 15, "two at a time");
    let taken = Instant::now();
    while !other.take_turn().await.unwrap() {
        assert!(taken.elapsed() < Duration::from_secs(20), "the turn of a dead process never ends");
        sleep(Duration::from_millis(5)).await;
    }
    let sample = Sample::of(&["a"]);
    sample.put(&*other).await;
    assert!(store.take_turn().await.unwrap(), "a change ends the turn");
}
