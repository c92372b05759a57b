//! The embedded default: a lookup service and its nodes in one process, on a store in memory.
//!
//! The parts are the ones of the binaries `lookup-service` and `ws-node`, on sockets of their own and with links between
//! the nodes; only the store is another. Beside the lookups there is a page on which two people can talk.
//!
//! The caller binds and decides when to stop: [`start`] takes bound sockets, [`Running::serve`] a shutdown token.

pub mod config;
mod conformance;
mod page;
mod process;
mod run;
mod words;

pub use self::process::process;
pub use self::run::{NodeAddress, RunError, Running, Sockets, start};
