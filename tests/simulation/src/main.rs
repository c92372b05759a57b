//! Runs simulations: many seeds, one seed with its story, or each planted bug until it is found.
#![allow(clippy::print_stdout, reason = "a program that tells what it finds")]

use std::process::ExitCode;
use std::time::Instant;

use cluster::planted::Bug;
use simulation::{Outcome, Tally, run};

const HELP: &str = "\
simulation [--seeds N] [--from S] [--plant BUG]   runs N seeds (1000) from S (0); stops at the first that fails
simulation --seed S [--story] [--plant BUG]       runs one seed; with its story: all that happened
simulation --check-planted [--seeds N]            plants each bug and runs seeds until it is found, N (500) at most";

/// What was asked for.
#[derive(Default)]
struct Wish {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    story: bool,
    plant: Option<Bug>,
    check: bool,
}

fn main() -> ExitCode {
    let wish = match read(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(mistake) => {
            println!("{mistake}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    // What panics is told with the seed that made it.
    std::panic::set_hook(Box::new(|_| {}));
    let found = match (wish.seed, wish.check) {
        (Some(seed), _) => one(seed, &wish),
        (None, true) => check_planted(wish.seeds.unwrap_or(500)),
        (None, false) => many(&wish),
    };
    if found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish::default();
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().unwrap_or_default();
            text.parse::<u64>().map_err(|_| format!("{arg} takes a number, not {text:?}"))
        };
        match arg.as_str() {
            "--seeds" => wish.seeds = Some(number()?),
            "--from" => wish.from = number()?,
            "--seed" => wish.seed = Some(number()?),
            "--story" => wish.story = true,
            "--check-planted" => wish.check = true,
            "--plant" => {
                let name = args.next().unwrap_or_default();
                let bug = Bug::ALL.into_iter().find(|bug| bug.name() == name);
                let names = Bug::ALL.map(Bug::name).join(", ");
                wish.plant = Some(bug.ok_or(format!("--plant takes one of {names}"))?);
            }
            _ => return Err(format!("unknown: {arg}")),
        }
    }
    Ok(wish)
}

/// Runs one seed; whether it was all right.
fn one(seed: u64, wish: &Wish) -> bool {
    let outcome = run(seed, wish.plant, wish.story);
    if wish.story {
        outcome.lines.iter().for_each(|line| println!("{line}"));
    }
    tell(&outcome, wish.plant, !wish.story);
    println!(
        "seed {seed}: trace {:016x} of {} events, {:?}",
        outcome.trace.0, outcome.trace.1, outcome.tally
    );
    outcome.failure.is_none()
}

/// Runs seeds until one fails; whether none did.
fn many(wish: &Wish) -> bool {
    let (begun, count) = (Instant::now(), wish.seeds.unwrap_or(1_000));
    let (mut sum, mut events) = (Tally::default(), 0);
    for seed in wish.from..wish.from + count {
        let outcome = run(seed, wish.plant, false);
        if outcome.failure.is_some() {
            tell(&outcome, wish.plant, true);
            return false;
        }
        sum = sum.plus(outcome.tally);
        events += outcome.trace.1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{count} seeds from {}, {events} events, {sum:?}: all is well", wish.from);
    println!("{seconds:.1} s, {:.0} ms a seed", seconds * 1_000.0 / count as f64);
    // What hardly did anything proves nothing.
    sum.acked > 50 * count && sum.delivered > 100 * count
}

/// Plants each bug and runs seeds until it is found; whether all were.
fn check_planted(seeds: u64) -> bool {
    let mut found = 0;
    for bug in Bug::ALL {
        let begun = Instant::now();
        let failed =
            (0..seeds).map(|seed| run(seed, Some(bug), false)).find(|outcome| outcome.failure.is_some());
        let seconds = begun.elapsed().as_secs_f64();
        match failed {
            Some(Outcome { seed, failure, .. }) => {
                found += 1;
                println!(
                    "{:<16} found at seed {seed:>3} in {seconds:>5.1} s: {}",
                    bug.name(),
                    failure.unwrap_or_default()
                );
            }
            None => println!("{:<16} NOT FOUND in {seeds} seeds, {seconds:.1} s", bug.name()),
        }
    }
    println!("{found} of {} planted bugs found", Bug::ALL.len());
    found == Bug::ALL.len()
}

fn tell(outcome: &Outcome, plant: Option<Bug>, lines: bool) {
    let Some(failure) = &outcome.failure else { return };
    if lines {
        outcome.lines.iter().for_each(|line| println!("{line}"));
    }
    let plant = plant.map(|bug| format!(" --plant {}", bug.name())).unwrap_or_default();
    println!("seed {} failed {failure}", outcome.seed);
    println!("to see all of it: cargo run --release -p simulation -- --seed {} --story{plant}", outcome.seed);
}
