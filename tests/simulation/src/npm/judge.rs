//! What an application is promised by the npm client, and whether it gets it: each message once, in order, none left out
//! without a word, and an answer to each send.

use std::collections::{BTreeMap, BTreeSet};

use cluster::log::{Epoch, Position};
use serde_json::{Value, json};

use crate::book::Book;
use crate::client::{is_ephemeral, position_of};
use crate::logbook::LogBook;

/// What the judge knows of the rest of the run.
pub(crate) struct Judge<'a> {
    /// All sends.
    pub(crate) book: &'a Book,
    /// What the log holds.
    pub(crate) log: &'a LogBook,
    /// The log keeps all: nothing is ever trimmed.
    pub(crate) keeps_all: bool,
    /// All is well, and has been for so long that everybody has recovered.
    pub(crate) calm: bool,
}

/// An application that uses one client.
#[derive(Debug, Default)]
pub(crate) struct Application {
    /// Whose it is.
    pub(crate) user: String,
    /// The client's state, as it was told last.
    pub(crate) state: String,
    /// Where it is in each topic that it uses; `None` until that is known.
    pub(crate) topics: BTreeMap<String, Option<Position>>,
    /// Where it was in groups that it left.
    left: BTreeMap<String, Value>,
    /// Groups that it left before it knew where it was there, and joined again: the first message says where.
    loose: BTreeSet<String>,
    /// Sends without an answer.
    pub(crate) open: BTreeSet<usize>,
    /// It closed the client.
    pub(crate) closed: bool,
    /// Messages that it was given.
    pub(crate) given: u64,
    /// Numbers that it was given, by topic; forgotten where the log lost something.
    seen: BTreeMap<String, BTreeSet<u64>>,
    /// The last ephemeral message of each topic and origin.
    counters: BTreeMap<(String, String), u64>,
}

impl Application {
    /// One that uses its user's inbox.
    pub(crate) fn new(user: &str) -> Self {
        let topics = [(format!("u:{user}"), None)].into();
        Self { user: user.to_owned(), topics, ..Self::default() }
    }

