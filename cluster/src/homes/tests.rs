//! What a process that uses homes sends to each, and when: with links that remember and take as much as they are told to.

mod messages;
mod questions;
mod reroute;
mod world;
