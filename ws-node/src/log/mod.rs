//! Between a node's core and its service's log: takes what the core asks, groups it into calls, and hands answers back.
//!
//! [`queue`](self::queue) is what the core submits to, [`call`] carries out one call, [`pace`] decides how much a call may
//! hold, [`worker`] keeps calls under way. A request waits only while as many calls as allowed are out; the more come
//! meanwhile, the more the next call holds. A topic's order is the core's: it waits for an answer before it names the
//! topic again.

mod call;
mod counts;
mod pace;
mod queue;
mod worker;

use crate::core::log_port::LogAnswer;

pub use self::counts::LogCounts;
pub use self::queue::{LogQueue, QueueBounds};
pub use self::worker::LogWorker;

/// What a worker tells its node.
pub trait LogEvents: Send + Sync + 'static {
    /// Some requests were answered; each answer comes once.
    fn answered(&self, answers: Vec<LogAnswer>);
    /// The log is there again after it was not, and may be another one: see
    /// [`Log::interruptions`](cluster::log::Log::interruptions).
    fn interrupted(&self);
}

/// A queue for a core, and the worker that empties it once it is run.
pub fn queue(bounds: QueueBounds, counts: LogCounts) -> (LogQueue, LogWorker) {
    let queue = LogQueue::new(bounds, counts);
    let worker = LogWorker::new(queue.clone());
    (queue, worker)
}

#[cfg(test)]
mod tests;
