//! The log of one service on Redis: a script for each topic, all of a call in one round trip.

mod answers;
mod calls;

use std::time::Duration;

use ::redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value};
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use self::answers::Malformed;
use self::calls::Keys;
use super::failure::translate;
use super::link::{Link, is_demoted};
use super::scripts;
use crate::log::{
    Append, Batch, Log, LogConfig, LogError, Open, Opened, Position, Read, ReadRequest, Topic, rules,
};
use crate::store::StoreError;

/// How long replicas may take for an append. Several that are out wait one after the other, and no longer in all than a
/// response may take.
const REPLICAS_WAIT: Duration = Duration::from_millis(200);

pub(super) struct RedisLog {
    writes: Link,
    /// What readers use, if it is another connection.
    reads: Option<Link>,
    /// Replicas that must have an append before it is confirmed.
    wait_replicas: u32,
    service: String,
    config: LogConfig,
}

/// Whether a call's writes are to be in replicas when it is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    Nothing,
    Positions,
    Entries,
}

// === impl RedisLog ===

impl RedisLog {
    pub(super) fn new(
        writes: Link,
        reads: Option<Link>,
        wait_replicas: u32,
        (service, config): (&str, LogConfig),
    ) -> Self {
        Self { writes, reads, wait_replicas, service: service.to_owned(), config }
    }

    /// Runs one script for each topic. The server forgets scripts when it restarts: those that it did not know are sent
    /// to it, and the calls that need them once more. As a call names a topic once, no topic's order suffers.
    async fn run(
        &self,
        script: &Script,
        writes: Writes,
        count: usize,
        call: impl Fn(usize) -> Cmd + Send + Sync,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let deadline = self.writes.deadline();
        let mut pipeline = Pipeline::with_capacity(count + 1);
        for at in 0..count {
            pipeline.add_command(call(at));
        }
        let (mut answers, in_replicas) = self.pipe(deadline, writes, pipeline).await?;
        let unknown: Vec<usize> = (0..count).filter(|at| answers.get(*at).is_some_and(is_unknown)).collect();
        if unknown.is_empty() {
            return in_replicas.map(|()| answers);
        }
        let mut pipeline = Pipeline::with_capacity(unknown.len() + 2);
        pipeline.load_script(script);
        for at in &unknown {
            pipeline.add_command(call(*at));
        }
        let (again, rest_in_replicas) = self.pipe(deadline, writes, pipeline).await?;
        in_replicas.and(rest_in_replicas)?;
        for (at, answer) in unknown.into_iter().zip(again.into_iter().skip(1)) {
            answers[at] = answer;
        }
        Ok(answers)
    }

    /// Runs commands in one round trip, on the connection that is for them. Answers also whether as many replicas as are
    /// wanted have what was written.
    async fn pipe(
        &self,
        deadline: Instant,
        writes: Writes,
        mut pipeline: Pipeline,
    ) -> Result<(Vec<RedisResult<Value>>, Result<(), StoreError>), StoreError> {
        let link = self.reads.as_ref().filter(|_| writes == Writes::Nothing).unwrap_or(&self.writes);
        let waits = self.wait_replicas > 0 && writes == Writes::Entries;
        if waits {
            // In the same round trip, so surely on the connection that wrote: Redis waits for what that one wrote.
            let wait = u64::try_from(REPLICAS_WAIT.as_millis()).unwrap_or(u64::MAX);
            pipeline.cmd("WAIT").arg(self.wait_replicas).arg(wait);
        }
        let mut answers = link.pipe(deadline, &mut pipeline).await?;
        let demoted =
            answers.iter().filter_map(|answer| answer.as_ref().err()).find(|error| is_demoted(error));
        if let (Some(error), Some(reads)) = (demoted, &self.reads) {
            // Nobody is refused when he reads.
            reads.leave(&translate(link.address(), error));
        }
        let in_replicas = if waits { self.check_replicas(answers.pop()) } else { Ok(()) };
        Ok((answers, in_replicas))
    }

    /// Fewer than enough: whether it will survive a failover is not known.
    fn check_replicas(&self, answer: Option<RedisResult<Value>>) -> Result<(), StoreError> {
        let address = self.writes.address();
        match answer {
            Some(Ok(Value::Int(count))) if count >= i64::from(self.wait_replicas) => Ok(()),
            Some(Ok(Value::Int(count))) => {
                let cause = format!("{count} of {} replicas have what was appended", self.wait_replicas);
                Err(StoreError::NotReady { address: address.to_owned(), cause })
            }
            Some(Err(error)) => Err(translate(address, &error)),
            Some(Ok(_)) | None => {
                let cause = "it does not say how many replicas there are".to_owned();
                Err(StoreError::Unexpected { address: address.to_owned(), cause })
            }
        }
    }

