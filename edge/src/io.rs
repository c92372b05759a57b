//! The byte stream of a connection, plain or TLS, with its place in the connection count.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::counts::Permit;

/// A connection's stream. Dropping it closes the socket and frees its place among `connections_max`, so an
/// upgraded connection counts for as long as it lives, whoever holds it.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
    _permit: Option<Permit>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    // Boxed: rustls' state is over a kilobyte, and most streams of a busy node behind a proxy are plain.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that first gives back bytes which were read too early (by the HTTP parser, before an upgrade).
#[derive(Debug)]
pub struct Rewind<S> {
    early: Bytes,
    inner: S,
}

// === impl Io ===

impl Io {
    pub(crate) fn counted(stream: TcpStream, permit: Permit) -> Self {
        Self { stream: Stream::Plain(stream), _permit: Some(permit) }
    }

    pub(crate) fn counted_tls(stream: TlsStream<TcpStream>, permit: Permit) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), _permit: Some(permit) }
    }

    /// A plain connection that this process opened.
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), _permit: None }
    }

    /// A TLS connection that this process opened.
    pub fn tls(stream: impl Into<TlsStream<TcpStream>>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream.into())), _permit: None }
    }

    /// Whether the stream is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether TLS took up an earlier session, without a full handshake.
    pub fn is_resumed(&self) -> bool {
        let kind = match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.get_ref().1.handshake_kind(),
        };
        kind == Some(rustls::HandshakeKind::Resumed)
    }

    /// The TCP socket underneath, for its options and addresses. Reading it past TLS would lose data.
    pub fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// Calls a poll method on whichever stream is inside.
macro_rules! either {
    ($io:expr, $stream:ident => $call:expr) => {
        match &mut $io.get_mut().stream {
            Stream::Plain(inner) => {
                let $stream = Pin::new(inner);
                $call
            }
            Stream::Tls(inner) => {
                let $stream = Pin::new(inner.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}

// === impl Rewind ===

impl<S> Rewind<S> {
    /// `inner`, preceded by `early`.
    pub fn new(early: Bytes, inner: S) -> Self {
        Self { early, inner }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..count]);
        self.early.advance(count);
        if self.early.is_empty() {
            self.early = Bytes::new(); // let go of the parser's buffer
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
