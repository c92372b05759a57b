//! What every Ringdial process does at its ports: the accept loop, TLS, limits, the admin listener, configuration,
//! WebSocket handshakes, the links between nodes.
//!
//! It knows HTTP and sockets and nothing of rings, users or messages; those are `cluster`'s.

pub mod counts;
pub mod io;
pub mod limits;
pub mod listen;
pub mod problem;
pub mod serve;
pub mod tls;
pub mod websocket;
