//! Signed tokens: tickets, the proof between peers, and the application's own tokens.
//!
//! The only module that names `jsonwebtoken`. Every check that concerns time, audience or issuer is made here on the
//! decoded claims with the caller's `now`, not by the library: its defaults accept tokens up to a minute past their
//! end and tokens without the claims that were asked for, and it reads the clock itself.

mod app;
mod codec;
mod peer;
mod permissions;
mod ticket;

pub use app::{AppIdentity, AppTokenError, AppTokens, SCOPE_ACT_FOR_OTHERS, SCOPE_ADMIN};
pub use codec::install_crypto;
pub use peer::{PeerClaims, PeerName, PeerTokenError, PeerTokens};
pub use ticket::{Grants, TICKET_BYTES_MAX, Ticket, TicketError, TicketTarget, Tickets, random_id};

/// Seconds by which clocks may differ: whatever was signed is taken so long after its end, and before its beginning.
pub const CLOCK_LEEWAY_S: u64 = 5;
