//! Keepers in agreement with each other: members come, go, crash, pause and are replaced.

use ringdial_cluster::membership::{Keeper, Offered, Role};
use ringdial_cluster::ring::{MemberState, SLOTS};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::World;
use super::support::{
    Frail, Process, SERVICE, config, keys, live_until, other_keys, ring_of, sealed, spec, until,
};

pub async fn a_member_registers_renews_and_leaves(world: &dyn World) {
    let observer = Process::observer(world).await;
    assert!(observer.keeper.ring().is_none(), "an observer makes no ring");
    let a = Process::node(world, "a").await;
    let b = Process::node(world, "b").await;
    for process in [&observer, &a, &b] {
        process.sees(&["a", "b"]).await;
    }
    let (ring, generation) = (observer.ring(), a.generation());
    assert_eq!((ring.version().term, ring.version().number), (1, 2));
    assert_eq!(ring.member("a").map(|member| member.generation), generation);
    assert!(generation > Some(0) && b.generation() > generation);
    sleep(3 * world.lease()).await;
    assert_eq!(
        (observer.ring().version(), a.generation()),
        (ring.version(), generation),
        "leases are renewed"
    );
    a.keeper.leave().await.unwrap();
    assert_eq!(a.generation(), None);
    for process in [&observer, &a, &b] {
        process.sees(&["b"]).await;
    }
    assert_eq!(world.store(SERVICE).poll(None).await.unwrap().leases, 1);
    b.keeper.leave().await.unwrap();
    observer.sees(&[]).await;
    assert_eq!(observer.ring().version().number, 4);
    assert_eq!(observer.keeper.status().counts.reaped, 0);
}

/// A process that is ended between its registration's reaching the store and its hearing of that.
pub async fn a_start_that_is_ended_takes_its_registration_back(world: &dyn World) {
    let observer = Process::observer(world).await;
    let store = Frail::new(world.store(SERVICE));
    store.hold(Some("swap"));
    let shutdown = CancellationToken::new();
    let starting =
        tokio::spawn(Keeper::start(store.clone(), config(Role::Member(spec("a"))), shutdown.clone()));
    until("the swap", || store.held_back() == 1, || store.held_back().to_string()).await;
    observer.sees(&["a"]).await;
    shutdown.cancel();
    store.hold(None);
    let error = starting.await.unwrap().err().expect("it was ended");
    assert_eq!(error.code(), "membership_stopped");
    observer.sees(&[]).await;
    assert_eq!(world.store(SERVICE).poll(None).await.unwrap().leases, 0);
    assert_eq!(observer.keeper.status().counts.reaped, 0);
}

pub async fn racing_registrants_all_get_in(world: &dyn World) {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let processes = futures_util::future::join_all(ids.iter().map(|id| Process::node(world, id))).await;
    for process in &processes {
        process.sees(&ids).await;
    }
    // One ring, and no change lost or made twice: a lost race reads again.
    let ring = processes[0].ring();
    assert_eq!((ring.version().term, ring.version().number), (1, 8));
    assert!(processes.iter().all(|process| *process.ring() == *ring));
    let mut generations: Vec<_> = ring.members().map(|member| member.generation).collect();
    generations.sort_unstable();
    generations.dedup();
    assert_eq!(generations.len(), ids.len());
    assert!(ids.iter().all(|id| ring.slot_count(id) as usize == SLOTS / ids.len()));
}

pub async fn anybody_reaps_a_crashed_member(world: &dyn World) {
    let observer = Process::observer(world).await;
    let (a, b, c) =
        (Process::node(world, "a").await, Process::node(world, "b").await, Process::node(world, "c").await);
    observer.sees(&["a", "b", "c"]).await;
    drop(c);
    for process in [&observer, &a, &b] {
        process.sees(&["a", "b"]).await;
    }
    assert_eq!(observer.ring().version().number, 4, "reaped once");
    drop(b);
    observer.sees(&["a"]).await;
    drop(a);
    // Nobody but the observer is left to do it.
    observer.sees(&[]).await;
    let reaped = observer.keeper.status().counts.reaped;
    assert!(reaped >= 1, "{reaped}");
}

