//! The core in a small world: several of them, links that carry frames when told to, sessions that remember.

mod control;
mod durable;
mod early;
mod epochs;
mod exact;
mod gone;
mod handover;
mod leaving;
mod log;
mod messages;
mod moves_durable;
mod moving;
mod pages;
mod presence;
mod resume;
mod sessions;
mod sinks;
mod storm;
mod unlinked;
mod world;
