//! The back end's API: what an application's servers ask of a service's nodes.
//!
//! [`routes`] is the table of paths, [`access`] decides who may ask, [`message`] and [`history`] read what is asked,
//! [`perform`](calls::perform) does it, by [`Backend`](backend::Backend), the log and the membership. HTTP is in
//! [`crate::http`]; docs/openapi.json says the same to the outside, and a test compares.

pub(crate) mod access;
pub(crate) mod backend;
pub(crate) mod calls;
mod history;
mod message;
pub(crate) mod routes;

pub use self::access::ApiKeys;

/// Messages in one request, at most.
pub const MESSAGES_MAX: usize = 1_000;

/// Bytes of a request's body, at most.
pub const API_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
