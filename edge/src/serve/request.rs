//! What the accept loop adds to each request: who asks, the refusal of `CONNECT`, the time limit.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::time::timeout;

use super::{BoxError, Options};
use crate::counts::Counts;
use crate::problem::Problem;

/// The connection that a request came over; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectInfo {
    /// The other end of the TCP connection: the client, or the proxy in front of this process.
    pub peer: SocketAddr,
    /// Whether this process ended the TLS.
    pub tls: bool,
}

/// Whether a connection has carried a request yet.
#[derive(Clone)]
pub(super) struct Began(Arc<AtomicBool>);

/// A service as one connection sees it.
pub(super) struct PerConnection<S> {
    inner: S,
    info: ConnectInfo,
    began: Began,
    limit: Duration,
    counts: Counts,
}

type Answer<B> = Response<Either<B, Full<Bytes>>>;

// === impl Began ===

impl Began {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl PerConnection ===

impl<S> PerConnection<S> {
    pub(super) fn new(inner: S, info: ConnectInfo, options: &Options) -> Self {
        let limit = options.limits.request_timeout;
        let began = Began(Arc::new(AtomicBool::new(false)));
        Self { inner, info, began, limit, counts: options.counts.clone() }
    }

    pub(super) fn began(&self) -> Began {
        self.began.clone()
    }
}

impl<S, B> Service<Request<Incoming>> for PerConnection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Answer<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<B>, BoxError>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.began.0.store(true, Ordering::Relaxed);
        if request.method() == Method::CONNECT {
            // No process here is a proxy, and warp 0.4.3 panics on a CONNECT's path.
            return Box::pin(std::future::ready(Ok(no_proxy().map(Either::Right))));
        }
        request.extensions_mut().insert(self.info);
        let version = request.version();
        let (limit, counts) = (self.limit, self.counts.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            match timeout(limit, answer).await {
                Ok(answer) => answer.map(|answer| answer.map(Either::Left)).map_err(Into::into),
                Err(_) => {
                    counts.request_timeout();
                    Ok(too_slow(version).map(Either::Right))
                }
            }
        })
    }
}

fn no_proxy() -> Response<Full<Bytes>> {
    let detail = "this is not a proxy: CONNECT is refused";
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).full();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
    response
}

fn too_slow(version: Version) -> Response<Full<Bytes>> {
    let detail = "the request was not complete and answered in time; send it again";
    let mut response =
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail).temporary().full();
    // What is left of a slow body would be taken for the next request. HTTP/2 has no such header.
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
