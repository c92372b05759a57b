//! Step 1 of Ringdial: who asks is told which node is theirs, with a ticket to connect there.
//!
//! A lookup is a pure decision ([`decide`]) over values that are in memory already: it creates nothing, asks nobody, and
//! awaits nothing once the caller is known. Each service has its own ring, followed by a keeper of its own.
//!
//! The same port has the back end's API ([`api`]): messages from the application's servers to the nodes, and what is known
//! of users, groups and nodes. It speaks to the nodes over links of its own ([`peers`]).
//!
//! The caller binds and decides when to stop: [`run`] takes bound sockets, one store per service and a shutdown token, so
//! that it runs as a process of its own as well as inside another.

mod api;
mod app;
mod caller;
pub mod config;
mod decide;
mod http;
mod metrics;
mod pacing;
mod peers;
mod process;
mod refusal;
mod request;
mod run;
mod service;

pub use self::api::{API_BODY_BYTES_MAX, ApiKeys, MESSAGES_MAX};
pub use self::caller::{Caller, Callers};
pub use self::decide::{Placement, RingView, Stamp, decide};
pub use self::http::{Origins, StaticPage};
pub use self::pacing::{LOOKUPS_PER_NODE, Pace, Pacing};
pub use self::process::process;
pub use self::refusal::Refusal;
pub use self::request::{AVOID_MAX, BODY_BYTES_MAX, DEFAULT_SERVICE, LookupRequest};
pub use self::run::{Config, LookupService, RunError, Sockets, run};
pub use self::service::ServiceStore;
