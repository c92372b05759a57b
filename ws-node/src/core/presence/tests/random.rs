//! Seeded random histories of a roster against a naive model: who is in is read off the history, and whoever watches
//! must know it by the changes alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::roster::{Change, Roster, Source};
use super::{GRACE, Random, name};

const SOURCES: u64 = 4;
const USERS: u64 = 6;

/// What happened to a user at a source.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Joined,
    Left,
    Lost,
}

/// Every event that made a difference to its source, in order.
#[derive(Default)]
struct History(Vec<(u64, u64, u64, What)>);

impl History {
    /// Whether the source has the user now: its last event says so.
    fn has(&self, source: u64, user: u64) -> bool {
        let last = self.0.iter().rev().find(|(_, at, who, _)| (*at, *who) == (source, user));
        last.is_some_and(|(.., what)| *what == What::Joined)
    }

    fn add(&mut self, now_ms: u64, source: u64, user: u64, what: What) {
        if self.has(source, user) != (what == What::Joined) {
            self.0.push((now_ms, source, user, what));
        }
    }

    /// In: some source has them, or the last loss since the last coming is younger than the grace.
    fn is_in(&self, user: u64, now_ms: u64) -> bool {
        let recent = self.0.iter().rev().filter(|(_, _, who, _)| *who == user);
        let since = recent.take_while(|(.., what)| *what != What::Joined);
        (0..SOURCES).any(|source| self.has(source, user))
            || since.into_iter().any(|(at_ms, .., what)| *what == What::Lost && now_ms < at_ms + GRACE)
    }
}

struct World {
    roster: Roster,
    history: History,
    /// What a watcher knows by what it was told.
    known: BTreeSet<Arc<str>>,
    /// Nothing may be told before.
    settled_ms: u64,
    now_ms: u64,
}

impl World {
    fn step(&mut self, random: &mut Random) {
        let (source, user) = (random.below(SOURCES), random.below(USERS));
        let (at, who) = (source_of(source), name(user));
        match random.below(20) {
            0..7 => {
                self.roster.joined(at, &who);
                self.history.add(self.now_ms, source, user, What::Joined);
            }
            7..11 => self.leave(source, user, What::Left),
            11..15 => self.leave(source, user, What::Lost),
            15 => {
                self.roster.gone(at, self.now_ms);
                (0..USERS).for_each(|user| self.history.add(self.now_ms, source, user, What::Lost));
            }
            16 => self.list(source, random),
            17 if random.one_in(5) => {
                self.settled_ms = self.now_ms + GRACE;
                self.roster.settle(self.settled_ms);
            }
            _ => self.now_ms += random.below(GRACE / 2),
        }
        if random.one_in(2) {
            self.watch();
        }
    }

    fn leave(&mut self, source: u64, user: u64, what: What) {
        self.roster.left(source_of(source), &user.to_string(), what == What::Lost, self.now_ms);
        self.history.add(self.now_ms, source, user, what);
    }

    fn list(&mut self, source: u64, random: &mut Random) {
        let (listed, missing): (Vec<u64>, Vec<u64>) = (0..USERS).partition(|_| random.one_in(2));
        let users: Vec<_> = listed.iter().map(name).collect();
        self.roster.replace(source_of(source), &users, self.now_ms);
        missing.iter().for_each(|user| self.history.add(self.now_ms, source, *user, What::Lost));
        listed.iter().for_each(|user| self.history.add(self.now_ms, source, *user, What::Joined));
    }

    fn truth(&self) -> BTreeSet<Arc<str>> {
        (0..USERS).filter(|user| self.history.is_in(*user, self.now_ms)).map(name).collect()
    }

    /// Polls as a home does, and checks what is told.
    fn watch(&mut self) {
        let change = self.roster.poll(self.now_ms);
        assert_eq!(self.roster.users().unwrap(), self.truth().into_iter().collect::<Vec<_>>());
        match change {
            None => return self.check_silence(),
            Some(Change::Whole) => self.known = self.roster.users().unwrap().into_iter().collect(),
            Some(Change::Users { joined, left }) => {
                assert!(!joined.is_empty() || !left.is_empty());
                joined.into_iter().for_each(|user| assert!(self.known.insert(user), "came twice"));
                left.iter().for_each(|user| assert!(self.known.remove(user), "went twice"));
            }
            Some(Change::Count) => panic!("a small group"),
        }
        assert!(self.now_ms >= self.settled_ms, "told before it was settled");
        assert_eq!(self.known, self.truth());
    }

    /// Nothing is told: then there is nothing, or a time at which it will be.
    fn check_silence(&self) {
        if self.known != self.truth() {
            let due = self.roster.due().unwrap();
            assert!(due > self.now_ms && due <= self.now_ms.max(self.settled_ms) + GRACE);
        }
    }
}

fn source_of(number: u64) -> Source {
    if number == 0 { Source::Here } else { Source::Link(number) }
}

#[test]
fn a_roster_is_what_its_history_says() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut world = World {
            roster: Roster::new(GRACE),
            history: History::default(),
            known: BTreeSet::new(),
            settled_ms: 0,
            now_ms: 1,
        };
        for _ in 0..300 {
            world.step(&mut random);
        }
        world.now_ms = world.now_ms.max(world.settled_ms) + GRACE;
        world.watch();
        assert_eq!(world.known, world.truth(), "seed {seed}");
    }
}

#[test]
fn whatever_is_due_is_due_when_it_says() {
    // Polling only when it is due tells the same at the same times as polling each millisecond.
    let mut changes = 0;
    for seed in 0..60 {
        let (mut random, mut rosters) = (Random(seed), [Roster::new(GRACE), Roster::new(GRACE)]);
        let mut told: [BTreeMap<u64, String>; 2] = Default::default();
        for now_ms in 0..6_000u64 {
            if random.one_in(15) {
                let (user, source) = (name(random.below(USERS)), source_of(random.below(SOURCES)));
                let (joins, lost) = (random.one_in(2), random.one_in(2));
                for roster in &mut rosters {
                    match joins {
                        true => roster.joined(source, &user),
                        false => roster.left(source, &user, lost, now_ms),
                    }
                }
            }
            for (lazy, roster) in rosters.iter_mut().enumerate() {
                if lazy == 0 || roster.due().is_some_and(|due_ms| due_ms <= now_ms) {
                    told[lazy].extend(roster.poll(now_ms).map(|change| (now_ms, format!("{change:?}"))));
                }
            }
        }
        assert_eq!(told[0], told[1], "seed {seed}");
        changes += told[0].len();
    }
    assert!(changes > 500, "{changes}");
}
