//! The log of a [`World`](super::world::World): what a core asks is kept until the test has it answered.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use cluster::log::{Append, Cursor, Entry, Epoch, Log, Message, Open, Position, Read, ReadRequest, Topic};

use super::super::log_port::{LogAnswer, LogRequest, LogSink};
use super::world::World;

/// What one core asked.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    requests: VecDeque<LogRequest>,
    full: bool,
    refused: usize,
}

impl Asked {
    /// Takes one of the requests out.
    pub(super) fn take(&self, at: usize) -> Option<LogRequest> {
        self.0.lock().unwrap().requests.remove(at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().requests.len()
    }

    /// How often it took nothing.
    pub(super) fn refused(&self) -> usize {
        self.0.lock().unwrap().refused
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
            queue.refused += 1;
            return Err(request);
        }
        queue.requests.push_back(request);
        Ok(())
    }
}

impl World {
    /// Answers whatever was asked of the log; false if nothing was.
    pub(super) fn answer_logs(&mut self) -> bool {
        let mut answered = false;
        for node in 0..self.nodes.len() {
            answered |= self.answer_log(node, usize::MAX) > 0;
        }
        answered
    }

    /// Answers so many of a node's requests to the log; how many that were.
    pub(super) fn answer_log(&mut self, node: usize, most: usize) -> usize {
        while self.done[node].len() < most && self.carry_out(node, 0) {}
        let answers: Vec<LogAnswer> = self.done[node].drain(..).collect();
        let (count, now) = (answers.len(), self.now());
        if count > 0 {
            self.nodes[node].log_answered(answers, now);
        }
        count
    }

    /// The log does one of the things that a node asked for, and tells nobody yet; false if there is none.
    pub(super) fn carry_out(&mut self, node: usize, at: usize) -> bool {
        let Some(request) = self.asked[node].take(at) else { return false };
        self.reads += usize::from(matches!(request, LogRequest::Read { .. }));
        self.done[node].push(answer(&*self.log, &request, self.page_max));
        true
    }

    /// A node is told what the log did; false if there is nothing to tell.
    pub(super) fn tell(&mut self, node: usize, at: usize) -> bool {
        if at >= self.done[node].len() {
            return false;
        }
        let (answer, now) = (self.done[node].remove(at), self.now());
        self.nodes[node].log_answered(vec![answer], now);
        true
    }

    /// What the log holds of a topic: offset and data.
    pub(super) fn entries(&self, topic: &str) -> (Option<Position>, Vec<(u64, String)>) {
        let request = LogRequest::Read {
            reader: 0,
            topic: topic.into(),
            slot: self.ring.key().slot(topic),
            epoch: None,
            cursor: Cursor::After(0),
            count_max: 1_000,
            bytes_max: usize::MAX,
        };
        match answer(&*self.log, &request, usize::MAX) {
            LogAnswer::Read { result: Ok(Read::Page(page)), .. } => {
                let text = |entry: &Entry| String::from_utf8(entry.data.to_vec()).unwrap();
                let entries = page.entries.iter().map(|entry| (entry.offset, text(entry))).collect();
                (Some(page.position), entries)
            }
            LogAnswer::Read { result: Ok(Read::Absent), .. } => (None, vec![]),
            other => panic!("{other:?}"),
        }
    }
}

/// Asks the log, which is in memory and so answers at once; a page has so many entries at most.
fn answer(log: &dyn Log, request: &LogRequest, page_max: usize) -> LogAnswer {
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
