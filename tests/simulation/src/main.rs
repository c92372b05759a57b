//! Runs simulations: many seeds, one seed with its story, or each planted bug until it is found.
#![allow(clippy::print_stdout, reason = "a program that tells what it finds")]

use std::process::ExitCode;
use std::time::Instant;

use cluster::planted::Bug;
use simulation::npm::{PLANTED, Planted, Program};
use simulation::{Outcome, Tally, run_with};

const HELP: &str = "\
simulation [--seeds N] [--from S] [--plant BUG]   runs N seeds (1000) from S (0); stops at the first that fails
simulation --seed S [--story] [--plant BUG]       runs one seed; with its story: all that happened
simulation --check-planted [--seeds N]            plants each bug and runs seeds until it is found, N (500) at most
with --cpu-ms N it fails if a seed takes more of a processor than that on average
with --npm most clients are the npm client, as it was built last in js-client, and the bugs are planted there
with --twice each seed is run a second time, which must not differ";

/// What was asked for.
#[derive(Default)]
struct Wish {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    story: bool,
    plant: Option<Plant>,
    check: bool,
    npm: bool,
    twice: bool,
    cpu_ms: Option<u64>,
}

/// A bug in the cluster or in the npm client.
#[derive(Debug, Clone, Copy)]
enum Plant {
    Cluster(Bug),
    Client(Planted),
}

/// What runs seeds.
struct Runner {
    npm: Option<Program>,
    bug: Option<Bug>,
    /// What to add to a command that sees the same again.
    options: String,
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
        (Some(seed), _) => runner(&wish, wish.plant).map(|runner| one(seed, &wish, &runner)),
        (None, true) => check_planted(&wish),
        (None, false) => runner(&wish, wish.plant).map(|runner| many(&wish, &runner)),
    };
    let found = found.unwrap_or_else(|mistake| {
        println!("{mistake}");
        false
    });
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
            "--cpu-ms" => wish.cpu_ms = Some(number()?),
            "--story" => wish.story = true,
            "--check-planted" => wish.check = true,
            "--npm" => wish.npm = true,
            "--twice" => wish.twice = true,
            "--plant" => {
                let name = args.next().unwrap_or_default();
                let plants = || plants(false).into_iter().chain(plants(true));
                let names: Vec<&str> = plants().map(Plant::name).collect();
                let found = plants().find(|plant| plant.name() == name);
                wish.plant = Some(found.ok_or(format!("--plant takes one of {}", names.join(", ")))?);
            }
            _ => return Err(format!("unknown: {arg}")),
        }
    }
    Ok(wish)
}

/// All bugs of the client, or of the cluster.
fn plants(client: bool) -> Vec<Plant> {
    match client {
        true => PLANTED.into_iter().map(Plant::Client).collect(),
        false => Bug::ALL.into_iter().map(Plant::Cluster).collect(),
    }
}

/// What runs seeds with this bug.
fn runner(wish: &Wish, plant: Option<Plant>) -> Result<Runner, String> {
    let mut npm = match (wish.npm, plant) {
        (false, None | Some(Plant::Cluster(_))) => None,
        _ => Some(Program::built()?),
    };
    let mut options = if npm.is_some() { " --npm".to_owned() } else { String::new() };
    let mut bug = None;
    match plant {
        None => {}
        Some(Plant::Cluster(planted)) => bug = Some(planted),
        Some(Plant::Client(planted)) => npm = npm.map(|program| program.with(planted)).transpose()?,
    }
    options.extend(plant.map(|plant| format!(" --plant {}", plant.name())));
    Ok(Runner { npm, bug, options })
}

/// Runs one seed; whether it was all right.
fn one(seed: u64, wish: &Wish, runner: &Runner) -> bool {
    let outcome = runner.run(seed, wish.story);
    if wish.story {
        outcome.lines.iter().for_each(|line| println!("{line}"));
    }
    tell(&outcome, runner, !wish.story);
    println!(
        "seed {seed}: trace {:016x} of {} events, {:?}",
        outcome.trace.0, outcome.trace.1, outcome.tally
    );
    outcome.failure.is_none()
}