    /// It is given a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn given(&mut self, message: &Value, judge: &Judge<'_>) -> Result<(), String> {
        let user = self.user.clone();
        let wrong = |what: &str| Err(format!("the application of {user} was given {message}, {what}"));
        let topic = message["topic"].as_str().unwrap_or_default().to_owned();
        let Some(number) = message["data"].as_u64() else { return wrong("which nobody sent") };
        if self.closed {
            return wrong("although it closed the client");
        }
        let Some(at) = self.topics.get_mut(&topic) else { return wrong("although it does not follow that") };
        let send = usize::try_from(number).ok().and_then(|number| judge.book.sends.get(number));
        let sent = send.is_some_and(|send| send.topics.contains(&topic) && message["from"] == *send.user);
        if !sent {
            return wrong("which nobody sent there");
        }
        self.given += 1;
        if message.get("id").is_some() {
            return self.passed(&topic, number, message);
        }
        let Some(position) = position_of(message) else { return wrong("without a position") };
        if !judge.log.holds(&topic, position, number) {
            return wrong("which the log does not hold");
        }
        let next = at.map(|at| Position { offset: at.offset + 1, ..at });
        if next.is_some_and(|next| next != position) {
            return wrong(&format!("which does not follow {at:?}"));
        }
        *at = Some(position);
        if !self.seen.entry(topic).or_default().insert(number) {
            return wrong("for the second time");
        }
        Ok(())
    }

    /// An ephemeral one.
    fn passed(&mut self, topic: &str, number: u64, message: &Value) -> Result<(), String> {
        let id = message["id"].as_str().and_then(|id| id.rsplit_once('-'));
        let id = id.and_then(|(origin, counter)| Some((origin.to_owned(), counter.parse::<u64>().ok()?)));
        let Some((origin, counter)) = id else { return Err(format!("what id is that? {message}")) };
        let last = self.counters.insert((topic.to_owned(), origin), counter);
        let new = self.seen.entry(format!("~{topic}")).or_default().insert(number);
        if last >= Some(counter) || !new {
            return Err(format!("the application of {} was given {message} after {last:?}", self.user));
        }
        Ok(())
    }

    /// It is told of a gap.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn gap(&mut self, gap: &Value, judge: &Judge<'_>) -> Result<(), String> {
        let topic = gap["topic"].as_str().unwrap_or_default();
        let epoch = gap["epoch"].as_str().and_then(Epoch::from_hex);
        let (Some(at), Some(epoch), Some(before)) =
            (self.topics.get_mut(topic), epoch, gap["before"].as_u64())
        else {
            return Err(format!("a gap for {} in what it does not follow: {gap}", self.user));
        };
        let lost = gap["reason"] == "log_lost";
        if judge.keeps_all && judge.log.losses == 0 {
            return Err(format!("nothing was lost, and {} is told {gap}", self.user));
        }
        let next = Position { epoch, offset: before.saturating_sub(1) };
        let fits = at.is_none_or(|at| lost || at.epoch == epoch && at.offset < next.offset);
        if !fits {
            return Err(format!("{} is at {at:?} and is told {gap}", self.user));
        }
        *at = Some(next);
        if lost {
            self.seen.remove(topic);
        }
        Ok(())
    }

    /// It joins a group. Answers where it goes on: where it was, or with all there is, or with what comes.
    pub(crate) fn joins(&mut self, topic: &str, all: bool) -> Value {
        let left = self.left.get(topic).cloned();
        if left == Some(Value::Null) {
            self.loose.insert(topic.to_owned());
        }
        let since = left.filter(Value::is_object);
        self.topics.insert(topic.to_owned(), since.as_ref().and_then(position_of));
        since.unwrap_or_else(|| if all { json!({ "offset": 0 }) } else { Value::Null })
    }

    /// It left a group, and the client says where it was.
    ///
    /// # Errors
    /// It was elsewhere.
    pub(crate) fn leaves(&mut self, topic: &str, at: Option<Value>) -> Result<(), String> {
        let was = self.topics.remove(topic).flatten();
        let known = at.as_ref().and_then(position_of);
        let loose = self.loose.remove(topic);
        self.left.insert(topic.to_owned(), at.unwrap_or_default());
        match was == known || was.is_none() && loose {
            true => Ok(()),
            false => Err(format!("{} leaves {topic} at {known:?} and was at {was:?}", self.user)),
        }
    }

    /// The client's state changed.
    ///
    /// # Errors
    /// It gave up although nobody told it to.
    pub(crate) fn is(&mut self, state: &str, code: &str) -> Result<(), String> {
        state.clone_into(&mut self.state);
        match state == "closed" && !self.closed {
            true => Err(format!("the client of {} gave up: {code}", self.user)),
            false => Ok(()),
        }
    }

    /// A send was answered.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(crate) fn kept(&mut self, number: usize, ack: &Value, judge: &Judge<'_>) -> Result<(), String> {
        if !self.open.remove(&number) {
            return Err(format!("{number} of {} was answered twice", self.user));
        }
        let Some(send) = judge.book.sends.get(number) else { return Err(format!("what is {number}?")) };
        let durable = send.durable && send.topics.len() == 1;
        match position_of(ack) {
            Some(at) if durable && judge.log.holds(&send.topics[0], at, number as u64) => Ok(()),
            None if !durable => Ok(()),
            at => Err(format!("{} is told that {number} is at {at:?}: {send:?}", self.user)),
        }
    }

    /// A send failed.
    ///
    /// # Errors
    /// It should not have.
    pub(crate) fn failed(&mut self, number: usize, code: &str, judge: &Judge<'_>) -> Result<(), String> {
        if !self.open.remove(&number) {
            return Err(format!("{number} of {} failed and was answered", self.user));
        }
        let Some(send) = judge.book.sends.get(number) else { return Err(format!("what is {number}?")) };
        let fair = match code {
            "closed" => self.closed,
            // What carried it is gone.
            "unconfirmed" => !send.durable,
            // Where all is well again, whatever waits is repeated before its time is up.
            "send_timeout" => !judge.calm,
            // The client never gives these.
            "outbox_full" | "aborted" | "" => false,
            // A node did, which is judged where it says so.
            _ => true,
        };
        if fair { Ok(()) } else { Err(format!("{number} of {} failed: {code}: {send:?}", self.user)) }
    }

    /// Takes over where the node says that the client stands in topics of which the application knows nothing yet.
    pub(crate) fn begins(&mut self, positions: &BTreeMap<String, Position>) {
        for (topic, at) in &mut self.topics {
            if at.is_none() && !self.loose.contains(topic) {
                *at = positions.get(topic).copied();
            }
        }
    }

    /// Whether it was given what was stored by a time of the store's clock.
    ///
    /// # Errors
    /// What it lacks.
    pub(crate) fn is_late(&self, log: &LogBook, unix_ms: u64) -> Result<(), String> {
        let unknown = |topic: &String, at: &Option<Position>| at.is_none() && self.loose.contains(topic);
        let topics = self.topics.iter().filter(|(topic, at)| !is_ephemeral(topic) && !unknown(topic, at));
        for (topic, at) in topics {
            let Some(head) = log.head_at(topic, unix_ms).filter(|head| head.offset > 0) else { continue };
            if at.is_none_or(|at| at.epoch != head.epoch || at.offset < head.offset) {
                return Err(format!(
                    "the application of {} is at {at:?} in {topic}, which was at {head:?} seconds ago",
                    self.user
                ));
            }
        }
        Ok(())
    }

    /// What would not be right in the end.
    ///
    /// # Errors
    /// What is not right.
    pub(crate) fn check_end(&self, log: &LogBook) -> Result<(), String> {
        let user = &self.user;
        if self.state != "connected" {
            return Err(format!("the client of {user} is {}", self.state));
        }
        if let Some(number) = self.open.first() {
            return Err(format!("the application of {user} has no answer to {number}"));
        }
        self.is_late(log, u64::MAX)
    }
}
