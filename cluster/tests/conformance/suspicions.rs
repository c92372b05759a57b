//! Who seems dead to whom, as the store keeps it: until a renewal, and with a majority for less than a lease.

use std::time::Duration;

use ringdial_cluster::membership::{LeaseChange, LeaseHolder, MembershipStore, Sayer, Suspect, Swapped};
use tokio::time::{Instant, sleep};

use super::World;
use super::support::{SERVICE, Sample, holder, live_until, until_within};

fn member(id: &str) -> Sayer<'_> {
    Sayer::Member(holder(id))
}

async fn suspects(store: &dyn MembershipStore) -> Vec<String> {
    let mut ids: Vec<_> =
        store.poll(None).await.unwrap().suspects.into_iter().map(|suspect| suspect.id).collect();
    ids.sort();
    ids
}

pub async fn a_suspicion_ends_with_a_renewal(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a", "b", "c"]).put(&*store).await;
    assert_eq!(store.suspect(member("a"), &[holder("c")], &[]).await.unwrap(), 0);
    store.suspect(Sayer::Observer("x"), &[holder("b"), holder("c")], &[]).await.unwrap();
    assert_eq!(suspects(&*store).await, ["b", "c"]);
    let older = LeaseHolder { id: "c", generation: 2 };
    assert!(!store.renew(older).await.unwrap().held);
    assert_eq!(suspects(&*store).await, ["b", "c"], "somebody else's renewal");
    assert!(store.renew(holder("c")).await.unwrap().held);
    assert!(store.renew(holder("a")).await.unwrap().held);
    let pulse = store.poll(None).await.unwrap();
    assert_eq!(pulse.suspects, [Suspect { id: "b".to_owned(), generation: 1 }]);
    assert_eq!(pulse.due, None, "no lease was capped");
}

pub async fn what_is_said_of_nobody_is_ignored(world: &dyn World) {
    let store = world.store(SERVICE);
    let ghost = [holder("ghost"), LeaseHolder { id: "a", generation: 2 }];
    assert_eq!(store.suspect(Sayer::Observer("x"), &ghost, &ghost).await.unwrap(), 0);
    assert!(suspects(&*store).await.is_empty());
    Sample::of(&["a", "b"]).put(&*store).await;
    assert_eq!(store.suspect(member("b"), &ghost, &ghost).await.unwrap(), 0);
    assert!(suspects(&*store).await.is_empty());
    assert!(store.renew(holder("a")).await.unwrap().held);
}

pub async fn a_saying_is_taken_back_by_who_said_it(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a", "b", "c", "d"]).put(&*store).await;
    let (c, nobody) = (vec![holder("c")], vec![]);
    store.suspect(member("a"), &c, &nobody).await.unwrap();
    store.suspect(Sayer::Observer("a"), &c, &nobody).await.unwrap();
    store.suspect(Sayer::Observer("x"), &nobody, &c).await.unwrap();
    store.suspect(member("b"), &nobody, &c).await.unwrap();
    assert_eq!(suspects(&*store).await, ["c"], "they had said nothing");
    store.suspect(Sayer::Observer("a"), &nobody, &c).await.unwrap();
    assert_eq!(suspects(&*store).await, ["c"], "a member and an observer of one name are two");
    store.suspect(member("a"), &[holder("b")], &c).await.unwrap();
    assert_eq!(suspects(&*store).await, ["b"]);
    assert_eq!(store.suspect(member("d"), &[holder("c")], &[]).await.unwrap(), 0, "one of three");
}

pub async fn a_saying_is_taken_back_without_a_lease_too(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b", "c"]);
    sample.put(&*store).await;
    let c = [holder("c")];
    store.suspect(member("a"), &c, &[]).await.unwrap();
    let end = LeaseChange::End { id: "a" };
    assert_eq!(store.swap(&sample.stored(), &sample.record, end).await.unwrap(), Swapped::Done);
    store.suspect(Sayer::Observer("a"), &[], &c).await.unwrap();
    assert_eq!(suspects(&*store).await, ["c"], "no observer said it");
    store.suspect(member("a"), &[], &c).await.unwrap();
    assert!(suspects(&*store).await.is_empty());
}

