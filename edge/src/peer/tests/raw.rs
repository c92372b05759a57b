//! Sockets that speak HTTP and WebSocket by hand, for what no process of ours does.

use std::net::SocketAddr;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster::tokens::PeerTokens;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{SECRET, SOON, tokens};

/// A connection that speaks HTTP and WebSocket by hand.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
    /// The head that was received, in the order of its lines.
    pub(super) head: String,
}

impl Raw {
    /// Sends an upgrade request with this bearer token and reads the answer's head.
    pub(super) async fn dial(address: SocketAddr, path: &str, token: Option<&str>) -> Self {
        let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\
             Sec-WebSocket-Protocol: ringdial.peer.v1\r\n{bearer}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        Self { stream, head }
    }

    /// Takes the upgrade request that came over `stream` and answers 101 with this proof.
    pub(super) async fn accept(
        mut stream: TcpStream,
        prove: impl FnOnce(&PeerTokens, &str) -> Option<String>,
    ) -> Self {
        let head = read_head(&mut stream).await;
        let proof = prove(&tokens(SECRET), head_value(&head, "authorization").trim_start_matches("Bearer "));
        let proof = proof.map(|proof| format!("Ringdial-Proof: {proof}\r\n")).unwrap_or_default();
        let accept = accept_value(&head_value(&head, "sec-websocket-key"));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: ringdial.peer.v1\r\n{proof}\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        Self { stream, head }
    }

    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The `code` of the problem document that follows.
    pub(super) async fn code(&mut self) -> String {
        let length: usize = head_value(&self.head, "content-length").parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        let problem: crate::problem::Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.status, self.status());
        problem.code
    }

    /// Sends one binary WebSocket message, masked with zeros if this is the dialling end.
    pub(super) async fn send(&mut self, message: &[u8], mask: bool) {
        assert!(message.len() < 126);
        let mut bytes = vec![0x82, message.len() as u8];
        if mask {
            bytes[1] |= 0x80;
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.extend_from_slice(message);
        self.stream.write_all(&bytes).await.unwrap();
    }
}

/// A link message with one payload frame, as the module doc of `batch` lays it out.
pub(super) fn message(ring: u64, payload: &[u8]) -> Vec<u8> {
    let mut message = ring.to_le_bytes().to_vec();
    message.extend_from_slice(&(payload.len() as u32 + 1).to_le_bytes());
    message.push(0);
    message.extend_from_slice(payload);
    message
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    crate::peer::handshake::unix_s()
}

fn accept_value(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, stream.read_u8()).await.expect("a head in time").expect("a whole head"));
    }
    String::from_utf8(head).unwrap()
}

fn head_value(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .unwrap_or_else(|| panic!("{name} in {head}"))
        .1
        .to_owned()
}
