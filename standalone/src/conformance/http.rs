//! The ports that a client meets: the lookup service's, and the nodes' with their WebSockets.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use cluster::wire::{SUBPROTOCOL, TICKET_PROTOCOL_PREFIX};
use edge::bearer::bearer;
use edge::problem::Problem;
use edge::websocket::{Handshake, accept, on_upgrade, take_io};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, RETRY_AFTER,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::Service;
use lookup_service::{BODY_BYTES_MAX, LookupRequest, Refusal};

use super::socket;
use super::stage::{Stage, clock_s};
use super::world::Told;

type Answer = Response<Full<Bytes>>;

/// What a port is for.
#[derive(Clone)]
pub(super) enum Port {
    /// `/lookup`.
    Lookups(Stage),
    /// `/ws` of the node of this number.
    Node(Stage, usize),
}

impl Service<Request<Incoming>> for Port {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match self {
            Self::Node(stage, node) => {
                let answer = connect(stage, *node, request);
                Box::pin(std::future::ready(Ok(answer)))
            }
            Self::Lookups(stage) => {
                let stage = stage.clone();
                Box::pin(async move { Ok(open_to_pages(look_up(&stage, request).await)) })
            }
        }
    }
}

async fn look_up(stage: &Stage, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    if parts.uri.path() != "/lookup" {
        return Refusal::NotFound.problem().response();
    }
    let asked = match parts.method {
        Method::OPTIONS => {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::NO_CONTENT;
            return answer;
        }
        Method::GET => LookupRequest::from_query(parts.uri.query().unwrap_or_default()),
        Method::POST => match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => LookupRequest::from_json(&body.to_bytes()),
            Err(_) => Err(Refusal::BodyBroken),
        },
        _ => Err(Refusal::Method("GET, POST")),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(refusal) => return refusal.problem().response(),
    };
    if let Some(host) = host_of(&parts) {
        stage.reached_at(host);
    }
    let token = parts.headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    match stage.act(|world, now| world.look_up(&asked, token, now, clock_s())) {
        Told::Granted { mut body, node } => {
            body["url"] = stage.url(node).into();
            let mut answer = Answer::new(Full::from(body.to_string()));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer
        }
        Told::SlowDown(ms) => Refusal::SlowDown(u32::try_from(ms).unwrap_or(u32::MAX)).problem().response(),
        Told::Proxy(seconds) => {
            let mut answer = Answer::new(Full::from("<h1>Service Unavailable</h1>"));
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            answer
        }
    }
}

/// The name in the `Host` header, without its port: a phone's emulator has another for this host than we do.
fn host_of(parts: &Parts) -> Option<&str> {
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, last)| port(last)).map_or(host, |(name, _)| name);
    (!name.is_empty()).then_some(name)
}

/// Any page may try: there is nothing to be had here.
fn open_to_pages(mut answer: Answer) -> Answer {
    let named: [(HeaderName, &str); 4] = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after"),
    ];
    for (name, value) in named {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn connect(stage: &Stage, node: usize, mut request: Request<Incoming>) -> Answer {
    if request.uri().path() != "/ws" {
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "here is only /ws").response();
    }
    let upgrade = on_upgrade(&mut request);
    let (parts, _) = request.into_parts();
    let handshake = match accept(&parts) {
        Ok(handshake) => handshake,
        Err(error) => return error.response(),
    };
    let strange = !handshake.protocols().is_empty() && !handshake.offers(SUBPROTOCOL);
    let ticket = ticket(&parts, &handshake);
    let response = handshake.response(Some(SUBPROTOCOL));
    let stage = stage.clone();
    // Ends with its connection, or with the process.
    tokio::spawn(async move {
        match upgrade.await.map(take_io) {
            Ok(Ok(taken)) => socket::run(&stage, node, ticket.as_deref(), strange, taken).await,
            Ok(Err(error)) => tracing::error!(%error, "an upgraded connection could not be taken"),
            Err(error) => tracing::debug!(%error, "the client was gone before the upgrade"),
        }
    });
    response
}

/// The ticket, in the order of PROTOCOL.md.
fn ticket(parts: &Parts, handshake: &Handshake) -> Option<String> {
    let by_protocol =
        || handshake.protocols().iter().find_map(|protocol| protocol.strip_prefix(TICKET_PROTOCOL_PREFIX));
    let by_header = || bearer(parts.headers.get(AUTHORIZATION)?.as_bytes());
    let by_query = || parts.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("ticket="));
    by_protocol().or_else(by_header).or_else(by_query).map(str::to_owned)
}
