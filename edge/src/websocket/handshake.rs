//! The server's half of the opening handshake: RFC 6455 4.2.1 checked, 4.2.2 answered.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use crate::problem::Problem;

/// A request that may become a WebSocket.
#[derive(Clone, Debug)]
pub struct Handshake {
    protocols: Vec<String>,
    accept: HeaderValue,
}

/// Why a request cannot become a WebSocket. [`HandshakeError::response`] is the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not a GET.
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// HTTP/1.0 or HTTP/2.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    Version,
    /// No `Host`, or several.
    #[error("a WebSocket handshake needs one Host header")]
    Host,
    /// No `Upgrade: websocket` with `Connection: Upgrade`.
    #[error("this address takes WebSocket connections: send Upgrade: websocket and Connection: Upgrade")]
    NotAnUpgrade,
    /// No `Sec-WebSocket-Key`, several, or not 16 bytes in base64.
    #[error("Sec-WebSocket-Key must be one value of 16 bytes in base64")]
    Key,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("Sec-WebSocket-Version must be 13")]
    ProtocolVersion,
    /// `Sec-WebSocket-Protocol` is not a list of distinct tokens.
    #[error("Sec-WebSocket-Protocol must be a list of distinct tokens")]
    Protocols,
}

/// Checks a request's head.
///
/// # Errors
/// The first rule of RFC 6455 4.2.1 that the request breaks.
pub fn accept(request: &Parts) -> Result<Handshake, HandshakeError> {
    if request.method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if request.version != Version::HTTP_11 {
        return Err(HandshakeError::Version);
    }
    let headers = &request.headers;
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err(HandshakeError::NotAnUpgrade);
    }
    only(headers, &http::header::HOST).ok_or(HandshakeError::Host)?;
    if only(headers, &SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(HandshakeError::ProtocolVersion);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?.as_bytes();
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
        return Err(HandshakeError::Key);
    }
    Ok(Handshake { protocols: offered(headers)?, accept: accept_value(key).ok_or(HandshakeError::Key)? })
}

/// `Sec-WebSocket-Accept` for a key: base64(SHA-1(key + GUID)), RFC 6455 4.2.2.
pub(super) fn accept_value(key: &[u8]) -> Option<HeaderValue> {
    // SHA-1 is the RFC's choice; it shows that the server speaks WebSocket and protects nothing.
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::try_from(STANDARD.encode(sha1.finish())).ok()
}

/// Whether a comma-separated header names `token`, in any of its lines, whatever the case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|item| item.eq_ignore_ascii_case(token))
}

// === impl Handshake ===

impl Handshake {
    /// The subprotocols offered, in the client's order of preference. May hold a ticket: not for logs.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// Whether the client offered this subprotocol.
    pub fn offers(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|offered| offered == protocol)
    }

    /// The 101, echoing exactly `chosen`. One that was not offered is left out, since browsers would fail the socket.
    pub fn response<B: Default>(&self, chosen: Option<&str>) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(value) = chosen.filter(|chosen| self.offers(chosen)).and_then(|c| c.parse().ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        response
    }
}

// === impl HandshakeError ===

impl HandshakeError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Method => "method_not_allowed",
            Self::Version | Self::NotAnUpgrade => "upgrade_required",
            Self::Host => "bad_host",
            Self::Key => "bad_websocket_key",
            Self::ProtocolVersion => "bad_websocket_version",
            Self::Protocols => "bad_websocket_protocol",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Version | Self::NotAnUpgrade | Self::ProtocolVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Host | Self::Key | Self::Protocols => StatusCode::BAD_REQUEST,
        }
    }

    /// The whole answer: a problem document with the headers that its status asks for.
    pub fn response<B: From<Bytes>>(self) -> Response<B> {
        let mut response = Problem::new(self.status(), self.code(), self.to_string()).response();
        let headers = response.headers_mut();
        match self.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

fn offered(headers: &HeaderMap) -> Result<Vec<String>, HandshakeError> {
    let mut protocols: Vec<String> = Vec::new();
    let readable = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().all(|value| value.to_str().is_ok());
    for item in list(headers, &SEC_WEBSOCKET_PROTOCOL) {
        if !item.bytes().all(is_token_byte) || protocols.iter().any(|known| known == item) {
            return Err(HandshakeError::Protocols);
        }
        protocols.push(item.to_owned());
    }
    if readable { Ok(protocols) } else { Err(HandshakeError::Protocols) }
}

/// The one value of a header; `None` if there is none or several.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// RFC 9110 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
