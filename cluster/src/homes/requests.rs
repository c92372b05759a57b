//! Requests: one answer when every topic that a message was for has got its outcome.

use crate::log::Position;
use crate::maps::HashMap;
use crate::wire::codes::ErrorCode;

/// Names a request; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(u64);

/// What became of a message in one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its home passed it on.
    Passed {
        /// Sessions that follow the topic.
        online: u32,
    },
    /// It is in the log, and its home passed it on.
    Stored {
        /// Sessions that follow the topic.
        online: u32,
        /// Where it is.
        position: Position,
    },
    /// It was not, or nobody knows.
    Failed(ErrorCode),
}

/// Requests that are not answered yet, each with who waits for it.
#[derive(Debug)]
pub struct Requests<T> {
    open: HashMap<RequestKey, Request<T>>,
    serial: u64,
}

/// A request that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// Who waits for it.
    pub waiter: T,
    /// Sessions that follow its topics, together.
    pub online: u32,
    /// Where it was stored, if it was for one topic.
    pub position: Option<Position>,
    /// The topics that it failed for.
    pub failed: Vec<(String, ErrorCode)>,
}

#[derive(Debug)]
struct Request<T> {
    done: Done<T>,
    due_ms: u64,
    single: bool,
    /// Topics without an outcome.
    left: usize,
}

// === impl Requests ===

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self { open: HashMap::default(), serial: 0 }
    }
}

impl<T> Requests<T> {
    /// A request that is done when so many topics, at least one, have been settled.
    pub fn open(&mut self, waiter: T, topics: usize, due_ms: u64) -> RequestKey {
        self.serial += 1;
        let key = RequestKey(self.serial);
        let done = Done { waiter, online: 0, position: None, failed: Vec::new() };
        self.open.insert(key, Request { done, due_ms, single: topics == 1, left: topics });
        key
    }

    /// Who waits for it, as long as it is open.
    pub fn waiter(&self, key: RequestKey) -> Option<&T> {
        self.open.get(&key).map(|request| &request.done.waiter)
    }

    /// The same, to note something with whoever waits.
    pub fn waiter_mut(&mut self, key: RequestKey) -> Option<&mut T> {
        self.open.get_mut(&key).map(|request| &mut request.done.waiter)
    }

    /// When whoever waits should have an answer.
    pub fn due_ms(&self, key: RequestKey) -> Option<u64> {
        self.open.get(&key).map(|request| request.due_ms)
    }

    /// Settles one of its topics; the request itself with the last one. One that is gone is passed over.
    pub fn settle(&mut self, key: RequestKey, topic: &str, outcome: Outcome) -> Option<Done<T>> {
        let request = self.open.get_mut(&key)?;
        let done = &mut request.done;
        match outcome {
            Outcome::Passed { online } => done.online = done.online.saturating_add(online),
            Outcome::Stored { online, position } => {
                done.online = done.online.saturating_add(online);
                done.position = Some(position).filter(|_| request.single);
            }
            Outcome::Failed(code) => done.failed.push((topic.to_owned(), code)),
        }
        request.left = request.left.saturating_sub(1);
        if request.left > 0 {
            return None;
        }
        self.forget(key)
    }

    /// Takes it out, whatever is still open of it.
    pub fn forget(&mut self, key: RequestKey) -> Option<Done<T>> {
        self.open.remove(&key).map(|request| request.done)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Epoch;

    fn stored(offset: u64) -> Outcome {
        Outcome::Stored { online: 2, position: Position { epoch: Epoch::new(1), offset } }
    }

    #[test]
    fn one_topic_tells_its_position() {
        let mut requests = Requests::default();
        let key = requests.open("w", 1, 9);
        assert_eq!((requests.waiter(key), requests.due_ms(key)), (Some(&"w"), Some(9)));
        let done = requests.settle(key, "u:a", stored(3)).unwrap();
        assert_eq!((done.waiter, done.online, done.position.unwrap().offset), ("w", 2, 3));
        assert!(requests.is_empty());
    }

    #[test]
    fn several_topics_are_answered_together_and_name_those_that_failed() {
        let mut requests = Requests::default();
        let key = requests.open((), 3, 0);
        assert!(requests.settle(key, "u:a", stored(3)).is_none());
        assert!(requests.settle(key, "u:b", Outcome::Failed(ErrorCode::KeyReused)).is_none());
        let done = requests.settle(key, "u:c", Outcome::Passed { online: 1 }).unwrap();
        assert_eq!((done.online, done.position), (3, None));
        assert_eq!(done.failed, [("u:b".to_owned(), ErrorCode::KeyReused)]);
    }

    #[test]
    fn a_late_outcome_finds_nobody() {
        let mut requests = Requests::default();
        let first = requests.open((), 1, 0);
        requests.forget(first);
        let second = requests.open((), 1, 0);
        assert_ne!(first, second);
        assert!(requests.settle(first, "u:a", stored(1)).is_none());
        assert_eq!(requests.len(), 1);
    }
}