pub async fn a_suspicion_ends_with_its_lease(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b", "c"]);
    sample.put(&*store).await;
    let (two, all) = (vec![holder("b"), holder("c")], sample.holders());
    let say = async || {
        store.suspect(member("a"), &two, &[]).await.unwrap();
        assert_eq!(suspects(&*store).await, ["b", "c"]);
    };
    say().await;
    let swap = async |leases| {
        let swapped = store.swap(&sample.stored(), &sample.record, leases).await.unwrap();
        assert_eq!(swapped, Swapped::Done);
    };
    let younger = LeaseHolder { id: "b", generation: 2 };
    swap(LeaseChange::Grant { holder: younger, only_lapsed: false }).await;
    assert_eq!(suspects(&*store).await, ["c"], "a younger incarnation");
    swap(LeaseChange::End { id: "c" }).await;
    assert!(suspects(&*store).await.is_empty(), "it left");
    swap(LeaseChange::Reset { holders: &all }).await;
    say().await;
    swap(LeaseChange::Reset { holders: &all }).await;
    assert!(suspects(&*store).await.is_empty(), "everybody has a new lease");
}

pub async fn a_majority_of_the_other_members_caps_the_lease(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b", "c", "d", "e"]);
    sample.put(&*store).await;
    for holder in sample.holders() {
        assert!(store.renew(holder).await.unwrap().held);
    }
    let e = vec![holder("e")];
    let say = async |by| store.suspect(by, &e, &[]).await.unwrap();
    for name in ["x", "y", "z", "w"] {
        assert_eq!(say(Sayer::Observer(name)).await, 0, "observers never count");
    }
    assert_eq!(say(member("e")).await, 0, "nor does the suspect");
    let impostor = LeaseHolder { id: "c", generation: 2 };
    assert_eq!(say(Sayer::Member(impostor)).await, 0, "nor who does not hold the lease");
    for by in ["a", "a", "b", "b"] {
        assert_eq!(say(member(by)).await, 0, "two of four others");
    }
    assert_eq!(store.poll(None).await.unwrap().due, None);
    assert_eq!(say(member("d")).await, 1, "three of four");
    assert_eq!(say(member("c")).await, 0, "once");
    let pulse = store.poll(None).await.unwrap();
    match pulse.due {
        Some(due) => assert!(due <= world.lease() * 3 / 10, "{due:?}"),
        None => assert_eq!(pulse.lapsed, 1, "it may be over already, on a busy machine"),
    }
    let others = &sample.holders()[..4];
    let pulse = live_until(&*store, others, |pulse| pulse.lapsed == 1).await;
    assert_eq!((pulse.due, pulse.suspects.len()), (None, 1));
    assert!(!store.renew(e[0]).await.unwrap().held);
    assert_eq!(store.lapsed(&sample.line, &sample.holders()).await.unwrap(), ["e"]);
}

pub async fn a_capped_lease_lasts_three_tenths_of_a_lease(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b"]);
    sample.put(&*store).await;
    let (renewing, b) = (Instant::now(), [holder("b")]);
    assert!(store.renew(b[0]).await.unwrap().held);
    assert_eq!(store.suspect(member("a"), &b, &[]).await.unwrap(), 1, "the only other one");
    live_until(&*store, &[holder("a")], |pulse| pulse.lapsed == 1).await;
    assert!(renewing.elapsed() >= world.lease() * 3 / 10 - Duration::from_millis(1), "too soon");
}

pub async fn a_renewal_in_time_lifts_the_cap(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a", "b"]).put(&*store).await;
    let b = [holder("b")];
    let mut lifted = 0;
    for _ in 0..10 {
        assert_eq!(store.suspect(member("a"), &b, &[]).await.unwrap(), 1);
        if !store.renew(b[0]).await.unwrap().held {
            // Too late, on a busy machine: the lease had lapsed.
            return;
        }
        lifted += 1;
        let pulse = store.poll(None).await.unwrap();
        assert_eq!((pulse.suspects.len(), pulse.due), (0, None));
    }
    let renewed = Instant::now();
    live_until(&*store, &[holder("a")], |pulse| pulse.lapsed == 1).await;
    assert!(renewed.elapsed() >= world.lease() * 8 / 10, "a whole lease again, after {lifted} caps");
}

pub async fn a_lease_that_a_stall_extended_is_capped_again(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a", "b"]).put(&*store).await;
    let b = [holder("b")];
    for _ in 0..2 {
        assert_eq!(store.suspect(member("a"), &b, &[]).await.unwrap(), 1);
        sleep(world.lease()).await;
        let pulse = store.poll(None).await.unwrap();
        assert_eq!((pulse.lapsed, pulse.due, pulse.suspects.len()), (0, None, 1), "a fresh lease");
    }
}