    /// Reads each answer, or gives every topic the failure of the whole call.
    fn read_all<T>(
        &self,
        count: usize,
        answers: Result<Vec<RedisResult<Value>>, StoreError>,
        read: impl Fn(usize, Value) -> Result<Result<T, LogError>, Malformed>,
    ) -> Vec<Result<T, LogError>> {
        match answers {
            Ok(answers) if answers.len() == count => {
                let one = |(at, answer): (usize, RedisResult<Value>)| match answer {
                    Ok(value) => read(at, value).unwrap_or_else(|malformed| Err(self.unexpected(malformed))),
                    Err(error) => Err(self.failed(&error)),
                };
                answers.into_iter().enumerate().map(one).collect()
            }
            Ok(_) => all(count, &self.unexpected(Malformed)),
            Err(error) => all(count, &error.into()),
        }
    }

    fn failed(&self, error: &RedisError) -> LogError {
        translate(self.writes.address(), error).into()
    }

    fn unexpected(&self, _: Malformed) -> LogError {
        let cause = "an answer of the log has an unknown form".to_owned();
        StoreError::Unexpected { address: self.writes.address().to_owned(), cause }.into()
    }
}

#[async_trait]
impl Log for RedisLog {
    fn service(&self) -> &str {
        &self.service
    }

    async fn open(&self, topics: &[Open<'_>]) -> Vec<Result<Opened, LogError>> {
        if let Err(error) = rules::check_topics(topics.iter().map(|open| open.topic)) {
            return all(topics.len(), &error);
        }
        let call = |at: usize| calls::open(&self.service, &topics[at], &self.config);
        let answers = self.run(&scripts::LOG_OPEN, Writes::Positions, topics.len(), call).await;
        self.read_all(topics.len(), answers, |_, value| answers::opened(value))
    }

    async fn append(&self, appends: &[Append<'_>]) -> Vec<Result<Batch, LogError>> {
        if let Err(error) = rules::check_appends(appends) {
            return all(appends.len(), &error);
        }
        let call = |at: usize| calls::append(&self.service, &appends[at], &self.config);
        let answers = self.run(&scripts::LOG_APPEND, Writes::Entries, appends.len(), call).await;
        self.read_all(appends.len(), answers, |at, value| answers::batch(value, appends[at].messages))
    }

    async fn read(&self, request: &ReadRequest<'_>) -> Result<Read, LogError> {
        rules::check_topic(request.topic)?;
        let answers =
            self.run(&scripts::LOG_READ, Writes::Nothing, 1, |_| calls::read(&self.service, request)).await;
        let read = self.read_all(1, answers, |_, value| answers::read(value, request).map(Ok));
        read.into_iter().next().unwrap_or_else(|| Err(self.unexpected(Malformed)))
    }

    async fn touch(&self, topics: &[Topic<'_>]) -> Vec<Result<Option<Position>, LogError>> {
        if let Err(error) = rules::check_topics(topics.iter().copied()) {
            return all(topics.len(), &error);
        }
        let mut pipeline = Pipeline::with_capacity(2 * topics.len());
        for topic in topics {
            let key = Keys::of(&self.service, *topic).topic();
            pipeline.add_command(calls::position(&key));
            pipeline.add_command(calls::keep(&key, &self.config));
        }
        if topics.is_empty() {
            return Vec::new();
        }
        let answers = self.pipe(self.writes.deadline(), Writes::Positions, pipeline).await;
        let answers = answers.map(|(answers, _)| answers);
        let both = 2 * topics.len();
        let answers = self.read_all(both, answers, |at, value| match at % 2 {
            0 => answers::position(value).map(Ok),
            _ => Ok(Ok(None)),
        });
        answers.chunks_exact(2).map(|pair| pair[1].clone().and_then(|_| pair[0].clone())).collect()
    }

    fn interruptions(&self) -> watch::Receiver<u64> {
        self.writes.interruptions()
    }
}

fn is_unknown(answer: &RedisResult<Value>) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

fn all<T>(count: usize, error: &LogError) -> Vec<Result<T, LogError>> {
    (0..count).map(|_| Err(error.clone())).collect()
}
