//! A seed says everything: the same one gives the same events, in this process and in another; and a failure says how to
//! see it again.

#![allow(clippy::expect_used, reason = "a test that cannot run its program fails")]

use std::process::Command;

use cluster::planted::Bug;
use simulation::run;

/// Seeds with faults of different kinds.
const SEEDS: [u64; 4] = [5, 14, 22, 51];

fn other_process(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_simulation")).args(args).output().expect("it starts");
    String::from_utf8(output.stdout).expect("it writes text")
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in SEEDS {
        let (first, second) = (run(seed, None, true), run(seed, None, true));
        assert_eq!(first.failure, None, "seed {seed}");
        let differs = first.lines.iter().zip(&second.lines).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        hashes.insert(first.trace.0);
        let told = format!("trace {:016x} of {} events", first.trace.0, first.trace.1);
        let other = other_process(&["--seed", &seed.to_string()]);
        assert!(other.contains(&told), "{told}, but {other}");
    }
    assert_eq!(hashes.len(), SEEDS.len(), "different seeds, different events");
}

#[test]
fn a_failure_tells_what_went_before_and_how_to_see_it_again() {
    let failed =
        (0..50).map(|seed| run(seed, Some(Bug::MoveOneMore), false)).find(|run| run.failure.is_some());
    let failed = failed.expect("a planted bug is found");
    assert!(failed.lines.len() > 20, "{:?}", failed.lines);
    assert!(failed.lines.iter().any(|line| line.contains("WRONG")), "{:?}", failed.lines.last());
    let seed = failed.seed.to_string();
    let other = other_process(&["--seed", &seed, "--plant", "move-one-more"]);
    assert!(other.contains(&format!("seed {seed} failed {}", failed.failure.unwrap_or_default())), "{other}");
    assert!(
        other.contains(&format!("-p simulation -- --seed {seed} --story --plant move-one-more")),
        "{other}"
    );
}