pub async fn a_draining_member_gives_up_slots_and_stays(world: &dyn World) {
    let a = Process::node(world, "a").await;
    let frail = Frail::new(world.store(SERVICE));
    let b = Process::start(frail.clone(), config(Role::Member(spec("b")))).await.unwrap();
    b.keeper.drain().await.unwrap();
    let draining = |ring: &ringdial_cluster::ring::Ring| {
        ring.slot_count("b") == 0
            && ring.member("b").is_some_and(|member| member.state == MemberState::Draining)
    };
    a.sees_that("b without slots", draining).await;
    let generation = b.generation();
    // Paused and reaped meanwhile: it comes back draining.
    frail.cut(true);
    a.sees(&["a"]).await;
    frail.cut(false);
    a.sees_that("b draining again", draining).await;
    until("a younger b", || b.generation() > generation, || format!("{:?}", b.generation())).await;
    let version = a.ring().version();
    b.keeper.drain().await.unwrap();
    sleep(world.lease()).await;
    assert_eq!(a.ring().version(), version, "draining again changes nothing");
}

pub async fn who_waits_for_the_turn_to_drain_keeps_its_lease(world: &dyn World) {
    let a = Process::node(world, "a").await;
    let frail = Frail::new(world.store(SERVICE));
    let b = Process::start(frail.clone(), config(Role::Member(spec("b")))).await.unwrap();
    a.sees(&["a", "b"]).await;
    frail.keep_busy();
    let (before, began) = (frail.renewals(), Instant::now());
    b.keeper.drain().await.unwrap();
    assert!(began.elapsed() >= world.lease(), "the turn never came");
    let renewals = frail.renewals() - before;
    assert!(renewals >= 3, "{renewals} renewals in a lease");
    a.sees_that("b draining", |ring| ring.slot_count("b") == 0 && ring.member("b").is_some()).await;
}

pub async fn anybody_may_drain_a_member(world: &dyn World) {
    let observer = Process::observer(world).await;
    assert!(!observer.keeper.drain_member("b").await.unwrap(), "there is no ring yet");
    let a = Process::node(world, "a").await;
    let frail = Frail::new(world.store(SERVICE));
    let b = Process::start(frail.clone(), config(Role::Member(spec("b")))).await.unwrap();
    observer.sees(&["a", "b"]).await;
    assert!(!observer.keeper.drain_member("c").await.unwrap());
    assert!(observer.keeper.drain_member("b").await.unwrap());
    let draining = |ring: &ringdial_cluster::ring::Ring| {
        ring.slot_count("b") == 0
            && ring.member("b").is_some_and(|member| member.state == MemberState::Draining)
    };
    assert!(draining(&observer.ring()), "whoever asked sees it at once");
    b.sees_that("itself draining", draining).await;
    let version = observer.ring().version();
    assert!(a.keeper.drain_member("b").await.unwrap());
    // A poll of its own, by which it remembers.
    sleep(world.lease()).await;
    assert_eq!(observer.ring().version(), version, "draining again changes nothing");
    let generation = b.generation();
    frail.cut(true);
    a.sees(&["a"]).await;
    frail.cut(false);
    a.sees_that("b draining again", draining).await;
    until("a younger b", || b.generation() > generation, || format!("{:?}", b.generation())).await;
}

pub async fn a_living_id_elsewhere_is_in_use(world: &dyn World) {
    let observer = Process::observer(world).await;
    let a = Process::node(world, "a").await;
    observer.sees(&["a"]).await;
    let mut elsewhere = spec("a");
    elsewhere.peer = "elsewhere.internal:7000".to_owned();
    let refused = Process::start(world.store(SERVICE), config(Role::Member(elsewhere.clone()))).await;
    let error = refused.err().expect("refused");
    assert_eq!((error.code(), error.temporary()), ("id_in_use", false));
    assert!(error.to_string().contains("a.internal:7000"), "{error}");
    assert_eq!(observer.ring().version().number, 1, "nothing was changed");
    drop(a);
    // A crashed node's id is free when its lease has lapsed, whether or not it was reaped already.
    let store = world.store(SERVICE);
    live_until(&*store, &[], |pulse| pulse.lapsed == 1 || pulse.leases == 0).await;
    let b = Process::start(store, config(Role::Member(elsewhere))).await.unwrap();
    let moved = |ring: &ringdial_cluster::ring::Ring| {
        ring.member("a").is_some_and(|member| member.peer == "elsewhere.internal:7000")
    };
    observer.sees_that("a at its new address", moved).await;
    drop(b);
}

