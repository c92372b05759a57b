//! What happened in a storm, told when it ends badly. Only kept while a single seed is run.

use std::cell::RefCell;
use std::fmt::Display;

thread_local! {
    static STORY: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Forgets the last storm and keeps the next one.
pub(super) fn begin() {
    STORY.set(Some(Vec::new()));
}

pub(super) fn add(line: impl Display) {
    STORY.with_borrow_mut(|story| {
        if let Some(story) = story {
            story.push(line.to_string());
        }
    });
}

#[allow(clippy::print_stderr, reason = "a test that fails says why")]
pub(super) fn tell(seed: u64) {
    STORY.with_borrow(|story| story.iter().flatten().for_each(|line| eprintln!("{line}")));
    eprintln!("STORM_SEED={seed}");
}
