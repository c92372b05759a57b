//! Exactly those are asked to move whose home is another node, over random rings: joins, leaves, drains, weights, several
//! versions at once, a version while the work of the last one is not done. All others get not a single frame.

use std::sync::Arc;

use cluster::ring::{MemberState, Ring, Slot};

use cluster::wire::node::MoveReason;

use super::super::CoreConfig;
use super::sinks::Memory;
use super::storm::Dice;
use super::world::{World, config, member};

const NODES: usize = 4;
const USERS: usize = 40;
const SEEDS: u64 = 30;

/// A user who never moves.
struct Stayer {
    node: usize,
    slot: Slot,
    memory: Memory,
    /// Its home was another node by a ring that its node went by.
    was_concerned: bool,
    /// Where it was last asked to go, and by which ring.
    asked: Option<String>,
}

struct Scene {
    world: World,
    dice: Dice,
    stayers: Vec<Stayer>,
    ring: Arc<Ring>,
}

#[test]
fn exactly_those_whose_home_is_elsewhere_are_asked() {
    let (mut asked, mut left_alone) = (0, 0);
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed);
        for _ in 0..3 {
            scene.change();
        }
        let (moved, stayed) = scene.judge(seed);
        (asked, left_alone) = (asked + moved, left_alone + stayed);
    }
    assert!(asked > 250 && left_alone > 100, "{asked} asked, {left_alone} left alone");
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // So slow that moves are left when the next version comes.
        let mut world = World::with(NODES, CoreConfig { move_rate: 30, ..config() });
        if dice.one_in(2) {
            world.lazy = true;
            world.nodes.iter_mut().for_each(|node| node.work_in_pieces_of(0));
        }
        let ring = world.ring.clone();
        let mut scene = Self { world, dice, stayers: vec![], ring };
        (0..USERS).for_each(|number| scene.connect(number));
        scene
    }

    fn connect(&mut self, number: usize) {
        let user = format!("user{number}");
        let node = self.world.home(&user);
        let slot = self.ring.key().slot(&format!("u:{user}"));
        let (_, memory) = self.world.connect(node, &user);
        assert_eq!(memory.ops(), ["welcome"]);
        self.stayers.push(Stayer { node, slot, memory, was_concerned: false, asked: None });
    }

    /// One to three versions, each seen by some nodes, and a little time.
    fn change(&mut self) {
        for _ in 0..=self.dice.below(3) {
            self.ring = Arc::new(self.next_ring());
            for node in 0..NODES {
                if self.dice.one_in(2) {
                    self.show(node);
                }
            }
            self.pass();
        }
        (0..NODES).for_each(|node| self.show(node));
        self.pass();
    }

    fn next_ring(&mut self) -> Ring {
        let number = self.dice.below(NODES as u64) as usize;
        let id = format!("n{number}");
        let takes = self.ring.members().filter(|member| member.state == MemberState::Active).count();
        let mut joining = member(number);
        joining.weight = [50, 100, 100, 200][self.dice.below(4) as usize];
        match (self.ring.member(&id).is_some(), self.dice.below(3)) {
            (true, 0) if takes > 1 => self.ring.leave(&[&id]),
            (true, 1) if takes > 1 => self.ring.drain(&id),
            _ => self.ring.join(joining).unwrap(),
        }
    }

    fn show(&mut self, node: usize) {
        let ring = self.ring.clone();
        self.world.show(node, &ring);
        self.read();
    }

    fn pass(&mut self) {
        for _ in 0..self.dice.below(5) {
            let node = self.dice.below(NODES as u64) as usize;
            let now = self.world.now();
            match self.dice.below(3) {
                0 => _ = self.world.nodes[node].work_off(now),
                1 => self.world.settle(),
                _ => self.world.pass(100),
            }
            self.read();
        }
    }

    /// Whatever they were told must be right by the ring that their node goes by.
    fn read(&mut self) {
        for stayer in &mut self.stayers {
            let core = &self.world.nodes[stayer.node];
            let home = core.ring().home(stayer.slot).unwrap();
            stayer.was_concerned |= home.id != core.me().id;
            for frame in stayer.memory.take() {
                assert_eq!(frame["op"], "moved");
                assert_eq!((frame["node"].as_str().unwrap(), home.id == core.me().id), (&*home.id, false));
                let reason = if core.is_draining() { MoveReason::Draining } else { MoveReason::Home };
                assert_eq!(frame["reason"], serde_json::to_value(reason).unwrap());
                stayer.asked = Some(home.id.clone());
            }
            assert!(stayer.memory.closed().is_none() || core.is_draining());
        }
    }

    /// In the end everybody who is elsewhere at home was asked to go there; how many that were, and how many never were.
    fn judge(mut self, seed: u64) -> (usize, usize) {
        self.world.lazy = false;
        for _ in 0..90 {
            self.world.settle();
            self.world.pass(1_000);
            self.read();
        }
        for stayer in &self.stayers {
            let core = &self.world.nodes[stayer.node];
            let home = &self.ring.home(stayer.slot).unwrap().id;
            let elsewhere = *home != core.me().id;
            assert!(stayer.was_concerned || stayer.asked.is_none(), "seed {seed}: asked for nothing");
            if elsewhere && !core.is_draining() {
                assert_eq!(stayer.asked.as_ref(), Some(home), "seed {seed}");
            }
            assert!(!elsewhere || stayer.asked.is_some(), "seed {seed}: never asked");
        }
        let asked = self.stayers.iter().filter(|stayer| stayer.asked.is_some()).count();
        let left_alone = self.stayers.iter().filter(|stayer| !stayer.was_concerned).count();
        (asked, left_alone)
    }
}