pub async fn alone_nobody_is_capped(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a"]).put(&*store).await;
    for by in [member("a"), Sayer::Observer("x")] {
        assert_eq!(store.suspect(by, &[holder("a")], &[]).await.unwrap(), 0);
    }
    assert_eq!(suspects(&*store).await, ["a"]);
}

pub async fn sayers_whose_leases_lapsed_do_not_count(world: &dyn World) {
    let store = world.store(SERVICE);
    let sample = Sample::of(&["a", "b", "c", "d"]);
    sample.put(&*store).await;
    let d = [holder("d")];
    assert_eq!(store.suspect(member("a"), &d, &[]).await.unwrap(), 0);
    live_until(&*store, &[holder("b"), holder("c")], |pulse| pulse.lapsed >= 1).await;
    // Both lapse in the same moment, the suspect too.
    live_until(&*store, &[holder("b"), holder("c")], |pulse| pulse.lapsed == 2).await;
    assert_eq!(store.suspect(member("b"), &d, &[]).await.unwrap(), 0, "a's word is void");
    assert_eq!(store.suspect(member("c"), &d, &[]).await.unwrap(), 1);
}

pub async fn suspicions_are_noticed_when_they_begin_and_end(world: &dyn World) {
    let (store, other) = (world.store(SERVICE), world.store(SERVICE));
    let notices = other.notices();
    let sample = Sample::of(&["a", "b", "c", "d"]);
    sample.put(&*store).await;
    // The first notice may be that of a subscription; the second one shows that it stands.
    for _ in 0..2 {
        let before = *notices.borrow();
        let swapped = store.swap(&sample.stored(), &sample.record, LeaseChange::Keep).await.unwrap();
        assert_eq!(swapped, Swapped::Done);
        let noticed = || *notices.borrow() > before;
        until_within(Duration::from_secs(5), "a notice", noticed, || "none".to_owned()).await;
    }
    sleep(Duration::from_millis(300)).await;
    let c = vec![holder("c")];
    let noticed = async |what: &str, before: u64| {
        let patience = Duration::from_secs(5);
        until_within(patience, what, || *notices.borrow() > before, || "none".to_owned()).await;
        *notices.borrow()
    };
    let mut count = *notices.borrow();
    store.suspect(member("a"), &c, &[]).await.unwrap();
    count = noticed("the first saying", count).await;
    store.suspect(Sayer::Observer("x"), &c, &[]).await.unwrap();
    store.suspect(member("a"), &[], &c).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(*notices.borrow(), count, "one more or one less is no news");
    store.suspect(Sayer::Observer("x"), &[], &c).await.unwrap();
    count = noticed("that nobody says it any more", count).await;
    store.suspect(member("a"), &c, &[]).await.unwrap();
    count = noticed("a saying anew", count).await;
    store.suspect(member("b"), &c, &[]).await.unwrap();
    count = noticed("the cap", count).await;
    if store.renew(c[0]).await.unwrap().held {
        count = noticed("the renewal", count).await;
    }
    store.renew(holder("a")).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(*notices.borrow(), count, "who is not suspected renews in silence");
}

pub async fn observers_count_for_two_leases(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a"]).put(&*store).await;
    assert_eq!(store.poll(None).await.unwrap().observers, 0);
    assert_eq!(store.poll(Some("x")).await.unwrap().observers, 1);
    assert_eq!(store.poll(Some("x")).await.unwrap().observers, 1);
    let last = Instant::now();
    assert_eq!(store.poll(Some("y")).await.unwrap().observers, 2);
    assert_eq!(world.store("wecheck").poll(None).await.unwrap().observers, 0, "of each service");
    loop {
        let pulse = store.poll(Some("y")).await.unwrap();
        if pulse.observers == 1 {
            break;
        }
        assert!(last.elapsed() < 20 * world.lease(), "counted for ever");
        sleep(world.lease() / 20).await;
    }
    assert!(last.elapsed() >= 2 * world.lease() - Duration::from_millis(1));
    assert_eq!(store.poll(None).await.unwrap().observers, 1);
}

pub async fn stalls_are_told(world: &dyn World) {
    let store = world.store(SERVICE);
    Sample::of(&["a"]).put(&*store).await;
    let before = store.poll(None).await.unwrap().stalled;
    sleep(world.lease()).await;
    let first = store.poll(None).await.unwrap().stalled;
    assert!(first > before);
    sleep(world.lease()).await;
    store.renew(holder("a")).await.unwrap();
    assert!(store.poll(None).await.unwrap().stalled > first, "whoever ends it");
}
