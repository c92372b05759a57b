//! The bounds of everything that happens at a port: how many, how big, how long.

use std::time::Duration;

/// The listening sockets' backlog. Linux caps it at `net.core.somaxconn`, 4096 by default.
pub const BACKLOG: i32 = 4096;
/// A request's head (request line and headers) in bytes; more is answered with 431.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Time for a client to send a complete request head, and the longest idle time between two requests.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a complete TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a request to be answered, its body included; later it is answered with 408.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Open connections of one listener, upgraded ones included.
pub const CONNECTIONS_MAX: usize = 100_000;
/// How long requests under way may take to finish once the process is told to stop.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged, or a full window closed, before the kernel ends the connection
/// (TCP_USER_TIMEOUT): a client that stops reading cannot hold a connection for longer.
pub const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that one HTTP/2 connection may have open at once.
pub const STREAMS_MAX: u32 = 100;

/// The bounds of one listener. `Limits::default()` is what `docs` promises.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections, upgraded ones included; one more is closed unread.
    pub connections_max: usize,
    /// Bytes of a request's head, at least 8192 (hyper's own minimum); more is answered with 431.
    pub header_bytes_max: usize,
    /// Time for a request's head, counted from the connection's start or from the last answer.
    pub header_timeout: Duration,
    /// Time for an answer, counted from the request's head; the request's body must arrive within it too.
    pub request_timeout: Duration,
    /// Time for the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Time for open requests to finish at the end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            header_bytes_max: HEADER_BYTES_MAX,
            header_timeout: HEADER_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            tls_handshake_timeout: TLS_HANDSHAKE_TIMEOUT,
            grace: GRACE,
        }
    }
}
