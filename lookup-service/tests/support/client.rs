//! One request on a connection of its own, and the whole answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request that is being put together.
pub struct Ask {
    address: SocketAddr,
    request: http::request::Builder,
    body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Ask {
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).header("host", address.to_string());
        Self { address, request, body: Bytes::new() }
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Bytes::copy_from_slice(body.as_ref());
        self
    }

    pub async fn send(self) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driving = tokio::spawn(connection);
        let answer = sender.send_request(self.request.body(Full::new(self.body)).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        driving.abort();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// A header's text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem document with all its parts.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!((self.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{problem}");
        assert_eq!(self.header("cache-control"), "no-store", "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert!(problem["title"].is_string() && problem["temporary"].is_boolean(), "{problem}");
        let remedy = problem["detail"].as_str().unwrap_or_default();
        assert!(remedy.len() > 10, "{problem}");
        match problem["retry_after_ms"].as_u64() {
            Some(wait) => assert_eq!(self.header("retry-after"), wait.div_ceil(1000).to_string()),
            None => assert_eq!(self.header("retry-after"), ""),
        }
        problem
    }
}
