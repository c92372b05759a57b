//! The guards inside a store: who may be reaped, when, and by whom.

use ringdial_cluster::membership::{LeaseChange, LeaseHolder, MembershipStore, Swapped};
use tokio::time::{Instant, sleep};

use super::World;
use super::support::{SERVICE, Sample, holder, live_until};

pub async fn silence_extends_all_leases(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b"]);
    sample.put(&*store).await;
    sleep(2 * world.lease()).await;
    let lapsed = store.lapsed(&sample.line, &sample.holders()).await.unwrap();
    assert_eq!(lapsed, Vec::<String>::new(), "nobody could renew");
    assert!(store.renew(holder("a")).await.unwrap().held, "extended");
    sleep(2 * world.lease()).await;
    assert!(store.renew(holder("b")).await.unwrap().held, "whoever speaks first ends the silence for all");
    assert_eq!(store.poll(None).await.unwrap().lapsed, 0);
    // Extended by one lease, not for ever.
    live_until(&*store, &[holder("a")], |pulse| pulse.lapsed == 1).await;
}

pub async fn lapsed_members_are_told_to_one_caller_at_a_time(world: &dyn World) {
    let (store, other) = (world.store(SERVICE), world.store(SERVICE));
    let sample = Sample::of(&["a", "b", "c", "d"]);
    sample.put(&*store).await;
    let holders = sample.holders();
    live_until(&*store, &holders[..3], |pulse| pulse.lapsed == 1).await;
    let first = Instant::now();
    assert_eq!(store.lapsed(&sample.line, &holders).await.unwrap(), ["d"]);
    let again = other.lapsed(&sample.line, &holders).await.unwrap();
    assert!(again.is_empty() || first.elapsed() >= world.lease() / 6, "told twice");
    // Whoever was told did nothing about it: somebody else is told.
    let deadline = Instant::now() + 20 * world.lease();
    loop {
        live_until(&*store, &holders[..3], |_| true).await;
        if other.lapsed(&sample.line, &holders).await.unwrap() == ["d"] {
            break;
        }
        assert!(Instant::now() < deadline, "told to nobody any more");
        sleep(world.lease() / 20).await;
    }
}

pub async fn a_stale_view_reaps_nobody(world: &dyn World) {
    let store = world.store(SERVICE);
    let (sample, stale) = (Sample::of(&["a", "b"]), Sample::of(&["b"]));
    sample.put(&*store).await;
    live_until(&*store, &[holder("a")], |pulse| pulse.lapsed == 1).await;
    assert!(store.lapsed(&stale.line, &stale.holders()).await.unwrap().is_empty());
    assert_eq!(store.poll(None).await.unwrap().leases, 2, "nor does it end leases");
    assert_eq!(store.lapsed(&sample.line, &sample.holders()).await.unwrap(), ["b"]);
}

pub async fn a_reap_is_refused_unless_all_are_lapsed(world: &dyn World) {
    let store = world.store(SERVICE);
    let (sample, rest) = (Sample::of(&["a", "b", "c"]), Sample::of(&["a"]));
    sample.put(&*store).await;
    live_until(&*store, &[holder("a"), holder("c")], |pulse| pulse.lapsed == 1).await;
    for ids in [&["b", "c"][..], &["c"], &["x"]] {
        assert_eq!(reap(&*store, &sample, &rest, ids).await, Swapped::Refused, "{ids:?}");
    }
    assert_eq!(store.read().await.unwrap(), sample.stored(), "nothing was changed");
    assert_eq!(reap(&*store, &sample, &rest, &["b"]).await, Swapped::Done);
    let pulse = store.poll(None).await.unwrap();
    assert_eq!((pulse.leases, pulse.lapsed), (2, 0));
    assert!(!store.renew(holder("b")).await.unwrap().held);
}

pub async fn half_of_the_members_stay_for_two_leases(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b", "c", "d", "e"]);
    sample.put(&*store).await;
    live_until(&*store, &[], |pulse| pulse.lapsed == 5).await;
    let told = store.lapsed(&sample.line, &sample.holders()).await.unwrap();
    assert_eq!(told.len(), 3, "half of five, rounded up");
    let all = ["a", "b", "c", "d", "e"];
    assert_eq!(
        reap(&*store, &sample, &sample, &all[..4]).await,
        Swapped::Refused,
        "asking for more does not help"
    );
    let two: Vec<&str> = told.iter().map(String::as_str).take(2).collect();
    let first = Instant::now();
    assert_eq!(reap(&*store, &sample, &sample, &two).await, Swapped::Done);
    let rest: Vec<&str> = all.into_iter().filter(|id| !two.contains(id)).collect();
    let rest_sample = Sample::of(&rest);
    assert_eq!(
        store.swap(&sample.stored(), &rest_sample.record, LeaseChange::Keep).await.unwrap(),
        Swapped::Done
    );
    assert_eq!(reap(&*store, &rest_sample, &rest_sample, &rest[..2]).await, Swapped::Refused, "two and two");
    assert_eq!(reap(&*store, &rest_sample, &rest_sample, &rest[..1]).await, Swapped::Done, "two and one");
    assert_eq!(
        reap(&*store, &rest_sample, &rest_sample, &rest[1..2]).await,
        Swapped::Refused,
        "three and one"
    );
    let deadline = Instant::now() + 20 * world.lease();
    while reap(&*store, &rest_sample, &rest_sample, &rest[1..2]).await != Swapped::Done {
        assert!(Instant::now() < deadline, "never again");
        sleep(world.lease() / 20).await;
    }
    assert!(first.elapsed() >= 2 * world.lease() - world.lease() / 20, "only after two leases");
}

pub async fn leases_follow_the_members(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b"]);
    sample.put(&*store).await;
    let ghost = LeaseChange::Grant { holder: holder("ghost"), only_lapsed: false };
    assert_eq!(store.swap(&sample.stored(), &sample.record, ghost).await.unwrap(), Swapped::Done);
    let end = LeaseChange::End { id: "b" };
    assert_eq!(store.swap(&sample.stored(), &sample.record, end).await.unwrap(), Swapped::Done);
    assert!(!store.renew(holder("b")).await.unwrap().held);
    assert!(store.lapsed(&sample.line, &sample.holders()).await.unwrap().is_empty());
    assert_eq!(store.poll(None).await.unwrap().leases, 2);
    assert!(!store.renew(holder("ghost")).await.unwrap().held, "no member");
    assert!(store.renew(holder("b")).await.unwrap().held, "a member without a lease got one");
    assert!(!store.renew(LeaseHolder { id: "b", generation: 2 }).await.unwrap().held);
}

async fn reap(store: &dyn MembershipStore, from: &Sample, to: &Sample, ids: &[&str]) -> Swapped {
    // A look for signs of life, so that no silence extends leases between two steps.
    store.poll(None).await.unwrap();
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let leases = LeaseChange::Reap { ids: &ids, members: from.ids.len() as u64 };
    store.swap(&from.stored(), &to.record, leases).await.unwrap()
}
