//! The published vectors, `tests/vectors/ring.json`, which a Node test recomputes without our code.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::key::mix64;
use super::*;

#[derive(Deserialize)]
struct Vectors {
    ring_key: String,
    algorithm: String,
    points: Vec<Point>,
    siphash_lengths: Vec<String>,
    mix64: Vec<[String; 2]>,
    balanced: Balanced,
    balanced_weights: Vec<Trace>,
    balanced_trace: Trace,
    balanced_1000: Grown,
    hashed: Hashed,
}

#[derive(Deserialize)]
struct Point {
    key: String,
    point: String,
    slot: u16,
}

#[derive(Deserialize)]
struct Balanced {
    steps: Vec<Step>,
    next_homes: Vec<NextHome>,
}

#[derive(Deserialize)]
struct Trace {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Grown {
    nodes: usize,
    weights: Vec<u32>,
    signature: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Hashed {
    virtual_nodes: Vec<VirtualNode>,
    steps: Vec<Step>,
    arcs: Shares,
}

#[derive(Deserialize)]
struct VirtualNode {
    id: String,
    number: u32,
    point: String,
}

#[derive(Deserialize)]
struct Shares {
    weights: BTreeMap<String, u32>,
    shares: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct NextHome {
    slot: u16,
    avoid: Vec<String>,
    home: String,
}

#[derive(Deserialize)]
struct Step {
    op: Vec<serde_json::Value>,
    counts: Option<Vec<u32>>,
    signature: Option<String>,
    #[serde(default)]
    homes: BTreeMap<String, String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/ring.json")).unwrap()
}

/// Applies the steps and compares what each of them says.
fn replay(mut ring: Ring, steps: &[Step]) -> Ring {
    for step in steps {
        ring = apply(&ring, &step.op);
        if let Some(expected) = &step.counts {
            assert_eq!(counts(&ring), *expected, "counts after {:?}", step.op);
        }
        if let Some(expected) = &step.signature {
            assert_eq!(ring.signature().to_string(), *expected, "signature after {:?}", step.op);
        }
        for (key, id) in &step.homes {
            assert_eq!(
                home(&ring, ring.key().slot(key)),
                Some(id.as_str()),
                "home of {key} after {:?}",
                step.op
            );
        }
    }
    ring
}

fn apply(ring: &Ring, op: &[serde_json::Value]) -> Ring {
    let arguments: Vec<&str> = op[1..].iter().filter_map(|value| value.as_str()).collect();
    match op[0].as_str().unwrap() {
        "join" => ring.join(member(arguments[0], op[2].as_u64().unwrap() as u32)).unwrap(),
        "leave" => ring.leave(&arguments),
        "drain" => ring.drain(arguments[0]),
        other => panic!("unknown operation {other}"),
    }
}

#[test]
fn points_and_slots_of_keys() {
    let vectors = vectors();
    assert_eq!(RingKey::from_hex(&vectors.ring_key), Some(key()));
    assert_eq!(vectors.algorithm, super::super::ALGORITHM);
    for Point { key: text, point, slot } in vectors.points {
        assert_eq!(format!("{:016x}", key().point(&text)), point, "{text}");
        assert_eq!(key().slot(&text), Slot::new(slot), "{text}");
    }
}

#[test]
fn siphash_of_every_length() {
    let bytes: Vec<u8> = (0..64).collect();
    let hashes: Vec<String> =
        (0..64).map(|length| format!("{:016x}", key().hash(&bytes[..length]))).collect();
    assert_eq!(hashes, vectors().siphash_lengths);
}

#[test]
fn mix64_is_splitmix64s_finaliser() {
    for [input, output] in vectors().mix64 {
        let input = u64::from_str_radix(&input, 16).unwrap();
        assert_eq!(format!("{:016x}", mix64(input)), output);
    }
}

#[test]
fn balanced_step_by_step() {
    let Balanced { steps, next_homes } = vectors().balanced;
    let ring = replay(genesis(), &steps);
    for NextHome { slot, avoid, home } in next_homes {
        let next = ring.next_home(Slot::new(slot), |member| avoid.contains(&member.id)).unwrap();
        assert_eq!(next.id, home, "clockwise of {slot} without {avoid:?}");
    }
}

#[test]
fn balanced_with_extreme_weights() {
    for trace in vectors().balanced_weights {
        replay(genesis(), &trace.steps);
    }
}

#[test]
fn balanced_trace() {
    replay(genesis(), &vectors().balanced_trace.steps);
}

#[test]
fn balanced_1000_nodes() {
    let Grown { nodes, weights, signature, steps } = vectors().balanced_1000;
    let join = |ring: Ring, number: usize| {
        ring.join(member(&format!("node-{number}"), weights[number % weights.len()])).unwrap()
    };
    let ring = (0..nodes).fold(genesis(), join);
    assert_eq!(ring.signature().to_string(), signature);
    replay(ring, &steps);
}

#[test]
fn hashed_step_by_step() {
    let Hashed { virtual_nodes, steps, .. } = vectors().hashed;
    for VirtualNode { id, number, point } in virtual_nodes {
        assert_eq!(format!("{:016x}", virtual_node(&id, number)), point);
    }
    replay(Ring::genesis("default", key(), Policy::Hashed), &steps);
}

#[test]
fn hashed_shares_before_the_ring_is_cut_into_slots() {
    let Shares { weights, shares } = vectors().hashed.arcs;
    let mut points: Vec<(u64, &str)> = Vec::new();
    for (id, weight) in &weights {
        points.extend((0..weight * 256 / 100).map(|number| (virtual_node(id, number), id.as_str())));
    }
    points.sort_unstable();
    let mut previous = points.last().unwrap().0;
    let mut arcs: BTreeMap<&str, f64> = BTreeMap::new();
    for (point, id) in points {
        *arcs.entry(id).or_default() += point.wrapping_sub(previous) as f64 / 2f64.powi(64);
        previous = point;
    }
    for (id, share) in shares {
        assert!((arcs[id.as_str()] - share).abs() < 1e-6, "{id}: {} and not {share}", arcs[id.as_str()]);
    }
}

fn virtual_node(id: &str, number: u32) -> u64 {
    key().hash(&[id.as_bytes(), &[0], &number.to_le_bytes()].concat())
}
