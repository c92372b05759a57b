//! The log of a [`World`](super::world::World): what a core asks is kept until the test has it answered.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use cluster::log::{Append, Epoch, Log, Message, Open, ReadRequest, Topic};

use super::super::log_port::{LogAnswer, LogRequest, LogSink};

/// What one core asked.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    requests: VecDeque<LogRequest>,
    full: bool,
}

impl Asked {
    /// Takes one of the requests out.
    pub(super) fn take(&self, at: usize) -> Option<LogRequest> {
        self.0.lock().unwrap().requests.remove(at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().requests.len()
    }

    /// Whether it takes nothing from now on.
    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }
}

impl LogSink for Asked {
    fn submit(&self, request: LogRequest) -> Result<(), LogRequest> {
        let mut queue = self.0.lock().unwrap();
        if queue.full {
            return Err(request);
        }
        queue.requests.push_back(request);
        Ok(())
    }
}

/// Asks the log, which is in memory and so answers at once; a page has so many entries at most.
pub(super) fn answer(log: &dyn Log, request: &LogRequest, page_max: usize) -> LogAnswer {
    let fresh = Epoch::random().unwrap();
    match request.clone() {
        LogRequest::Open { topic, slot, fence, known } => {
            let open = Open { topic: Topic { name: &topic, slot }, fence, known, fresh };
            let result = wait(log.open(&[open])).remove(0);
            LogAnswer::Opened { topic, result }
        }
        LogRequest::Append { topic, slot, fence, known, retention, messages } => {
            let open = Open { topic: Topic { name: &topic, slot }, fence, known, fresh };
            let messages: Vec<Message<'_>> = messages
                .iter()
                .map(|entry| Message { from: &entry.from, key: Some(&entry.key), data: &entry.data })
                .collect();
            let append = Append { open, retention, messages: &messages };
            let result = wait(log.append(&[append])).remove(0);
            LogAnswer::Appended { topic, result }
        }
        LogRequest::Read { reader, topic, slot, epoch, cursor, count_max, bytes_max } => {
            let topic_at = Topic { name: &topic, slot };
            let count_max = count_max.min(page_max);
            let request = ReadRequest { topic: topic_at, epoch, cursor, count_max, bytes_max };
            let result = wait(log.read(&request));
            LogAnswer::Read { reader, topic, result }
        }
        LogRequest::Look { look, topics } => {
            let named: Vec<Topic<'_>> =
                topics.iter().map(|(name, slot)| Topic { name, slot: *slot }).collect();
            let results = wait(log.touch(&named));
            let names = topics.iter().map(|(name, _)| name.clone());
            LogAnswer::Looked { look, results: names.zip(results).collect() }
        }
    }
}

/// The log in memory only makes way for others before it answers.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(done) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}