pub async fn the_same_addresses_replace(world: &dyn World) {
    let observer = Process::observer(world).await;
    let old = Process::node(world, "a").await;
    let generation = old.generation();
    let new = Process::node(world, "a").await;
    assert!(new.generation() > generation);
    let failure = old.keeper.failure();
    let code = || failure.borrow().as_ref().map(|error| error.code());
    until("the older one's end", || code() == Some("id_replaced"), || format!("{:?}", code())).await;
    assert_eq!(old.generation(), None);
    sleep(2 * world.lease()).await;
    assert_eq!(observer.ring().member("a").map(|member| member.generation), new.generation());
    assert_eq!(observer.ring().version().number, 2, "they do not fight");
    old.keeper.leave().await.unwrap();
    assert_eq!(observer.ids(), ["a"], "the older one takes nobody out");
}

pub async fn a_paused_member_registers_again(world: &dyn World) {
    let a = Process::node(world, "a").await;
    let frail = Frail::new(world.store(SERVICE));
    let b = Process::start(frail.clone(), config(Role::Member(spec("b")))).await.unwrap();
    a.sees(&["a", "b"]).await;
    let generation = b.generation();
    frail.cut(true);
    a.sees(&["a"]).await;
    assert_eq!(b.ids(), ["a", "b"], "it keeps the view that it has");
    frail.cut(false);
    a.sees(&["a", "b"]).await;
    until("a younger b", || b.generation() > generation, || format!("{:?}", b.generation())).await;
    a.sees_that("b's new generation", |ring| {
        ring.member("b").map(|member| member.generation) == b.generation()
    })
    .await;
    assert_eq!(b.keeper.status().counts.registrations, 2);
    let both: Vec<u64> = [generation, b.generation()].into_iter().flatten().collect();
    assert_eq!(b.keeper.incarnations(), both, "tickets of both are its own");
}

pub async fn a_crashed_member_that_is_back_in_time_keeps_its_slots(world: &dyn World) {
    let (a, b) = (Process::node(world, "a").await, Process::node(world, "b").await);
    let observer = Process::observer(world).await;
    for process in [&a, &b, &observer] {
        process.sees(&["a", "b"]).await;
    }
    let (before, generation) = (a.ring(), b.generation());
    let crashed = Instant::now();
    drop(b);
    // Even where the others have found its port closed, and the store holds that against it.
    let suspect = before.member("b").map(|member| member.generation).unwrap();
    observer.keeper.suspect("b", suspect);
    until("a to hear of it", || !a.keeper.suspects().borrow().is_empty(), || "nothing".to_owned()).await;
    let b = Process::node(world, "b").await;
    assert!(b.generation() > generation);
    if crashed.elapsed() > world.lease() * 8 / 10 {
        // Too late, on a busy machine.
        return;
    }
    let younger = |ring: &ringdial_cluster::ring::Ring| {
        ring.member("b").map(|member| member.generation) == b.generation()
    };
    for process in [&a, &b, &observer] {
        process.sees_that("the younger b", younger).await;
        assert_eq!(process.ring().signature(), before.signature(), "every slot is where it was");
        let nobody = || process.keeper.suspects().borrow().is_empty();
        until("nobody suspected", nobody, || format!("{:?}", process.keeper.suspects().borrow())).await;
    }
    sleep(2 * world.lease()).await;
    assert_eq!(
        a.ring().version().number,
        before.version().number + 1,
        "one change, and nobody was taken out"
    );
}

pub async fn a_lost_notice_is_made_up_by_the_poll(world: &dyn World) {
    let deaf = Process::start(Frail::deaf(world.store(SERVICE)), config(Role::Observer)).await.unwrap();
    let a = Process::node(world, "a").await;
    for round in 0..3 {
        let changed = Instant::now();
        let b = Process::node(world, "b").await;
        deaf.sees(&["a", "b"]).await;
        b.keeper.leave().await.unwrap();
        deaf.sees(&["a"]).await;
        // Two polls, each a third of a lease after the last one, and what a busy machine takes.
        assert!(changed.elapsed() < 10 * world.lease(), "{round}: {:?}", changed.elapsed());
    }
    drop(a);
}

