//! The core in a small world: several of them, links that carry frames when told to, sessions that remember.

mod control;
mod early;
mod handover;
mod log;
mod messages;
mod presence;
mod sessions;
mod sinks;
mod storm;
mod world;
