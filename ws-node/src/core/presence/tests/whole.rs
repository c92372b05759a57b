//! All parts together: sessions on several nodes, homes that move, links that break, and what sessions are told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::given::{Given, Tell};
use super::super::members::{Members, Report};
use super::super::roster::{Change, Known, Roster, Source};
use super::{GRACE, Random, name};

const NODES: usize = 3;
const USERS: u64 = 8;

/// A node's side of the group.
struct Node {
    members: Members,
    sessions: Vec<u64>,
    given: Given,
    /// What its sessions know by what they were told.
    known: Option<BTreeSet<Arc<str>>>,
    /// Its link to the home, if there is one, and whether that takes anything.
    link: Option<u64>,
    full: bool,
}

/// One group's home and the nodes with sessions in it.
struct World {
    roster: Roster,
    nodes: Vec<Node>,
    links: u64,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let node = |_| Node {
            members: Members::new(GRACE),
            sessions: vec![],
            given: Given::default(),
            known: None,
            link: None,
            full: false,
        };
        let mut world =
            Self { roster: Roster::new(GRACE), nodes: (0..NODES).map(node).collect(), links: 0, now_ms: 1 };
        world.move_home();
        world
    }

    /// The home is another process from now on, which has everything to learn.
    fn move_home(&mut self) {
        self.roster = Roster::new(GRACE);
        self.roster.settle(self.now_ms + GRACE);
        (0..NODES).for_each(|node| self.open(node));
    }

    fn open(&mut self, node: usize) {
        self.links += 1;
        self.nodes[node].link = Some(self.links);
        self.nodes[node].full = false;
        self.nodes[node].members.tell_all();
        self.tell(node);
        if let Some(Known::Users(users)) = self.roster.known() {
            let tell = self.nodes[node].given.whole(users);
            self.nodes[node].hear(tell);
        }
    }

    fn close(&mut self, node: usize) {
        if let Some(link) = self.nodes[node].link.take() {
            self.roster.gone(Source::Link(link), self.now_ms);
            self.nodes[node].members.tell_nobody();
        }
    }

    fn tell(&mut self, node: usize) {
        let (roster, now_ms) = (&mut self.roster, self.now_ms);
        let Node { members, link, full, .. } = &mut self.nodes[node];
        let Some(link) = link.filter(|_| !*full) else { return };
        let mut room = 3;
        members.tell(|report| {
            room -= 1;
            room > 0 && take(roster, Source::Link(link), report, now_ms)
        });
    }

    fn join(&mut self, node: usize, user: u64) {
        self.nodes[node].sessions.push(user);
        self.nodes[node].members.joined(&name(user));
        self.tell(node);
    }

    fn leave(&mut self, node: usize, position: usize, lost: bool) {
        let user = self.nodes[node].sessions.swap_remove(position);
        self.nodes[node].members.left(&user.to_string(), lost, self.now_ms);
        self.tell(node);
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_ms += 1;
            if self.roster.due().is_some_and(|due_ms| due_ms <= self.now_ms) {
                self.watch();
            }
        }
    }

    fn watch(&mut self) {
        let Some(change) = self.roster.poll(self.now_ms) else { return };
        for node in self.nodes.iter_mut().filter(|node| node.link.is_some()) {
            let tell = match &change {
                Change::Whole => node.given.whole(self.roster.users().unwrap()),
                Change::Users { joined, left } => node.given.changed(joined.clone(), left.clone()),
                Change::Count => panic!("a small group"),
            };
            node.hear(tell);
        }
    }

    fn present(&self) -> BTreeSet<Arc<str>> {
        self.nodes.iter().flat_map(|node| &node.sessions).map(name).collect()
    }
}

impl Node {
    fn hear(&mut self, tell: Option<Tell>) {
        match tell {
            None => {}
            Some(Tell::Roster(users)) => {
                assert!(self.known.is_none(), "a roster once");
                self.known = Some(users.into_iter().collect());
            }
            Some(Tell::Change { count, joined, left }) => {
                let known = self.known.as_mut().unwrap();
                joined.into_iter().for_each(|user| assert!(known.insert(user), "came twice"));
                left.iter().for_each(|user| assert!(known.remove(user), "went twice"));
                assert_eq!(known.len(), count);
            }
            Some(Tell::Count(_)) => panic!("a small group"),
        }
    }
}

/// Takes a report as a home does.
fn take(roster: &mut Roster, source: Source, report: &Report, now_ms: u64) -> bool {
    match report.begins {
        true => roster.replace(source, &report.joined, now_ms),
        false => report.joined.iter().for_each(|user| roster.joined(source, user)),
    }
    report.left.iter().for_each(|(user, lost)| roster.left(source, user, *lost, now_ms));
    true
}

#[test]
fn all_know_the_same_in_the_end_whatever_happens() {
    for seed in 0..200 {
        let (mut random, mut world) = (Random(seed), World::new());
        for _ in 0..150 {
            let node = random.below(NODES as u64) as usize;
            let sessions = world.nodes[node].sessions.len() as u64;
            match random.below(20) {
                0..7 => world.join(node, random.below(USERS)),
                7..13 if sessions > 0 => world.leave(node, random.below(sessions) as usize, random.one_in(2)),
                13 => world.close(node),
                14 if world.nodes[node].link.is_none() => world.open(node),
                15 => world.nodes[node].full = !world.nodes[node].full,
                16 if random.one_in(3) => world.move_home(),
                _ => world.pass(random.below(GRACE / 2)),
            }
        }
        for node in 0..NODES {
            world.nodes[node].full = false;
            world.tell(node);
            if world.nodes[node].link.is_none() {
                world.open(node);
            }
        }
        world.pass(2 * GRACE);
        for node in &world.nodes {
            assert_eq!(node.known.as_ref(), Some(&world.present()), "seed {seed}");
        }
    }
}

#[test]
fn nobody_is_told_to_have_left_who_was_not_gone_for_the_grace() {
    // Links break and homes move, but never for longer than the grace: what is told is then never false.
    for seed in 0..200 {
        let (mut random, mut world) = (Random(seed), World::new());
        (0..USERS).for_each(|user| world.join(user as usize % NODES, user));
        world.pass(GRACE);
        for _ in 0..60 {
            let node = random.below(NODES as u64) as usize;
            match random.below(4) {
                0 => {
                    world.close(node);
                    world.pass(random.below(GRACE / 2));
                    world.open(node);
                }
                1 => world.move_home(),
                // A socket is lost, and its user is back a moment later, here or elsewhere.
                2 if !world.nodes[node].sessions.is_empty() => {
                    let user = world.nodes[node].sessions[0];
                    world.leave(node, 0, true);
                    world.pass(random.below(GRACE));
                    world.join(random.below(NODES as u64) as usize, user);
                }
                _ => world.pass(random.below(GRACE)),
            }
            for known in world.nodes.iter().filter_map(|node| node.known.as_ref()) {
                assert_eq!(known.len() as u64, USERS, "seed {seed}");
            }
        }
        assert!(world.nodes.iter().all(|node| node.known.is_some()));
    }
}
