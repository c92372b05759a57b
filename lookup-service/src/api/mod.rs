//! The back end's API: what an application's servers ask of a service's nodes. HTTP is in [`crate::http`].

pub(crate) mod backend;
