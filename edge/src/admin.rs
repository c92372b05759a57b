//! The admin listener: `/livez`, `/readyz`, `/metrics`. Private by default (loopback); no authentication.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;
use crate::listen::Listener;
use crate::metrics::Page;
use crate::problem::Problem;
use crate::serve::{Options, serve as serve_http};

/// Why a process does not want work now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable, `snake_case`, such as `store_unreachable`.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// What `/readyz` asks. Any closure that gives reasons is one.
pub trait Readiness: Send + Sync + 'static {
    /// Why not; empty means ready. Asked for each request: must not block.
    fn reasons(&self) -> Vec<Reason>;
}

type Answer = Response<Full<Bytes>>;

/// Connections to the admin listener; there are few who ask.
const CONNECTIONS_MAX: usize = 64;

/// Answers until `shutdown`. Give it a token that outlives the drain: a draining process is still asked how it is.
pub async fn serve(listener: Listener, page: Page, readiness: impl Readiness, shutdown: CancellationToken) {
    let state = Arc::new((page, readiness));
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &state.0, &state.1)) }
    });
    let mut options = Options::http1();
    options.limits =
        Limits { connections_max: CONNECTIONS_MAX, grace: Duration::from_secs(1), ..Limits::default() };
    serve_http(listener, None, service, options, shutdown).await;
}

// === impl Reason ===

impl Reason {
    /// A reason with its stable code.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl<F: Fn() -> Vec<Reason> + Send + Sync + 'static> Readiness for F {
    fn reasons(&self) -> Vec<Reason> {
        self()
    }
}

fn answer(method: &Method, path: &str, page: &Page, readiness: &impl Readiness) -> Answer {
    let reading = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/livez" | "/readyz" | "/metrics" if !reading => {
            let detail = "this address is only read";
            let mut response =
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).full();
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        "/livez" => text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".into()),
        "/readyz" => ready(&readiness.reasons()),
        "/metrics" => metrics(page),
        _ => Problem::new(StatusCode::NOT_FOUND, "not_found", "here are /livez, /readyz and /metrics").full(),
    }
}

fn ready(reasons: &[Reason]) -> Answer {
    #[derive(Serialize)]
    struct Body<'a> {
        ready: bool,
        reasons: &'a [Reason],
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&Body { ready, reasons }).unwrap_or_default();
    text(status, "application/json", body + "\n")
}

fn metrics(page: &Page) -> Answer {
    match page.text() {
        Ok(page) => text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", page),
        Err(_) => {
            let detail = "the metrics could not be written; this is a bug";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).full()
        }
    }
}

fn text(status: StatusCode, media_type: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
