//! A node: holds users' sockets, is home to their topics, and talks to the other nodes.
//!
//! `core` decides and is pure; `frames` reads and writes WebSocket framing; `net` holds the clients' connections;
//! `log` carries what the core asks of the log; `node`
//! is the core behind its lock; `run` ties them to sockets, store and links; `follow` keeps them in step with the ring.

mod config;
pub mod core;
mod follow;
pub mod frames;
pub mod log;
mod metrics;
mod net;
mod node;
mod process;
mod run;

pub use config::{
    COMMAND, LIMITS, NodeConfig, RETENTION, SessionLimits, Surroundings, read, retentions, session_limits,
};
pub use process::process;
pub use run::{RunError, Running, Sockets, WsNode};
