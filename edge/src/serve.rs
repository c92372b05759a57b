//! The accept loop of every process: limits before the first byte, TLS, HTTP, a bounded end.
//!
//! One task per connection; it ends when the connection does or is upgraded. What untrusted clients can hold on
//! to has a bound: half-sent heads, TLS handshakes, unanswered requests, the number of connections.

mod request;

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::counts::{Counts, Permit};
use crate::io::Io;
use crate::limits::{Limits, STREAMS_MAX};
use crate::listen::Listener;
use crate::tls::Tls;

pub use request::ConnectInfo;

/// The HTTP versions of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1 only: WebSocket upgrades need it, and browsers choose by ALPN.
    One,
    /// HTTP/1.1 and HTTP/2 (by ALPN under TLS, by its preface without).
    OneAndTwo,
}

/// How a listener serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The versions spoken.
    pub http: Http,
    /// The bounds.
    pub limits: Limits,
    /// The counters; keep a clone for the metrics page.
    pub counts: Counts,
}

/// Any error a service or a body may end with.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Shared by all connections of a listener.
struct Shared {
    tls: Option<Tls>,
    options: Options,
    one: http1::Builder,
    two: auto::Builder<TokioExecutor>,
    shutdown: CancellationToken,
}

/// Serves until `shutdown`, then lets open requests finish for at most `limits.grace` and cuts the rest.
///
/// `service` is cloned per connection: a `hyper::service::service_fn`, or `TowerToHyperService::new(warp::service(..))`.
/// Each request carries [`ConnectInfo`] as an extension. `CONNECT` is refused with 405. Upgraded connections are no
/// longer this loop's: whoever took them ends them.
pub async fn serve<S, B>(
    listener: Listener,
    tls: Option<Tls>,
    service: S,
    options: Options,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let shared = Arc::new(Shared::new(tls, options, shutdown));
    let tasks = TaskTracker::new();
    while let Some((stream, peer, permit)) = shared.next(&listener).await {
        tasks.spawn(connection(Arc::clone(&shared), stream, peer, permit, service.clone()));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn connection<S, B>(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: Permit,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Boxed: a handshake's locals would otherwise stay in the task for as long as the connection lives.
    let Some(io) = Box::pin(shared.greet(stream, peer, permit)).await else { return };
    let info = ConnectInfo { peer, tls: io.is_tls() };
    let service = request::PerConnection::new(service, info, &shared.options);
    let began = service.began();
    let io = TokioIo::new(io);
    match shared.options.http {
        // Not `auto` restricted to HTTP/1: it ignores that for connections with upgrades.
        Http::One => {
            let connection = shared.one.serve_connection(io, service).with_upgrades();
            drive(connection, |c| c.graceful_shutdown(), began, &shared).await;
        }
        Http::OneAndTwo => {
            // Boxed: inline it would nearly double the task of a listener that speaks HTTP/1 alone.
            let connection = shared.two.serve_connection_with_upgrades(io, service);
            Box::pin(drive(connection, |c| c.graceful_shutdown(), began, &shared)).await;
        }
    }
}

/// Runs a connection to its end. hyper's own header time-out does not cover the bytes that tell HTTP/1 from
/// HTTP/2, nor an HTTP/2 connection without a request: here a first request is due within the header time-out.
async fn drive<C, E>(connection: C, end: impl Fn(Pin<&mut C>), began: request::Began, shared: &Shared)
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let limits = &shared.options.limits;
    let mut connection = pin!(connection);
    let mut due = pin!(sleep(limits.header_timeout));
    let (mut armed, mut ending) = (true, false);
    loop {
        tokio::select! {
            biased;
            done = connection.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(%error, "connection ended with an error");
                }
                return;
            }
            () = shared.shutdown.cancelled(), if !ending => {
                end(connection.as_mut());
                // An unused connection (browsers open them ahead) shall not hold up the end.
                let grace = if began.get() { limits.grace } else { limits.grace.min(UNUSED_GRACE) };
                due.as_mut().reset(Instant::now() + grace);
                (armed, ending) = (true, true);
            }
            () = due.as_mut(), if armed => {
                if ending {
                    shared.options.counts.cut_off();
                    return;
                }
                if !began.get() {
                    shared.options.counts.header_timeout();
                    return;
                }
                armed = false;
            }
        }
    }
}

/// How long a connection without a request is kept at the end.
const UNUSED_GRACE: Duration = Duration::from_millis(500);
/// Pauses after failed accepts: from the first, doubling, to the last.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

// === impl Options ===

impl Options {
    /// HTTP/1.1 only, the default limits, fresh counters.
    pub fn http1() -> Self {
        Self { http: Http::One, limits: Limits::default(), counts: Counts::default() }
    }

    /// HTTP/1.1 and HTTP/2, the default limits, fresh counters.
    pub fn http1_and_2() -> Self {
        Self { http: Http::OneAndTwo, ..Self::http1() }
    }
}

// === impl Shared ===

impl Shared {
    fn new(tls: Option<Tls>, options: Options, shutdown: CancellationToken) -> Self {
        let limits = &options.limits;
        let bytes = limits.header_bytes_max;
        let mut one = http1::Builder::new();
        // The read buffer is the head's bound in both builders: a head that does not fit in it is answered with 431.
        one.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(bytes);
        let mut two = auto::Builder::new(TokioExecutor::new());
        two.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(bytes);
        two.http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(limits.header_timeout)
            .keep_alive_timeout(limits.header_timeout);
        Self { tls, options, one, two, shutdown }
    }

    /// The next connection that has a place; `None` once told to stop.
    async fn next(&self, listener: &Listener) -> Option<(TcpStream, SocketAddr, Permit)> {
        let mut pause = ACCEPT_PAUSE.0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                accepted = listener.socket.accept() => accepted,
            };
            match accepted {
                // Over the limit: dropped before a byte is read, so that a flood costs an accept and nothing else.
                Ok((stream, peer)) => match self.options.counts.admit(self.options.limits.connections_max) {
                    Some(permit) => return Some((stream, peer, permit)),
                    None => pause = ACCEPT_PAUSE.0,
                },
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    self.options.counts.accept_error();
                    tracing::warn!(%error, address = %listener.address(), pause_ms = pause.as_millis(),
                        "cannot accept connections; raise the limit of open files if it says too many");
                    tokio::select! {
                        () = self.shutdown.cancelled() => return None,
                        () = sleep(pause) => pause = (pause * 2).min(ACCEPT_PAUSE.1),
                    }
                }
            }
        }
    }

    /// The stream ready for HTTP: TLS spoken, if the listener has it.
    async fn greet(&self, stream: TcpStream, peer: SocketAddr, permit: Permit) -> Option<Io> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "the connection is gone already");
            return None;
        }
        let Some(tls) = &self.tls else { return Some(Io::counted(stream, permit)) };
        let handshake = timeout(self.options.limits.tls_handshake_timeout, tls.accept(stream));
        let outcome = tokio::select! {
            biased;
            outcome = handshake => outcome,
            () = self.shutdown.cancelled() => return None,
        };
        let error = match outcome {
            Ok(Ok(stream)) => return Some(Io::counted_tls(stream.into(), permit)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".into(),
        };
        self.options.counts.tls_error();
        tracing::debug!(%peer, error, "TLS handshake failed");
        None
    }
}

/// Errors of one connection that died in the queue; the next accept may do.
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused)
}
