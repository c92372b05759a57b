//! A node: holds users' sockets, is home to their topics, and talks to the other nodes.

pub mod core;
pub mod frames;
