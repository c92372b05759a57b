//! Clients' connections: the upgrade, one task per connection, its outbox.

mod connection;
mod http;
mod outbox;

pub(crate) use http::ClientService;
pub(crate) use outbox::Outbox;