pub async fn peers_pass_views_on(world: &dyn World) {
    let frail = Frail::new(world.store(SERVICE));
    let a = Process::node(world, "a").await;
    let behind = Process::start(frail.clone(), config(Role::Observer)).await.unwrap();
    behind.sees(&["a"]).await;
    let old = a.keeper.sealed().unwrap();
    frail.cut(true);
    let b = Process::node(world, "b").await;
    a.sees(&["a", "b"]).await;
    let new = a.keeper.sealed().unwrap();
    assert_eq!(behind.ids(), ["a"]);
    assert_eq!(behind.keeper.offer(&new).unwrap(), Offered::Adopted);
    assert_eq!(behind.ids(), ["a", "b"], "at once and without the store");
    assert_eq!(behind.keeper.offer(&new).unwrap(), Offered::Known);
    assert_eq!(behind.keeper.offer(&old).unwrap(), Offered::Older);
    assert_eq!(behind.keeper.sealed().unwrap(), new);
    let mut higher = ring_of(SERVICE, &["x", "y", "z"]);
    assert_eq!(behind.keeper.offer(&sealed(&higher, &other_keys())).unwrap_err().code(), "record_unsigned");
    higher = ring_of("wecheck", &["x", "y", "z"]);
    assert_eq!(behind.keeper.offer(&sealed(&higher, &keys())).unwrap_err().code(), "record_wrong_service");
    assert_eq!(behind.keeper.offer(b"junk").unwrap_err().code(), "record_malformed");
    assert_eq!(behind.keeper.status().counts.ignored_records, 3);
    assert_eq!(behind.ids(), ["a", "b"]);
    frail.cut(false);
    sleep(world.lease()).await;
    assert_eq!((b.ring().version().term, b.keeper.status().counts.putbacks), (1, 0), "an offer is no loss");
}

pub async fn an_offer_that_overtakes_the_store_is_no_loss(world: &dyn World) {
    let a = Process::node(world, "a").await;
    let frail = Frail::new(world.store(SERVICE));
    let observer = Process::start(frail.clone(), config(Role::Observer)).await.unwrap();
    observer.sees(&["a"]).await;
    let under_way = || frail.held_back() == 1;
    // The store has answered with a glimpse of the ring of now, and the answer is late.
    frail.hold(Some("poll"));
    until("a poll under way", under_way, || frail.held_back().to_string()).await;
    let b = Process::node(world, "b").await;
    assert_eq!(observer.keeper.offer(&b.keeper.sealed().unwrap()).unwrap(), Offered::Adopted);
    // The glimpse of the next ring is answered, and now the whole of it is late.
    frail.hold(Some("read"));
    let c = Process::node(world, "c").await;
    until("a read under way", under_way, || frail.held_back().to_string()).await;
    let d = Process::node(world, "d").await;
    assert_eq!(observer.keeper.offer(&d.keeper.sealed().unwrap()).unwrap(), Offered::Adopted);
    let mut views = observer.keeper.view();
    views.mark_unchanged();
    frail.hold(None);
    sleep(world.lease()).await;
    assert!(!views.has_changed().unwrap(), "the view went back, or was put back");
    for process in [&observer, &a, &b, &c, &d] {
        process.sees(&["a", "b", "c", "d"]).await;
        assert_eq!((process.ring().version().term, process.keeper.status().counts.putbacks), (1, 0));
    }
}

pub async fn a_registration_whose_answer_was_lost_is_not_made_twice(world: &dyn World) {
    let frail = Frail::new(world.store(SERVICE));
    let observer = Process::observer(world).await;
    let a = Process::start(frail.clone(), config(Role::Member(spec("a")))).await.unwrap();
    observer.sees(&["a"]).await;
    frail.cut(true);
    observer.sees(&[]).await;
    // Registers again; every answer but the swap's comes through, then the connection breaks.
    frail.lose_next_swap_answer();
    frail.cut(false);
    observer.sees(&["a"]).await;
    let registered = || a.generation().is_some() && a.generation() == member_generation(&observer);
    until("a to know its generation", registered, || format!("{:?}", a.generation())).await;
    sleep(world.lease()).await;
    assert_eq!(observer.ring().version().number, 3, "joined, reaped, joined");
    assert!(a.keeper.failure().borrow().is_none(), "its own registration is no replacement");
}

fn member_generation(process: &Process) -> Option<u64> {
    process.ring().member("a").map(|member| member.generation)
}
