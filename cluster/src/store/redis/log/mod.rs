//! The log of one service on Redis: a script for each topic, all of a call in one round trip.

mod answers;
mod calls;

use ::redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value};
use async_trait::async_trait;
use tokio::sync::watch;

use self::answers::Malformed;
use self::calls::Keys;
use super::failure::translate;
use super::link::Link;
use super::scripts;
use crate::log::{
    Append, Batch, Log, LogConfig, LogError, Open, Opened, Position, Read, ReadRequest, Topic, rules,
};
use crate::store::StoreError;

pub(super) struct RedisLog {
    link: Link,
    service: String,
    config: LogConfig,
}

// === impl RedisLog ===

impl RedisLog {
    pub(super) fn new(link: Link, service: &str, config: LogConfig) -> Self {
        Self { link, service: service.to_owned(), config }
    }

    /// Runs one script for each topic. The server forgets scripts when it restarts: those that it did not know are sent
    /// to it, and the calls that need them once more. As a call names a topic once, no topic's order suffers.
    async fn run(
        &self,
        script: &Script,
        count: usize,
        call: impl Fn(usize) -> Cmd + Send + Sync,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let deadline = self.link.deadline();
        let mut pipeline = Pipeline::with_capacity(count);
        for at in 0..count {
            pipeline.add_command(call(at));
        }
        let mut answers = self.link.pipe(deadline, &mut pipeline).await?;
        let unknown: Vec<usize> = (0..count).filter(|at| answers.get(*at).is_some_and(is_unknown)).collect();
        if unknown.is_empty() {
            return Ok(answers);
        }
        let mut pipeline = Pipeline::with_capacity(unknown.len() + 1);
        pipeline.load_script(script);
        for at in &unknown {
            pipeline.add_command(call(*at));
        }
        let again = self.link.pipe(deadline, &mut pipeline).await?;
        for (at, answer) in unknown.into_iter().zip(again.into_iter().skip(1)) {
            answers[at] = answer;
        }
        Ok(answers)
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
        translate(self.link.address(), error).into()
    }

    fn unexpected(&self, _: Malformed) -> LogError {
        let cause = "an answer of the log has an unknown form".to_owned();
        StoreError::Unexpected { address: self.link.address().to_owned(), cause }.into()
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
        let answers = self.run(&scripts::LOG_OPEN, topics.len(), call).await;
        self.read_all(topics.len(), answers, |_, value| answers::opened(value))
    }

    async fn append(&self, appends: &[Append<'_>]) -> Vec<Result<Batch, LogError>> {
        if let Err(error) = rules::check_appends(appends) {
            return all(appends.len(), &error);
        }
        let call = |at: usize| calls::append(&self.service, &appends[at], &self.config);
        let answers = self.run(&scripts::LOG_APPEND, appends.len(), call).await;
        self.read_all(appends.len(), answers, |at, value| answers::batch(value, appends[at].messages))
    }

    async fn read(&self, request: &ReadRequest<'_>) -> Result<Read, LogError> {
        rules::check_topic(request.topic)?;
        let answers = self.run(&scripts::LOG_READ, 1, |_| calls::read(&self.service, request)).await;
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
        let answers = self.link.pipe(self.link.deadline(), &mut pipeline).await;
        let both = 2 * topics.len();
        let answers = self.read_all(both, answers, |at, value| match at % 2 {
            0 => answers::position(value).map(Ok),
            _ => Ok(Ok(None)),
        });
        answers.chunks_exact(2).map(|pair| pair[1].clone().and_then(|_| pair[0].clone())).collect()
    }

    fn interruptions(&self) -> watch::Receiver<u64> {
        self.link.interruptions()
    }
}

fn is_unknown(answer: &RedisResult<Value>) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

fn all<T>(count: usize, error: &LogError) -> Vec<Result<T, LogError>> {
    (0..count).map(|_| Err(error.clone())).collect()
}
