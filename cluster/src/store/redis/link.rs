//! The connection to the server: made, watched, and made again for ever, with its subscriptions.
//!
//! A task of its own does that, so that an operation finds at once either a connection or the reason why there is none;
//! redis's `ConnectionManager` would let operations wait for the whole of an outage, and keep the reason to itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, PushInfo, RedisError, RedisResult,
    ScriptInvocation, ServerErrorKind, Value,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::config::RedisConfig;
use super::failure::translate;
use super::signals::Signals;
use crate::chance;
use crate::store::StoreError;

/// First and longest pause between attempts to connect.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often a standing connection is looked at: whether its server is a replica by now, which who only reads is never
/// told, and whether it has dropped a subscription in silence, which is made again.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The code of a subscription that hears nothing, and what to do about it.
const DEAF: &str = "store_notices_lost";
const DEAF_REMEDY: &str = "let --redis lead to one server and not to a proxy without pub/sub; the user needs the channels ringdial:*";
/// A connection is left after this many time-outs' time without any answer: two renewals, so that a lease survives it.
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
    /// When something was answered on it last.
    answered: Arc<Mutex<Instant>>,
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
                *connection.answered.lock() = Instant::now();
                Ok(answer)
            }
            Ok(Err(error)) if error.is_timeout() => Err(self.silent(connection)),
            Ok(Err(error)) => {
                let translated = translate(&self.address, &error);
                if is_demoted(&error) {
                    connection.leave(translated.clone());
                } else if error.is_unrecoverable_error() {
                    connection.gone.cancel();
                }
                Err(translated)
            }
            Err(_) => Err(self.silent(connection)),
        }
    }

    /// Something was not answered in time. A connection on which nothing was for long is left: it may be dead and nobody
    /// may ever say so, while another would be answered.
    fn silent(&self, connection: &Connection) -> StoreError {
        let error = self.timed_out();
        if connection.answered.lock().elapsed() >= SILENT_TIMEOUTS * self.response_timeout {
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

/// What keeps the connection up.
struct LinkKeeper {
    client: Client,
    address: Arc<str>,
    signals: Arc<Signals>,
    connect_timeout: Duration,
    response_timeout: Duration,
    state: watch::Sender<State>,
    interruptions: watch::Sender<u64>,
}

// === impl LinkKeeper ===

impl LinkKeeper {
    async fn run(self) {
        let mut pause = RETRY_FIRST;
        loop {
            let error = match self.connect().await {
                Ok(connection) => {
                    pause = RETRY_FIRST;
                    tracing::info!(address = %self.address, "connected to the store");
                    let before = self.state.send_replace(State::Up(connection.clone()));
                    if matches!(before, State::Down(_)) {
                        // Who hears of it finds the new connection.
                        self.interruptions.send_modify(|count| *count += 1);
                    }
                    let ended = self.watch(connection).await;
                    self.signals.gap();
                    ended
                }
                Err(error) => error,
            };
            let was_down = matches!(self.state.send_replace(State::Down(error.clone())), State::Down(_));
            if !was_down {
                tracing::warn!(
                    code = error.code(),
                    remedy = error.remedy(),
                    "no connection to the store: {error}"
                );
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        let gone = CancellationToken::new();
        let (signals, ended) = (self.signals.clone(), gone.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_push_sender(move |push: PushInfo| -> Result<(), ()> {
                signals.take(&push, &ended);
                Ok(())
            });
        // The crate's time-out covers the connection, ours the greeting too.
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let redis = timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| timed_out(&self.address, self.connect_timeout))?
            .map_err(|error| translate(&self.address, &error))?;
        let answered = Arc::new(Mutex::new(Instant::now()));
        let mut connection = Connection { redis, gone, why: Arc::default(), subscribed: false, answered };
        self.refuse_replica(&mut connection).await?;
        self.subscribe(&mut connection).await?;
        Ok(connection)
    }

    /// A replica is no store. A name may go on standing for it for some time after it was the primary.
    async fn refuse_replica(&self, connection: &mut Connection) -> Result<(), StoreError> {
        // Every user may say this, other than `ROLE`.
        let asking = ::redis::cmd("HELLO");
        let told = asking.query_async::<HashMap<String, Value>>(&mut connection.redis);
        let told = timeout(self.response_timeout, told)
            .await
            .map_err(|_| timed_out(&self.address, self.response_timeout))?
            .map_err(|error| translate(&self.address, &error))?;
        let is_replica = |role: &Value| matches!(role, Value::BulkString(role) if role == b"replica");
        if told.get("role").is_some_and(is_replica) {
            let cause = "it is a replica, and not the primary".to_owned();
            return Err(StoreError::NotReady { address: self.address.to_string(), cause });
        }
        Ok(())
    }

    /// Returns with the reason when the connection has ended.
    async fn watch(&self, mut connection: Connection) -> StoreError {
        let mut more = self.signals.more();
        // What was wanted after the connection subscribed and before this look would else wait for the next one.
        more.mark_changed();
        loop {
            let gone = connection.gone.clone();
            tokio::select! {
                () = gone.cancelled() => {}
                () = self.listen(&mut connection) => {}
            }
            tokio::select! {
                () = connection.gone.cancelled() => {
                    let cause = "the connection was lost".to_owned();
                    let lost = || StoreError::Unreachable { address: self.address.to_string(), cause };
                    return connection.why.get().cloned().unwrap_or_else(lost);
                }
                _ = more.changed() => {}
                () = sleep(LOOK_EVERY) => {}
            }
            let looked = match self.refuse_replica(&mut connection).await {
                Ok(()) => self.subscribe(&mut connection).await,
                Err(error) => Err(error),
            };
            // A slow server keeps its connection: the poll stands in for the subscription.
            if let Err(error) = looked
                && !matches!(error, StoreError::TimedOut { .. })
            {
                return error;
            }
        }
    }

    /// Finds out whether what is published arrives, by telling it to itself. A subscription can be dead while all else is
    /// answered; then the poll stands in for it.
    async fn listen(&self, connection: &mut Connection) {
        if !connection.subscribed {
            return;
        }
        let mut probe = self.signals.probe();
        let mut saying = ::redis::cmd("PUBLISH");
        saying.arg(probe.channel()).arg("");
        let said = saying.query_async::<u64>(&mut connection.redis);
        let arrives = match timeout(self.response_timeout, said).await {
            Ok(Ok(_)) => timeout(self.response_timeout, probe.heard()).await.is_ok(),
            Ok(Err(error)) if translate(&self.address, &error).temporary() => return,
            Ok(Err(_)) => false,
            // A slow server says nothing about its subscriptions.
            Err(_) => return,
        };
        if self.signals.set_arriving(arrives) == arrives {
            return;
        }
        let (address, remedy) = (&self.address, DEAF_REMEDY);
        match arrives {
            true => tracing::info!(%address, "the store's notices arrive again"),
            false => {
                tracing::warn!(%address, code = DEAF, remedy, "the store's notices do not arrive: polling alone tells of changes")
            }
        }
    }

    async fn subscribe(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let channels = self.signals.channels();
        if channels.is_empty() {
            return Ok(());
        }
        match timeout(self.response_timeout, connection.redis.subscribe(channels)).await {
            Ok(subscribed) => {
                connection.subscribed = true;
                subscribed.map_err(|error| translate(&self.address, &error))
            }
            Err(_) => Err(timed_out(&self.address, self.response_timeout)),
        }
    }
}

/// Between half of `pause` and all of it, so that the processes of a cluster do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let random = chance::fill(&mut byte).map_or(0, |()| u32::from(byte[0]));
    pause / 2 + pause * random / 510
}
