//! What keeps the connection up: makes it, watches it, and makes it again for ever, with its subscriptions.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{AsyncConnectionConfig, Client, PushInfo, RedisResult, Value};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::failure::translate;
use super::super::signals::Signals;
use super::silence::Silence;
use super::{Connection, State, timed_out};
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

/// Keeps one server's connection up, and tells of it.
pub(super) struct LinkKeeper {
    pub(super) client: Client,
    pub(super) address: Arc<str>,
    pub(super) signals: Arc<Signals>,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) state: watch::Sender<State>,
    pub(super) interruptions: watch::Sender<u64>,
}

// === impl LinkKeeper ===

impl LinkKeeper {
    /// Until it is aborted.
    pub(super) async fn run(self) {
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
        let silence = Arc::new(Mutex::new(Silence::new(Instant::now())));
        let mut connection = Connection { redis, gone, why: Arc::default(), subscribed: false, silence };
        self.refuse_replica(&mut connection).await?;
        self.subscribe(&mut connection).await?;
        Ok(connection)
    }

    /// A replica is no store. A name may go on standing for it for some time after it was the primary.
    async fn refuse_replica(&self, connection: &mut Connection) -> Result<(), StoreError> {
        // Every user may say this, other than `ROLE`.
        let asking = ::redis::cmd("HELLO");
        let told = asking.query_async::<HashMap<String, Value>>(&mut connection.redis);
        let told = self.answer(&connection.silence, told).await?;
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
        let arrives = match self.answer(&connection.silence, said).await {
            Ok(_) => timeout(self.response_timeout, probe.heard()).await.is_ok(),
            // A slow server says nothing about its subscriptions.
            Err(error) if error.temporary() => return,
            Err(_) => false,
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
        let subscribed = self.answer(&connection.silence, connection.redis.subscribe(channels)).await;
        if !matches!(subscribed, Err(StoreError::TimedOut { .. })) {
            connection.subscribed = true;
        }
        subscribed
    }

    /// The crate's time-out, which is as long, may be the first to end; it counts among the errors of connections.
    async fn answer<T>(
        &self,
        silence: &Mutex<Silence>,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match timeout(self.response_timeout, answer).await {
            Ok(Ok(answer)) => {
                silence.lock().answered(Instant::now());
                Ok(answer)
            }
            Ok(Err(error)) if !error.is_timeout() => Err(translate(&self.address, &error)),
            Ok(Err(_)) | Err(_) => Err(timed_out(&self.address, self.response_timeout)),
        }
    }
}

/// Between half of `pause` and all of it, so that the processes of a cluster do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let random = chance::fill(&mut byte).map_or(0, |()| u32::from(byte[0]));
    pause / 2 + pause * random / 510
}
