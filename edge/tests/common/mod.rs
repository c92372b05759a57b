//! A server in this process and a client that writes raw bytes.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use ringdial_edge::counts::Counts;
use ringdial_edge::limits::Limits;
use ringdial_edge::listen::bind;
use ringdial_edge::serve::{ConnectInfo, Options, serve};
use ringdial_edge::tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer.
pub const DEADLINE: Duration = Duration::from_secs(10);

pub struct Server {
    pub address: SocketAddr,
    pub counts: Counts,
    pub shutdown: CancellationToken,
    pub done: JoinHandle<()>,
}

/// Limits short enough to wait for.
pub fn short() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_millis(600),
        tls_handshake_timeout: Duration::from_millis(300),
        grace: Duration::from_secs(2),
        ..Limits::default()
    }
}

impl Server {
    /// Answers `GET /` with the client's address, `/slow?<ms>` after a while, `POST /echo` with the body.
    pub fn start(options: Options, tls: Option<Tls>) -> Self {
        let listener = bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, counts) = (listener.address(), options.counts.clone());
        let shutdown = CancellationToken::new();
        let done = tokio::spawn(serve(listener, tls, service_fn(answer), options, shutdown.clone()));
        Self { address, counts, shutdown, done }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a fresh connection; everything that comes back until the server closes.
    pub async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        rest(&mut stream).await
    }
}

pub const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let peer = request.extensions().get::<ConnectInfo>().map(|info| format!("{} {}", info.peer, info.tls));
    let body = match request.uri().path() {
        "/slow" => {
            let pause = request.uri().query().and_then(|ms| ms.parse().ok()).unwrap();
            sleep(Duration::from_millis(pause)).await;
            "slow".into()
        }
        "/echo" => request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
        _ => peer.unwrap().into(),
    };
    Ok(Response::new(Full::new(body)))
}

/// All that comes until the other end closes. A reset counts as closed.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut all)).await.expect("the server closes in time");
    if let Err(error) = read {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until `text` has come.
pub async fn until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut all = Vec::new();
    timeout(DEADLINE, async {
        while !String::from_utf8_lossy(&all).contains(text) {
            assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "{}", String::from_utf8_lossy(&all));
        }
    })
    .await
    .expect("the text comes in time");
    String::from_utf8_lossy(&all).into_owned()
}

/// Waits for a condition.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
