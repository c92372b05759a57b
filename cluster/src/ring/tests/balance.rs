//! The design's targets for balance after long histories: the peak load per weight over the average.

use super::*;

/// The heaviest load per weight, over the average.
fn peak(ring: &Ring) -> f64 {
    let total: u64 = ring.members().map(|member| u64::from(member.weight)).sum();
    let share = |member: &Member| f64::from(member.weight) / total as f64 * SLOTS as f64;
    let load = |member: &Member| f64::from(ring.slot_count(&member.id)) / share(member);
    ring.members().map(load).fold(0.0, f64::max)
}

/// The highest peak over a history of joins and leaves around `nodes` members.
fn highest_peak(nodes: usize, weights: &[u32], changes: usize) -> f64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut ids: Vec<String> = (0..nodes).map(|number| format!("node-{number}")).collect();
    let mut join =
        |ring: Ring, id: &str| ring.join(member(id, weights[random.below(weights.len())])).unwrap();
    let mut ring = ids.iter().fold(genesis(), |ring, id| join(ring, id));
    let mut highest = peak(&ring);
    let mut choice = Random(1);
    for change in 0..changes {
        let few = ids.len() < nodes * 9 / 10;
        let many = ids.len() > nodes * 11 / 10;
        if few || (!many && choice.below(2) == 0) {
            let id = format!("later-{change}");
            ring = join(ring, &id);
            ids.push(id);
        } else {
            let id = ids.swap_remove(choice.below(ids.len()));
            ring = ring.leave(&[&id]);
        }
        highest = highest.max(peak(&ring));
    }
    highest
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn peak_of_ten_nodes_with_weights_one_to_eight() {
    let peak = highest_peak(10, &[50, 100, 200, 400], 120);
    assert!(peak <= 1.01, "{peak}");
}

#[test]
fn peak_of_a_hundred_nodes_with_weights_one_to_eight() {
    let peak = highest_peak(100, &[50, 100, 200, 400], 200);
    assert!(peak <= 1.01, "{peak}");
}

#[test]
fn peak_of_a_thousand_nodes() {
    let peak = highest_peak(1_000, &[100], 100);
    assert!(peak <= 1.02, "{peak}");
}
