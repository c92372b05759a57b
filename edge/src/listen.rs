//! Bound sockets: opened before anything is served, so that a taken port is a start-up error with a name.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::TcpListener;

use crate::limits::{BACKLOG, UNACKNOWLEDGED_TIMEOUT};

/// A bound listening socket. Connections queue up in the kernel until it is given to [`crate::serve::serve`].
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

/// Why a port could not be opened (`bind_failed`).
#[derive(Debug, thiserror::Error)]
#[error("--{flag} {address}: {what}")]
pub struct BindError {
    /// The flag that named the address, without dashes.
    pub flag: String,
    /// The address asked for.
    pub address: SocketAddr,
    what: String,
    #[source]
    source: std::io::Error,
}

/// Binds `address`; port 0 takes a free one. `flag` (without dashes) is named in the error.
///
/// # Errors
/// The port is taken, the address is not one of this host, or the port needs privileges.
pub fn bind(flag: &str, address: SocketAddr) -> Result<Listener, BindError> {
    let fail =
        |source: std::io::Error| BindError { flag: flag.into(), address, what: explain(&source), source };
    let socket = open(address).map_err(fail)?;
    let socket = TcpListener::from_std(socket).map_err(fail)?;
    let address = socket.local_addr().map_err(fail)?;
    Ok(Listener { socket, address })
}

// === impl Listener ===

impl Listener {
    /// The address really bound: with port 0, the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

// === impl BindError ===

impl BindError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        "bind_failed"
    }
}

fn open(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it a restart fails for a minute, while old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Inherited by every accepted socket, and so without a system call for each.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(error: &std::io::Error) -> String {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::AddrInUse => "the port is taken by another process; stop it or choose another port \
                            (port 0 picks a free one)"
            .into(),
        Kind::AddrNotAvailable => "this host has no such address; use one of its own, or 0.0.0.0".into(),
        Kind::PermissionDenied => {
            "no permission; ports below 1024 need privileges, choose a higher one".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_zero_picks_a_port_and_a_taken_one_is_named() {
        let first = bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(first.address().port(), 0);
        let error = bind("peer-listen", first.address()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("--peer-listen {}: the port is taken", first.address())), "{text}");
        assert_eq!(error.code(), "bind_failed");
    }

    /// The kernel then ends a connection whose client stops reading.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn accepted_sockets_inherit_the_limit_of_unacknowledged_bytes() {
        let listener = bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = tokio::net::TcpStream::connect(listener.address()).await.unwrap();
        let (accepted, _) = listener.socket.accept().await.unwrap();
        let limit = socket2::SockRef::from(&accepted).tcp_user_timeout().unwrap();
        assert_eq!(limit, Some(UNACKNOWLEDGED_TIMEOUT));
    }

    #[tokio::test]
    async fn a_foreign_address_is_explained() {
        let error = bind("listen", "192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("no such address"), "{error}");
    }
}