/// Runs seeds until one fails; whether none did.
fn many(wish: &Wish, runner: &Runner) -> bool {
    let (begun, count) = (Instant::now(), wish.seeds.unwrap_or(1_000));
    let (mut sum, mut events) = (Tally::default(), 0);
    for seed in wish.from..wish.from + count {
        let outcome = runner.run(seed, false);
        if outcome.failure.is_some() {
            tell(&outcome, runner, true);
            return false;
        }
        if wish.twice && runner.run(seed, false).trace != outcome.trace {
            println!("seed {seed}{} is not the same the second time", runner.options);
            return false;
        }
        sum = sum.plus(outcome.tally);
        events += outcome.trace.1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_ms = cpu_ms().unwrap_or(seconds * 1_000.0) / count.max(1) as f64;
    println!("{count} seeds from {}, {events} events, {sum:?}", wish.from);
    println!("{seconds:.1} s, a seed took {cpu_ms:.0} ms of a processor");
    let mut mistakes = idle(&sum, count, wish.npm);
    if let Some(most) = wish.cpu_ms.filter(|most| cpu_ms > *most as f64) {
        mistakes.push(format!("a seed may take {most} ms of a processor"));
    }
    match &mistakes[..] {
        [] => println!("all is well"),
        _ => println!("this does not count: {}", mistakes.join("; ")),
    }
    mistakes.is_empty()
}

/// What hardly happened: it proves nothing.
fn idle(sum: &Tally, count: u64, npm: bool) -> Vec<String> {
    let least = [
        ("sends acknowledged", sum.acked, 50 * count),
        ("messages delivered", sum.delivered, 100 * count),
        ("messages given to applications", sum.given, if npm { 50 * count } else { 0 }),
        ("faults and their ends", sum.faults, 5 * count),
        ("looks at clients while all was well", sum.calm, 100 * count),
        // A few seeds may have none of these.
        ("nodes drained", sum.drains, count / 20),
        ("rings read past the dead", sum.bypasses, count / 100),
        ("lookups that had to wait", sum.paced, if npm { 0 } else { count / 4 }),
        ("looks at rosters", sum.rosters, if npm { 0 } else { count / 20 }),
    ];
    let rare = least.into_iter().filter(|(_, happened, least)| happened < least);
    rare.map(|(what, happened, least)| format!("{happened} {what}, and {least} are needed")).collect()
}

/// The processor's time that this process took, milliseconds.
fn cpu_ms() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may have blanks: 11 fields, then hundredths of a second as user, and in the kernel.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    Some((times.next()? + times.next()?) * 10.0)
}

/// Plants each bug and runs seeds until it is found; whether all were.
fn check_planted(wish: &Wish) -> Result<bool, String> {
    let (mut found, seeds, plants) = (0, wish.seeds.unwrap_or(500), plants(wish.npm));
    for plant in &plants {
        let (begun, runner) = (Instant::now(), runner(wish, Some(*plant))?);
        let failed = (0..seeds).map(|seed| runner.run(seed, false)).find(|outcome| outcome.failure.is_some());
        let seconds = begun.elapsed().as_secs_f64();
        match failed {
            Some(Outcome { seed, failure, .. }) => {
                found += 1;
                println!(
                    "{:<20} found at seed {seed:>3} in {seconds:>5.1} s: {}",
                    plant.name(),
                    failure.unwrap_or_default()
                );
            }
            None => println!("{:<20} NOT FOUND in {seeds} seeds, {seconds:.1} s", plant.name()),
        }
    }
    println!("{found} of {} planted bugs found", plants.len());
    Ok(found == plants.len())
}

fn tell(outcome: &Outcome, runner: &Runner, lines: bool) {
    let Some(failure) = &outcome.failure else { return };
    if lines {
        outcome.lines.iter().for_each(|line| println!("{line}"));
    }
    println!("seed {} failed {failure}", outcome.seed);
    println!(
        "to see all of it: cargo run --release -p simulation -- --seed {} --story{}",
        outcome.seed, runner.options
    );
}

// === impl Plant ===

impl Plant {
    fn name(self) -> &'static str {
        match self {
            Self::Cluster(bug) => bug.name(),
            Self::Client(planted) => planted.name,
        }
    }
}

// === impl Runner ===

impl Runner {
    fn run(&self, seed: u64, story: bool) -> Outcome {
        run_with(seed, self.bug, story, self.npm.as_ref())
    }
}
