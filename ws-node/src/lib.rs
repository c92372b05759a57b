//! A node: holds users' sockets, is home to their topics, and talks to the other nodes.
//!
//! `core` decides and is pure; `frames` reads and writes WebSocket framing; `net` holds the clients' connections;
//! `log` carries what the core asks of the log; `node`
//! is the core behind its lock; `drain` decides how long a node that goes away still serves; `run` ties them to sockets, store and links; `follow` keeps them in step with the ring, `bypass` says when
//! dead nodes are passed over.

mod bypass;
mod certificates;
mod config;
pub mod core;
mod drain;
mod follow;
pub mod frames;
pub mod log;
mod metrics;
mod net;
mod node;
mod process;
mod run;
mod setup;

pub use config::{
    COMMAND, DRAIN_DEADLINE, LIMITS, NodeConfig, RETENTION, SessionLimits, Surroundings, drain_deadline,
    read, retentions, session_limits,
};
pub use drain::Stop;
/// What a node's shell decides, pure: for those that run a node without it.
pub mod decisions {
    pub use crate::bypass::{bypassed, read_past};
    pub use crate::drain::{By, Course, LOOK, Others, Over, others};
}
pub use process::process;
pub use run::{RunError, Running, Sockets, WsNode};
