//! This node as the home of durable topics: it orders their messages, has the log store them, and passes them on.
//!
//! A message is passed on and acknowledged when the log has it, never before. The log refuses a home that is none any more.

use std::sync::Arc;

use bytes::Bytes;
use cluster::homes::{CALL_WAIT_MS, Origin, Outcome, Outgoing, RequestKey, SEND_WITHIN_MS};
use cluster::log::{Batch, Fence, LogError, Opened, Position};
use cluster::maps::HashSet;
use cluster::planted::{self, Bug};
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{Message, Name};
use cluster::wire::peer::{Deliver, FromHome, Interest, MessageName, encode};

use super::log_port::LogAnswer;
use super::stale::Why;
use super::stream::{Stream, Waiting};
use super::topics::Topic;
use super::{Core, LinkSink, Now, Place, SessionSink};
use crate::frames;

/// How long a message waits for the log, milliseconds. Less than its sender waits for the answer.
const STORE_WAIT_MS: u64 = 4_000;
const _: () = assert!(SEND_WITHIN_MS < STORE_WAIT_MS && STORE_WAIT_MS < CALL_WAIT_MS);

/// Bytes that may wait for the log in all, with what they take beside.
pub(super) const STORE_BYTES_MAX: usize = 64 * 1024 * 1024;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// The log answers.
    pub fn log_answered(&mut self, answers: Vec<LogAnswer>, now: Now) {
        self.at(now);
        for answer in answers {
            if let LogAnswer::Opened { topic, .. }
            | LogAnswer::Appended { topic, .. }
            | LogAnswer::Read { topic, .. } = &answer
            {
                self.refresh(topic);
            }
            match answer {
                LogAnswer::Opened { topic, result } => self.stream_opened(&topic, result, now),
                LogAnswer::Appended { topic, result } => self.stream_appended(&topic, result, now),
                LogAnswer::Read { reader, result, .. } => self.read_done(reader, result, now),
                LogAnswer::Looked { results, .. } => self.looked(results, now),
            }
        }
    }

    /// The log may have been replaced, or have lost something: every topic at home here is opened again.
    pub fn log_interrupted(&mut self) {
        self.mark(Why::DOUBTED, |_| true);
    }

    /// Stores a message of a topic at home here; its answer is given when the log has it.
    pub(super) fn store(&mut self, request: RequestKey, name: &str, message: &Outgoing<'_>, now: Now) {
        if !self.has_room_to_store(message) {
            return self.settle(request, name, Outcome::Failed(ErrorCode::Overloaded));
        }
        let Origin { node, generation, counter } = message.origin;
        let waiting = Waiting {
            request,
            origin: (Arc::from(node), generation, counter),
            from: Arc::from(message.from),
            key: Box::from(message.key),
            data: Bytes::copy_from_slice(message.data.as_bytes()),
            due_ms: now.tick_ms + STORE_WAIT_MS,
        };
        self.store_bytes += waiting.cost();
        self.counts.homed += 1;
        if planted::is(Bug::AckEarly)
            && let Some(position) = self.stream(name).next_place()
        {
            self.settle(request, name, Outcome::Stored { online: 0, position });
        }
        self.stream(name).push(waiting);
        self.pump_stream(name);
    }

    /// Whether one more message can wait for the log.
    pub(super) fn has_room_to_store(&self, message: &Outgoing<'_>) -> bool {
        self.store_bytes + Waiting::cost_of(message) <= STORE_BYTES_MAX
    }

    /// Somebody asks for a topic at home here: where it stands, if that is known.
    pub(super) fn stands_for(&mut self, link: u64, interest: &Interest<'_>) -> Option<Position> {
        self.config.retentions.of(interest.topic)?;
        let stream = self.stream(interest.topic);
        let position = stream.stands_for(interest.known, interest.verify);
        if position.is_none() && !stream.untold.contains(&link) {
            stream.untold.push(link);
        }
        self.pump_stream(interest.topic);
        position
    }

    /// Sessions here follow a topic at home here: the log is asked where it stands, if that isn't known.
    pub(super) fn open_stream(&mut self, name: &str, now: Now) {
        if self.config.retentions.of(name).is_none() {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.standing = true;
            }
            return self.advance_all(name, now);
        }
        let (known, standing) = match self.topics.get(name) {
            Some(topic) => (topic.feed.head(), topic.standing),
            None => (None, false),
        };
        let position = self.stream(name).stands_for(known, false);
        match position {
            // Whoever came before was told.
            Some(head) if standing && known == Some(head) => {}
            Some(head) => self.take_head(name, head, now),
            None => self.pump_stream(name),
        }
    }

    /// What the log says and what is known here do not agree: the log is asked again.
    pub(super) fn doubt(&mut self, name: &str) {
        if let Some(stream) = self.topics.get_mut(name).and_then(|topic| topic.stream.as_mut()) {
            stream.doubt();
        }
        self.pump_stream(name);
    }

    /// Asks the log what is to be asked next for a topic. What waits is given back if its home is elsewhere by now.
    pub(super) fn pump_stream(&mut self, name: &str) {
        let (is_home, fence) = (self.is_home(name), Fence::of(&self.ring));
        let Some(retention) = self.config.retentions.of(name) else { return };
        let Some(shared) = self.topics.name(name) else { return };
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(stream) = topic.stream.as_mut().filter(|stream| !stream.is_out()) else { return };
        if !is_home {
            return self.give_all_back(name);
        }
        // Who stands in for a dead home stores nothing. What was sent there waits as for a log that is away.
        let stores = !self.ring.stands_in(topic.slot) || planted::is(Bug::StoreForDead);
        let Some(request) = stream.next(&shared, topic.slot, fence, stores.then_some(retention)) else {
            if stream.has_waiting() {
                self.later.push(&shared, stream);
            }
            return;
        };
        let batch = request.message_count();
        match self.log.submit(request) {
            Ok(()) => stream.sent(batch),
            Err(_) => {
                self.later.push(&shared, stream);
                if batch > 0 {
                    self.later.note_full();
                }
            }
        }
    }

    /// Whether messages of a topic that is at home elsewhere wait for the log here, to go there after its answer.
    pub(super) fn is_leaving(&self, name: &str) -> bool {
        let stream = self.topics.get(name).and_then(|topic| topic.stream.as_ref());
        stream.is_some_and(|stream| stream.is_busy()) && !self.is_home(name)
    }

    /// The topic's home is elsewhere now: what waits goes there, behind what is out.
    pub(super) fn leave_home(&mut self, name: &str) {
        if let Some(stream) = self.topics.get_mut(name).and_then(|topic| topic.stream.as_mut()) {
            stream.lingers_until_ms = 0;
        }
        self.pump_stream(name);
        self.topics.release(name);
    }

    /// Looks after the topics that could not be helped before: the first of them, the others are for [`Core::work_off`].
    pub(super) fn pump_later(&mut self, now: Now) {
        self.later.begin_turn();
        self.pump_some(now);
    }

    /// Goes on with that.
    pub(super) fn pump_some(&mut self, now: Now) {
        for name in self.later.take_some() {
            self.refresh(&name);
            let stores_here = self.is_home(&name) && !self.ring.stands_in(self.slot(&name));
            let Some(stream) = self.topics.get_mut(&name).and_then(|topic| topic.stream.as_mut()) else {
                continue;
            };
            stream.queued = false;
            let overdue = if stream.is_out() { Vec::new() } else { stream.take_overdue(now.tick_ms) };
            let put_off = stores_here && self.later.puts_off(stream);
            if put_off {
                self.later.push(&name, stream);
            }
            self.settle_all(&name, overdue, |_| Outcome::Failed(ErrorCode::LogUnavailable));
            if !put_off {
                self.pump_stream(&name);
            }
            self.topics.release(&name);
        }
    }

    fn stream_opened(&mut self, name: &Arc<str>, result: Result<Opened, LogError>, now: Now) {
        let Some(stream) = self.topics.get_mut(name).and_then(|topic| topic.stream.as_mut()) else { return };
        match result {
            Ok(opened) => {
                stream.opened(opened.position);
                self.stands(name, opened.position, now);
                self.pump_stream(name);
                self.topics.release(name);
            }
            Err(error) => self.stream_failed(name, &error, now),
        }
    }

    fn stream_appended(&mut self, name: &Arc<str>, result: Result<Batch, LogError>, now: Now) {
        let Some(stream) = self.topics.get_mut(name).and_then(|topic| topic.stream.as_mut()) else { return };
        let batch = match result {
            Ok(batch) => batch,
            Err(error) => return self.stream_failed(name, &error, now),
        };
        let (doubted, before) = (stream.is_doubted(), stream.position);
        let messages = stream.appended(batch.opened.position);
        let new = batch.results.iter().flatten().find(|appended| !appended.repeated);
        let first = new.map_or(batch.opened.position, |new| Position {
            offset: new.position.offset.saturating_sub(1),
            ..new.position
        });
        if before.is_none_or(|before| before.epoch != first.epoch) {
            self.stands(name, first, now);
        }
        self.pass_batch(name, &messages, &batch, now);
        let passed = self.topics.get(name).and_then(|topic| topic.stream.as_ref()?.position);
        if doubted || passed.is_none_or(|passed| passed.offset < batch.opened.position.offset) {
            // Somebody waits to hear where it stands, or the log holds what this home did not pass on: an append whose
            // answer was lost.
            self.stands(name, batch.opened.position, now);
        }
        let online = self.topics.get(name).map_or(0, Topic::online);
        let mut results = batch.results.into_iter();
        self.settle_all(name, messages, |_| match results.next() {
            Some(Ok(appended)) => Outcome::Stored { online, position: appended.position },
            Some(Err(error)) => Outcome::Failed(code_of(&error)),
            None => Outcome::Failed(ErrorCode::LogUnavailable),
        });
        self.linger(name, now);
        self.pump_stream(name);
        self.topics.release(name);
    }

    /// Passes on the entries of a batch that are new in the log.
    fn pass_batch(&mut self, name: &Arc<str>, messages: &[Waiting], batch: &Batch, now: Now) {
        let heard = self.topics.get(name).is_some_and(Topic::is_heard);
        for (message, result) in messages.iter().zip(&batch.results) {
            let Some(appended) = result.as_ref().ok().filter(|appended| !appended.repeated) else { continue };
            let at = appended.position;
            if !heard {
                // There is nobody to make a frame for.
                self.pass_entry(name, at, &Bytes::new(), now);
                continue;
            }
            let data = std::str::from_utf8(&message.data).unwrap_or("null");
            let text = Message {
                topic: name,
                name: Name::Entry(at),
                from: &message.from,
                data,
                time: batch.time_ms,
            };
            self.pass_entry(name, at, &frames::text(&text.to_json()), now);
        }
    }

    fn pass_entry(&mut self, name: &Arc<str>, at: Position, frame: &Bytes, now: Now) {
        self.counts.stored += 1;
        let Some(topic) = self.topics.get_mut(name) else { return };
        if let Some(stream) = &mut topic.stream {
            stream.position = Some(at);
        }
        if !topic.remote.is_empty() {
            let deliver = Deliver { topic: name, name: MessageName::Entry(at), frame };
            let deliver = encode(&FromHome::Deliver(deliver));
            for remote in &topic.remote {
                self.askers.pass(remote.link, &deliver, name, &mut self.counts.dropped_link_full);
            }
        }
        if self.may_take(name, at, &self.me.id) {
            self.take_entry(name, at, frame, now);
        }
    }

    /// The topic stands there. Whoever follows it and was not told so is told.
    fn stands(&mut self, name: &Arc<str>, head: Position, now: Now) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(stream) = &mut topic.stream else { return };
        let news = stream.position.replace(head) != Some(head);
        let untold = std::mem::take(&mut stream.untold);
        let told = encode(&FromHome::Head { topic: name, position: head });
        for remote in topic.remote.iter().filter(|remote| news || untold.contains(&remote.link)) {
            self.askers.pass(remote.link, &told, name, &mut self.counts.dropped_link_full);
        }
        if self.may_take(name, head, &self.me.id) {
            self.take_head(name, head, now);
        }
    }

    /// The log did not do it. What waits goes on waiting, in order, until it is due.
    fn stream_failed(&mut self, name: &Arc<str>, error: &LogError, now: Now) {
        self.counts.log_failures += 1;
        let Some(stream) = self.topics.get_mut(name).and_then(|topic| topic.stream.as_mut()) else { return };
        stream.failed();
        self.later.push(name, stream);
        if matches!(error, LogError::Unavailable(_)) {
            self.tell_pending(name, now);
        }
    }

    fn give_all_back(&mut self, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let Some(mut stream) = topic.stream.take() else { return };
        // The ways by which something came that found no room: a smaller one behind it would find some.
        let mut refused = HashSet::default();
        for waiting in stream.take_waiting() {
            self.store_bytes = self.store_bytes.saturating_sub(waiting.cost());
            let (node, generation, counter) = &waiting.origin;
            let Ok(data) = std::str::from_utf8(&waiting.data) else { continue };
            let message = Outgoing {
                origin: Origin { node, generation: *generation, counter: *counter },
                from: &waiting.from,
                key: &waiting.key,
                ephemeral: false,
                data,
            };
            let way = (Arc::clone(node), Arc::clone(&waiting.from));
            if refused.contains(&way) || !self.give_back(waiting.request, name, &message) {
                // Whether the log has it nobody knows, as an answer of it may have been lost.
                self.settle(waiting.request, name, Outcome::Failed(ErrorCode::Unavailable));
                refused.insert(way);
            }
        }
        self.topics.release(name);
    }

    fn settle_all(
        &mut self,
        name: &str,
        messages: Vec<Waiting>,
        mut outcome: impl FnMut(&Waiting) -> Outcome,
    ) {
        for message in messages {
            self.store_bytes = self.store_bytes.saturating_sub(message.cost());
            let outcome = outcome(&message);
            self.settle(message.request, name, outcome);
        }
    }

    /// The topic's stream, made if it isn't there.
    fn stream(&mut self, name: &str) -> &mut Stream {
        let slot = self.slot(name);
        let topic = self.topics.entry(name, || Topic::new(slot, Place::Here));
        topic.stream.get_or_insert_default()
    }
}

fn code_of(error: &LogError) -> ErrorCode {
    match error {
        LogError::KeyReused => ErrorCode::KeyReused,
        LogError::TooLarge { .. } => ErrorCode::TooLarge,
        LogError::Invalid { .. } => ErrorCode::BadRequest,
        LogError::StaleHome { .. } | LogError::Unavailable(_) | LogError::NoRandomness => {
            ErrorCode::LogUnavailable
        }
    }
}
