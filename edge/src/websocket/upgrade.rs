//! The stream taken back from hyper once the 101 is out, with the bytes that hyper read too early.

use bytes::Bytes;
use http::Request;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;

use crate::io::Io;

/// What [`take_io`] gives.
#[derive(Debug)]
pub struct Taken {
    /// The connection.
    pub io: Io,
    /// What the client sent right after its request: to be read before anything from `io`.
    pub read_buf: Bytes,
}

/// The upgraded stream is not one of [`crate::serve::serve`]'s (`not_our_stream`). A mistake in a program.
#[derive(Debug, thiserror::Error)]
#[error("the upgraded connection was not accepted by this process' accept loop")]
pub struct NotOurs;

/// The future that ends with the upgraded stream, once the 101 has been sent. Take it before the answer is returned.
pub fn on_upgrade<B>(request: &mut Request<B>) -> OnUpgrade {
    hyper::upgrade::on(request)
}

/// The raw stream of an upgraded connection, plain or TLS.
///
/// # Errors
/// [`NotOurs`] if the stream came from elsewhere.
pub fn take_io(upgraded: Upgraded) -> Result<Taken, NotOurs> {
    // Listeners with HTTP/2 wrap the stream in a private type that only this downcast sees through.
    match upgraded.downcast::<TokioIo<Io>>() {
        Ok(parts) => Ok(Taken { io: parts.io.into_inner(), read_buf: parts.read_buf }),
        Err(upgraded) => match auto::upgrade::downcast::<TokioIo<Io>>(upgraded) {
            Ok(parts) => Ok(Taken { io: parts.io.into_inner(), read_buf: parts.read_buf }),
            Err(_) => Err(NotOurs),
        },
    }
}
