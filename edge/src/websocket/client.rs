//! The client's half of the opening handshake, over any stream, with the server's answer verified.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::handshake::{accept_value, has_token};
use super::link::{LinkReader, LinkWriter, Role, link};

/// What to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`, for the `Host` header.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Further headers, such as `Authorization`.
    pub headers: HeaderMap,
    /// The one subprotocol offered; the server must choose it.
    pub protocol: Option<&'static str>,
}

/// An open link and the headers of the server's 101.
pub struct Connected<S> {
    /// The reading half.
    pub reader: LinkReader<S>,
    /// The writing half.
    pub writer: LinkWriter<S>,
    /// The server's headers.
    pub headers: HeaderMap,
}

/// Why a link could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address, path or a header cannot be written in a request.
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
    /// The connection broke during the handshake, or the answer was not HTTP.
    #[error("the handshake failed: {0}")]
    Http(#[from] hyper::Error),
    /// No answer in time.
    #[error("no answer to the handshake within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The server refused.
    #[error("the server answered {0} and not 101")]
    Refused(StatusCode),
    /// The 101 is not one to this request.
    #[error("the server's 101 is not valid: {0}")]
    Invalid(&'static str),
}

/// Opens a link over `io`, a fresh connection, within `limit`. Messages over `message_bytes_max` end the link.
///
/// # Errors
/// See [`ConnectError`]; `io` is closed.
pub async fn connect<S>(
    io: S,
    target: &Target,
    message_bytes_max: usize,
    limit: Duration,
) -> Result<Connected<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = Box::pin(shake(io, target, message_bytes_max));
    timeout(limit, handshake).await.map_err(|_| ConnectError::Timeout(limit))?
}

async fn shake<S>(io: S, target: &Target, message_bytes_max: usize) -> Result<Connected<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let key = fastwebsockets::handshake::generate_key();
    let request = request(target, &key)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    // Ends by itself with the upgrade, with an error, or when `sender` is dropped by a time-out.
    tokio::spawn(async move { connection.with_upgrades().await.inspect_err(log_end) });
    let response = sender.send_request(request).await?;
    verify(&response, target, &key)?;
    let headers = response.headers().clone();
    let upgraded = hyper::upgrade::on(response).await?;
    let parts = upgraded
        .downcast::<TokioIo<S>>()
        .map_err(|_| ConnectError::Invalid("the stream was lost in the upgrade"))?;
    let (reader, writer) = link(parts.io.into_inner(), parts.read_buf, Role::Client, message_bytes_max);
    Ok(Connected { reader, writer, headers })
}

fn log_end(error: &hyper::Error) {
    tracing::debug!(%error, "handshake connection ended");
}

fn request(target: &Target, key: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key)
        .body(Empty::new())?;
    if let Some(protocol) = target.protocol {
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    request.headers_mut().extend(target.headers.clone());
    Ok(request)
}

/// RFC 6455 4.1, what the client checks.
fn verify(response: &Response<Incoming>, target: &Target, key: &str) -> Result<(), ConnectError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(ConnectError::Refused(response.status()));
    }
    let headers = response.headers();
    let chosen = headers.get(SEC_WEBSOCKET_PROTOCOL).map(HeaderValue::as_bytes);
    let fault = if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        "it does not upgrade to a WebSocket"
    } else if headers.get(SEC_WEBSOCKET_ACCEPT) != accept_value(key.as_bytes()).as_ref() {
        "Sec-WebSocket-Accept does not answer the key"
    } else if chosen != target.protocol.map(str::as_bytes) {
        "it chose another subprotocol"
    } else if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        "it uses an extension that was not offered"
    } else {
        return Ok(());
    };
    Err(ConnectError::Invalid(fault))
}
