//! One attempt to open a link: TCP, TLS, the dialler's token, the listener's proof.

use std::io::ErrorKind;
use std::time::Duration;

use cluster::tokens::{PeerName, random_id};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::handshake::{PATH, PROOF_HEADER, PROTOCOL, unix_s};
use super::links::PeerTarget;
use super::settings::{MESSAGE_BYTES_MAX, PeerConfig};
use crate::io::Io;
use crate::tls::ClientTls;
use crate::websocket::client::Connected;
use crate::websocket::{ConnectError, Target, connect};

/// Why an attempt to open a link failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens at the address: the process is dead, or not there yet.
    #[error("connection refused: nobody listens there")]
    Refused,
    /// Not opened within [`super::LinkSettings::dial_timeout`]: the process hangs or the network swallows packets.
    #[error("not opened within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The address names no host.
    #[error("the address cannot be resolved: {0}")]
    Unresolved(String),
    /// Any other failure of the network.
    #[error("cannot connect ({0})")]
    Network(ErrorKind),
    /// The TLS handshake failed.
    #[error("TLS failed: {0}; check the peers' certificates and the CA given for them")]
    Tls(String),
    /// The listener answered with this status instead of 101. 409: it is another process or generation than meant.
    #[error("the listener refused with status {0}; its log says why")]
    Rejected(u16),
    /// The listener does not know the cluster's secret.
    #[error("the listener did not prove the secret: it is another cluster's, or an impostor")]
    Unproven,
    /// What answered is no peer listener.
    #[error("the handshake failed: {0}")]
    Handshake(String),
}

/// Opens a connection to `target` in the name of `me`, and checks the listener's proof before anything is read.
pub(super) async fn dial(
    target: &PeerTarget,
    me: &PeerName,
    config: &PeerConfig,
    tls: Option<&ClientTls>,
) -> Result<Connected<Io>, DialError> {
    let limit = config.settings.dial_timeout;
    let deadline = Instant::now() + limit;
    let io = timeout_at(deadline, stream(&target.address, tls)).await;
    let io = io.map_err(|_| DialError::TimedOut(limit))??;
    let nonce = random_id();
    let request = request(target, me, &nonce, config)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let connected = connect(io, &request, MESSAGE_BYTES_MAX, left).await.map_err(|error| match error {
        ConnectError::Timeout(_) => DialError::TimedOut(limit),
        ConnectError::Refused(status) => DialError::Rejected(status.as_u16()),
        other => DialError::Handshake(other.to_string()),
    })?;
    let proof = connected.headers.get(PROOF_HEADER).and_then(|proof| proof.to_str().ok()).unwrap_or_default();
    if config.tokens.check_proof(proof, &nonce, me, &target.name) {
        Ok(connected)
    } else {
        Err(DialError::Unproven)
    }
}

async fn stream(address: &str, tls: Option<&ClientTls>) -> Result<Io, DialError> {
    let addresses = lookup_host(address).await.map_err(|error| DialError::Unresolved(error.to_string()))?;
    let addresses: Vec<_> = addresses.collect();
    let stream = TcpStream::connect(&addresses[..]).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => DialError::Refused,
        kind => DialError::Network(kind),
    })?;
    stream.set_nodelay(true).map_err(|error| DialError::Network(error.kind()))?;
    let Some(tls) = tls else { return Ok(Io::plain(stream)) };
    let stream = tls.connect(stream, host(address)).await;
    stream.map_err(|error| DialError::Tls(error.to_string()))
}

/// The host of `host:port`.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn request(
    target: &PeerTarget,
    me: &PeerName,
    nonce: &str,
    config: &PeerConfig,
) -> Result<Target, DialError> {
    let token = config.tokens.sign(me, &target.name, nonce, unix_s());
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|error| DialError::Handshake(error.to_string()))?;
    bearer.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let authority = target.address.clone();
    Ok(Target { authority, path: PATH.to_owned(), headers, protocol: Some(PROTOCOL) })
}

// === impl DialError ===

impl DialError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused => "dial_refused",
            Self::TimedOut(_) => "dial_timed_out",
            Self::Unresolved(_) => "dial_unresolved",
            Self::Network(_) => "dial_network",
            Self::Tls(_) => "dial_tls",
            Self::Rejected(_) => "dial_rejected",
            Self::Unproven => "dial_unproven",
            Self::Handshake(_) => "dial_handshake",
        }
    }

    /// Whether nobody listens there any more: with a broken link, the sign of a dead process.
    pub fn is_refused(&self) -> bool {
        *self == Self::Refused
    }

    /// Whether a live process answered that it is not the one that was meant.
    pub fn is_other_process(&self) -> bool {
        *self == Self::Rejected(StatusCode::CONFLICT.as_u16())
    }
}
