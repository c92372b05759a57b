//! The real decisions of a cluster - rings, keepers, the core of nodes, the log and its worker, lookups - run through
//! failures in virtual time. Links, sockets, clients and the scheduler are the simulation's own, and so are the judges.
//!
//! A seed is a minute of a small cluster. It says everything: the same seed gives the same events, on any machine.

mod book;
mod client;
mod dice;
mod logbook;
pub mod npm;
pub mod plan;
mod shared;
mod sinks;
mod store;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ::cluster::planted::{self, Bug};
use ::cluster::{chance, tokens};
use tokio::runtime::Builder;

use self::npm::Program;
pub use self::plan::Plan;
pub use self::world::Tally;
use self::world::World;

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What went wrong first, if anything did.
    pub failure: Option<String>,
    /// The hash of all events, and their number.
    pub trace: (u64, u64),
    /// What happened, in lines: the last events, or all of them.
    pub lines: Vec<String>,
    /// What happened, in numbers.
    pub tally: Tally,
}

/// Runs a seed, with a bug if one is given, and keeps all events if they are to be told.
pub fn run(seed: u64, bug: Option<Bug>, story: bool) -> Outcome {
    run_with(seed, bug, story, None)
}

/// The same; with a program most clients are the npm client.
pub fn run_with(seed: u64, bug: Option<Bug>, story: bool, npm: Option<&Program>) -> Outcome {
    tokens::install_crypto();
    chance::seed(Some(seed));
    planted::plant(bug);
    let outcome = run_seeded(seed, story, npm);
    planted::plant(None);
    chance::seed(None);
    outcome
}

fn run_seeded(seed: u64, story: bool, npm: Option<&Program>) -> Outcome {
    let mut failed =
        Outcome { seed, failure: None, trace: (0, 0), lines: Vec::new(), tally: Tally::default() };
    let runtime = match Builder::new_current_thread().enable_time().start_paused(true).build() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome { failure: Some(error.to_string()), ..failed },
    };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut world = World::new(Plan::of(seed), story, npm)?;
            let shared = world.shared();
            // A panic of the code under test ends the run as any other thing that is wrong.
            if let Err(panic) = unwinding(world.run()).await {
                shared.fail(format_args!("panicked: {panic}"));
            }
            let tally = world.tally;
            Ok::<_, String>((shared, tally))
        })
    }));
    let (shared, tally) = match ran {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Outcome { failure: Some(error), ..failed },
        Err(_) => return Outcome { failure: Some("panicked at its beginning".to_owned()), ..failed },
    };
    drop(runtime);
    let mut state = shared.state();
    failed.failure = state.failure.take();
    let trace = std::mem::replace(&mut state.trace, trace::Trace::new(false));
    drop(state);
    Outcome { trace: (trace.hash(), trace.count()), lines: trace.into_lines(), tally, ..failed }
}

/// Runs a future; the text of its panic if it has one.
async fn unwinding(future: impl Future<Output = ()>) -> Result<(), String> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
        Ok(std::task::Poll::Ready(())) => std::task::Poll::Ready(Ok(())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            std::task::Poll::Ready(Err(text.unwrap_or_else(|| "without a word".to_owned())))
        }
    })
    .await
}
