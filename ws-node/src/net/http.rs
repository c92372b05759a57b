//! The public port: `GET /ws` becomes a WebSocket, everything else a problem document.
//!
//! Browsers hide the status of a refused upgrade, so a request that is a WebSocket handshake is always accepted; what
//! is wrong with its ticket is said in an `error` frame and a close code.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use cluster::wire::codes::ErrorCode;
use cluster::wire::{SUBPROTOCOL, TICKET_PROTOCOL_PREFIX};
use edge::bearer::bearer;
use edge::problem::Problem;
use edge::websocket::{Handshake, accept, on_upgrade, take_io};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::Service;

use super::connection;
use crate::node::Node;

/// Where clients connect.
const PATH: &str = "/ws";

/// The service of the public port.
#[derive(Clone)]
pub(crate) struct ClientService(pub(crate) Arc<Node>);

impl Service<Request<Incoming>> for ClientService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.answer(request)))
    }
}

// === impl ClientService ===

impl ClientService {
    fn answer(&self, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != PATH {
            let detail = "here is only /ws; lookups and the API are the lookup service's";
            return Problem::new(StatusCode::NOT_FOUND, "not_found", detail).response();
        }
        let upgrade = on_upgrade(&mut request);
        let (parts, _) = request.into_parts();
        let handshake = match accept(&parts) {
            Ok(handshake) => handshake,
            Err(error) => return error.response(),
        };
        let ticket = ticket(&parts, &handshake);
        let response = handshake.response(Some(SUBPROTOCOL));
        let node = Arc::clone(&self.0);
        self.0.tasks().spawn(async move {
            match upgrade.await.map(take_io) {
                Ok(Ok(taken)) => connection::run(node, taken, ticket).await,
                Ok(Err(error)) => tracing::error!(%error, "an upgraded connection could not be taken"),
                Err(error) => tracing::debug!(%error, "the client was gone before the upgrade"),
            }
        });
        response
    }
}

/// The ticket: a second subprotocol, a bearer token, or (never logged) a query parameter.
fn ticket(parts: &Parts, handshake: &Handshake) -> Result<String, ErrorCode> {
    let offered = handshake.protocols();
    if !offered.is_empty() && !handshake.offers(SUBPROTOCOL) {
        return Err(ErrorCode::SubprotocolExpected);
    }
    let by_protocol = offered.iter().find_map(|protocol| protocol.strip_prefix(TICKET_PROTOCOL_PREFIX));
    let by_header = || bearer(parts.headers.get(AUTHORIZATION)?.as_bytes());
    // A ticket has no character that a query would have to escape.
    let by_query = || parts.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("ticket="));
    by_protocol.or_else(by_header).or_else(by_query).map(str::to_owned).ok_or(ErrorCode::TicketInvalid)
}
