//! What is wrong is in the log once, and that it is over once: not at every look.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use ringdial_cluster::membership::{Role, Stored};
use ringdial_cluster::store::MemoryStore;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::conformance::World;
use super::conformance::support::{
    Frail, Process, SERVICE, config, keys, other_keys, ring_of, sealed, until,
};
use super::{LEASE, Memory, run_on};

/// Keeps warnings and what ends them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Lines {
    /// How many lines have this in them.
    fn count(&self, part: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }
}

fn logged(scenario: impl AsyncFnOnce(&Memory, &Lines)) {
    run_on(async {
        let lines = Lines::default();
        let _logging = tracing::subscriber::set_default(lines.clone());
        scenario(&Memory(MemoryStore::new()), &lines).await;
    });
}

#[test]
fn a_store_that_is_away_and_back() {
    logged(async |world, lines| {
        let frail = Frail::new(world.store(SERVICE));
        let other = Process::node(world, "b").await;
        let process = Process::start(frail.clone(), config(Role::Observer)).await.unwrap();
        for round in 1..=3 {
            frail.cut(true);
            sleep(10 * LEASE).await;
            frail.cut(false);
            sleep(2 * LEASE).await;
            assert_eq!(lines.count("keeping the last view"), round);
            assert_eq!(lines.count("WARN"), round, "{lines:?}", lines = lines.0.lock().unwrap());
        }
        assert_eq!(process.ids(), other.ids());
    });
}

#[test]
fn a_foreign_ring() {
    logged(async |world, lines| {
        let process = Process::observer(world).await;
        let foreign = Stored::Record(sealed(&ring_of(SERVICE, &["x"]), &other_keys()));
        for round in 1..=2 {
            world.0.overwrite(SERVICE, foreign.clone());
            sleep(10 * LEASE).await;
            assert_eq!(lines.count("ignored what the store holds"), round);
            world.0.overwrite(SERVICE, Stored::Absent);
            sleep(2 * LEASE).await;
        }
        assert!(process.keeper.status().counts.ignored_records > 10, "and each is counted");
        assert_eq!(lines.count("WARN"), 2);
    });
}

#[test]
fn a_suspicion_and_its_end() {
    logged(async |world, lines| {
        let (a, b) = (Process::node(world, "a").await, Process::node(world, "b").await);
        let _c = Process::node(world, "c").await;
        let observer = Process::observer(world).await;
        observer.sees(&["a", "b", "c"]).await;
        let generation = b.generation().unwrap();
        drop(b);
        for _ in 0..50 {
            a.keeper.suspect("b", generation);
            sleep(LEASE / 300).await;
        }
        let hears = || !observer.keeper.suspects().borrow().is_empty();
        until("the observer to hear", hears, || "nothing".to_owned()).await;
        // Those of c as well, and none of b.
        assert_eq!(lines.count("seems dead"), 3);
        observer.sees(&["a", "c"]).await;
        sleep(LEASE).await;
        assert_eq!((lines.count("seems dead"), lines.count("suspected no longer")), (3, 3));
        assert_eq!(lines.count("took out nodes"), 1);
    });
}

#[test]
fn two_rings_of_one_version_offered_again_and_again() {
    logged(async |world, lines| {
        let a = Process::node(world, "a").await;
        let ring = a.ring();
        let other = sealed(&ring_of(SERVICE, &["x"]), &keys());
        assert_eq!(ring.version(), ring_of(SERVICE, &["x"]).version());
        for _ in 0..100 {
            a.keeper.offer(&other).unwrap();
        }
        assert_eq!(lines.count("another ring of the same version"), 1);
        assert_eq!(a.keeper.status().counts.conflicts, 100);
    });
}

#[test]
fn a_stall() {
    logged(async |world, lines| {
        let observer = Process::observer(world).await;
        let _a = Process::node(world, "a").await;
        observer.sees(&["a"]).await;
        let quiet = lines.count("WARN");
        world.0.set_reachable(false);
        sleep(10 * LEASE).await;
        world.0.set_reachable(true);
        sleep(3 * LEASE).await;
        assert_eq!(lines.count("heard of nobody for half a lease"), 2, "by each process once");
        assert_eq!(lines.count("keeping the last view"), 2);
        assert_eq!(lines.count("WARN"), quiet + 4, "{lines:?}", lines = lines.0.lock().unwrap());
    });
}
