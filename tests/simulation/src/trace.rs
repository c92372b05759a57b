//! What happened, as text: all of it goes into a hash, by which two runs are compared, and the last part is kept to be told.

use std::collections::VecDeque;
use std::fmt::{self, Write};

/// Lines that are kept unless all are.
const KEPT_LINES: usize = 160;

/// The events of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    count: u64,
    lines: VecDeque<String>,
    all: bool,
}

impl Trace {
    /// An empty one that keeps `all` lines or only the last.
    pub(crate) fn new(all: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, count: 0, lines: VecDeque::new(), all }
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, now_ms: u64, what: fmt::Arguments<'_>) {
        let full = !self.all && self.lines.len() >= KEPT_LINES;
        let mut line = if full { self.lines.pop_front().unwrap_or_default() } else { String::new() };
        line.clear();
        // Writing to a string cannot fail.
        let _ = write!(line, "{now_ms:>6} {what}");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.count += 1;
        self.lines.push_back(line);
    }

    /// The hash of all events.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What is kept of them, in order.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
