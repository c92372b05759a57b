//! The connection to the server, as operations find it.
//!
//! A task of its own, the keeper, makes it, so that an operation finds at once either a connection or the reason why there
//! is none; redis's `ConnectionManager` would let operations wait for the whole of an outage, and keep the reason to itself.

mod keeper;
mod silence;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation, ServerErrorKind, Value,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::keeper::LinkKeeper;
use self::silence::Silence;
use super::config::RedisConfig;
use super::failure::translate;
use super::signals::Signals;
use crate::store::StoreError;

/// A connection is left after this many time-outs' time in which nothing that was asked was answered: two renewals, so that a
/// lease survives it.
const SILENT_TIMEOUTS: u32 = 2;

/// One server's connection. Dropping it ends the connection.
pub(super) struct Link {
    address: Arc<str>,
    signals: Arc<Signals>,
    state: watch::Receiver<State>,
    interruptions: watch::Receiver<u64>,
    response_timeout: Duration,
    task: JoinHandle<()>,
}

#[derive(Clone)]
enum State {
    /// The first attempt is under way.
    Connecting,
    Up(Connection),
    Down(StoreError),
}

#[derive(Clone)]
struct Connection {
    redis: MultiplexedConnection,
    /// Cancelled when the connection has ended, or is to end.
    gone: CancellationToken,
    /// Why it is to end, where the server still answers.
    why: Arc<OnceLock<StoreError>>,
    /// Whether it has subscribed to anything.
    subscribed: bool,
    silence: Arc<Mutex<Silence>>,
}

// === impl Link ===

impl Link {
    pub(super) fn start(config: &RedisConfig) -> Result<Self, StoreError> {
        let (client, address) = config.client()?;
        let address: Arc<str> = address.into();
        let signals = Arc::new(Signals::new());
        let (sender, state) = watch::channel(State::Connecting);
        let (counter, interruptions) = watch::channel(0);
        let keeper = LinkKeeper {
            client,
            address: address.clone(),
            signals: signals.clone(),
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            state: sender,
            interruptions: counter,
        };
        let task = tokio::spawn(keeper.run());
        let response_timeout = config.response_timeout;
        Ok(Self { address, signals, state, interruptions, response_timeout, task })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The counter of notices on a channel.
    pub(super) fn listen(&self, channel: &str) -> watch::Receiver<u64> {
        self.signals.want(channel)
    }

    /// Whether notices arrive, as far as is known.
    pub(super) fn hears(&self) -> bool {
        self.signals.arriving()
    }

    /// Counts how often there was a connection again after there was none.
    pub(super) fn interruptions(&self) -> watch::Receiver<u64> {
        let mut receiver = self.interruptions.clone();
        receiver.mark_unchanged();
        receiver
    }

    /// Runs a script; fails at once while there is no connection.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let deadline = self.deadline();
        let connection = self.connection(deadline).await?;
        let mut redis = connection.redis.clone();
        self.answer(deadline, &connection, script.invoke_async(&mut redis)).await
    }

    /// When an operation that begins now has waited for long enough.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.response_timeout
    }

    /// Runs commands in one round trip and answers each; fails at once while there is no connection.
    pub(super) async fn pipe(
        &self,
        deadline: Instant,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, StoreError> {
        let connection = self.connection(deadline).await?;
        let mut redis = connection.redis.clone();
        let answers = pipeline.ignore_errors().query_async(&mut redis);
        let answers: Vec<RedisResult<Value>> = self.answer(deadline, &connection, answers).await?;
        let demoted =
            answers.iter().filter_map(|answer| answer.as_ref().err()).find(|error| is_demoted(error));
        demoted.into_iter().for_each(|error| connection.leave(translate(&self.address, error)));
        Ok(answers)
    }

    /// Ends the present connection, if there is one: its server turned out to be another than is wanted.
    pub(super) fn leave(&self, why: &StoreError) {
        if let State::Up(connection) = &*self.state.borrow() {
            connection.leave(why.clone());
        }
    }

    async fn answer<T>(
        &self,
        deadline: Instant,
        connection: &Connection,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => {
                connection.silence.lock().answered(Instant::now());
                Ok(answer)
            }
            Ok(Err(error)) if error.is_timeout() => Err(self.silent(deadline, connection)),
            Ok(Err(error)) => {
                let translated = translate(&self.address, &error);
                if is_demoted(&error) {
                    connection.leave(translated.clone());
                } else if error.is_unrecoverable_error() {
                    connection.gone.cancel();
                } else {
                    connection.silence.lock().answered(Instant::now());
                }
                Err(translated)
            }
            Err(_) => Err(self.silent(deadline, connection)),
        }
    }

    /// Something was not answered in time. A connection on which nothing was for long is left: it may be dead and nobody
    /// may ever say so, while another would be answered.
    fn silent(&self, deadline: Instant, connection: &Connection) -> StoreError {
        let error = self.timed_out();
        let asked = deadline.checked_sub(self.response_timeout).unwrap_or(deadline);
        if connection.silence.lock().missed(asked).elapsed() >= SILENT_TIMEOUTS * self.response_timeout {
            connection.leave(error.clone());
        }
        error
    }

    async fn connection(&self, deadline: Instant) -> Result<Connection, StoreError> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting));
        match timeout_at(deadline, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(connection) => Ok(connection.clone()),
                State::Down(error) => Err(error.clone()),
                State::Connecting => Err(self.timed_out()),
            },
            Ok(Err(_)) | Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> StoreError {
        timed_out(&self.address, self.response_timeout)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Connection ===

impl Connection {
    /// Ends it though the server still answers.
    fn leave(&self, why: StoreError) {
        // Who was first has told why.
        let _ = self.why.set(why);
        self.gone.cancel();
    }
}

/// Whether the server was a primary and is a replica now. It keeps its connections, and refuses every write on them.
pub(super) fn is_demoted(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

fn timed_out(address: &str, after: Duration) -> StoreError {
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    StoreError::TimedOut { address: address.to_owned(), after_ms }
}
