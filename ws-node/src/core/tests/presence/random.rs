//! Seeded random histories over several nodes: whatever happens, in the end all who watch know who is there, and on the
//! way nobody is told what they know already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::super::*;
use super::super::world::member as ring_member;
use super::{GRACE, Memory, World, apply, group_of, run, settled, told};

const NODES: usize = 3;

/// splitmix64: the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A session in the group.
struct Present {
    node: usize,
    user: String,
    key: SessionKey,
    memory: Memory,
    /// What it knows, if it watches.
    known: Option<BTreeSet<String>>,
}

struct Story {
    world: World,
    group: String,
    present: Vec<Present>,
    cut: BTreeSet<(usize, usize)>,
    random: Random,
    rings: Vec<Arc<Ring>>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let world = settled(NODES);
        let mut random = Random(seed);
        let group = group_of(&world, random.below(NODES));
        let rings = vec![world.ring.clone()];
        Self { world, group, present: vec![], cut: BTreeSet::new(), random, rings }
    }

    fn step(&mut self) {
        let node = self.random.below(NODES);
        let other = (node + 1 + self.random.below(NODES - 1)) % NODES;
        match self.random.below(20) {
            0..6 => self.come(node),
            6..10 => self.go(),
            10 | 11 => self.turn_to(),
            12 if self.cut.insert((node, other)) => self.world.cut(node, other),
            13 | 14 => self.mend(),
            15 if !self.cut.contains(&(node, other)) => {
                let room = if self.random.below(2) == 0 { 0 } else { usize::MAX };
                self.world.pipe(node, other).set_room(room);
                self.world.pipe_back(node, other).set_room(room);
            }
            16 => self.change_ring(),
            17 => self.see_ring(node),
            _ => self.pass(),
        }
        self.hear();
    }

    fn come(&mut self, node: usize) {
        let user = format!("u{}", self.random.below(5));
        let (key, memory) = self.world.connect(node, &user);
        while memory.take().is_empty() {
            self.world.pass(TICK_MS);
            self.world.settle();
        }
        let watches = self.random.below(2) == 0;
        let join = format!(r#"{{"op":"join","ref":0,"group":"{}","presence":{watches}}}"#, self.group);
        self.world.say(node, key, &join);
        self.present.push(Present { node, user, key, memory, known: watches.then(BTreeSet::new) });
    }

    fn go(&mut self) {
        if self.present.is_empty() {
            return;
        }
        let Present { node, key, .. } = self.present.swap_remove(self.random.below(self.present.len()));
        let leave = format!(r#"{{"op":"leave","ref":0,"group":"{}"}}"#, self.group);
        match self.random.below(3) {
            0 => self.world.say(node, key, &leave),
            1 => self.world.nodes[node].detach(key),
            _ => self.world.nodes[node].closed(key),
        }
    }

    /// A session begins to watch, or ends it.
    fn turn_to(&mut self) {
        if self.present.is_empty() {
            return;
        }
        let at = self.random.below(self.present.len());
        let session = &mut self.present[at];
        let watches = session.known.is_none();
        session.known = watches.then(BTreeSet::new);
        session.memory.take();
        let join = format!(r#"{{"op":"join","ref":0,"group":"{}","presence":{watches}}}"#, self.group);
        self.world.say(session.node, session.key, &join);
    }

    fn mend(&mut self) {
        if let Some((from, to)) = self.cut.pop_first() {
            self.world.open(from, to);
        }
    }

    fn change_ring(&mut self) {
        let last = self.rings.last().unwrap();
        let id = format!("n{}", self.random.below(NODES));
        let next = match last.member(&id) {
            Some(_) if last.member_count() > 1 => last.leave(&[&id]),
            Some(_) => return,
            None => last.join(ring_member(id[1..].parse().unwrap())).unwrap(),
        };
        self.rings.push(Arc::new(next));
    }

    /// A node goes by the newest ring, whichever it had before.
    fn see_ring(&mut self, node: usize) {
        let last = self.rings.last().unwrap().clone();
        self.world.show(node, &last);
    }

    /// Time passes, and some of what is on its way arrives.
    fn pass(&mut self) {
        for _ in 0..self.random.below(8) {
            self.world.pass(TICK_MS);
            if self.random.below(3) > 0 {
                self.world.settle();
            }
        }
    }

    fn hear(&mut self) {
        for session in self.present.iter_mut() {
            if let Some(known) = &mut session.known {
                told(&session.memory).iter().for_each(|text| apply(known, text));
            }
        }
    }

    /// Everything that was broken is whole again.
    fn end(&mut self) {
        while !self.cut.is_empty() {
            self.mend();
        }
        for (from, to) in (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to))) {
            if from != to {
                self.world.pipe(from, to).set_room(usize::MAX);
                self.world.pipe_back(from, to).set_room(usize::MAX);
            }
        }
        (0..NODES).for_each(|node| self.see_ring(node));
        self.world.ring = self.rings.last().unwrap().clone();
        run(&mut self.world, 4 * GRACE);
        self.hear();
    }
}

#[test]
fn in_the_end_all_who_watch_know_who_is_there() {
    let mut sizes = BTreeMap::new();
    for seed in 0..50 {
        let mut story = Story::new(seed);
        (0..80).for_each(|_| story.step());
        story.end();
        let truth: BTreeSet<String> = story.present.iter().map(|session| session.user.clone()).collect();
        for session in &story.present {
            if let Some(known) = &session.known {
                assert_eq!(*known, truth, "seed {seed}, {} at {}", session.user, session.node);
            }
        }
        *sizes.entry(truth.len()).or_insert(0) += 1;
        for Present { node, key, .. } in std::mem::take(&mut story.present) {
            story.world.nodes[node].closed(key);
        }
        run(&mut story.world, 3 * GRACE);
        for node in &story.world.nodes {
            let presence = &node.presence;
            assert!(presence.here.is_empty() && presence.homed.is_empty(), "seed {seed}: {presence:?}");
        }
    }
    assert!(sizes.len() > 3, "{sizes:?}");
}
