//! What every Ringdial process does at its ports: the accept loop, TLS, limits, the admin listener, configuration,
//! WebSocket handshakes, the links between nodes.
//!
//! It knows HTTP and sockets; rings, users and messages are `cluster`'s, whose configuration and errors it reads and
//! tells alike for every process.

pub mod admin;
pub mod bearer;
pub mod config;
pub mod counts;
pub mod failure;
pub mod io;
pub mod limits;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod peer;
pub mod problem;
pub mod process;
pub mod ready;
pub mod serve;
pub mod shutdown;
pub mod tls;
pub mod websocket;
