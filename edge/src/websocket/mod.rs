//! WebSockets (RFC 6455). This folder owns `fastwebsockets`: nothing else names it.
//!
//! - [`handshake`]: the server's half of the opening handshake, strict, for both kinds of listeners;
//! - [`upgrade`]: the stream taken back from hyper after a 101;
//! - [`client`]: the client's half, for the links between nodes;
//! - [`link`]: whole binary messages both ways between processes that trust each other.
//!
//! What untrusted clients send is not read here: fastwebsockets lets too much through, so `ws-node` has a strict
//! decoder of its own and takes only the stream and [`unmask`].

pub mod client;
pub mod handshake;
pub mod link;
pub mod upgrade;

pub use client::{ConnectError, Connected, Target, connect};
pub use fastwebsockets::unmask;
pub use handshake::{Handshake, HandshakeError, accept};
pub use link::{LinkError, LinkEvent, LinkReader, LinkWriter, Role, link};
pub use upgrade::{Taken, on_upgrade, take_io};
