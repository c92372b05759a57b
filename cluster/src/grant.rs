//! What a lookup answers with, and what a node offers with `moved`: an address and a ticket for it.

use serde::Serialize;

use crate::ring::{Member, Ring};
use crate::tokens::{Grants, Ticket, TicketError, Tickets};
use crate::wire::node::RingPosition;
use crate::wire::{SUBPROTOCOL, TICKET_PROTOCOL_PREFIX};

/// Seconds a looked-up ticket lives.
pub const TICKET_LIFE_S: u64 = 30;

/// A permission to connect: the answer to a lookup.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grant {
    /// The user.
    pub id: String,
    /// The service.
    pub service: String,
    /// The node's id.
    pub node: String,
    /// The node's address: open a WebSocket there.
    pub url: String,
    /// The ticket, for clients that send it in a header.
    pub ticket: String,
    /// What to offer as subprotocols.
    pub protocols: [String; 2],
    /// How long the ticket lives.
    pub expires_in_ms: u64,
    /// The ring this follows from.
    pub ring: RingPosition,
    /// How to wait between attempts.
    pub retry: Retry,
}

/// A client's back-off: a random part of `base_ms` doubled with each attempt, at most `max_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// The first attempt's.
    pub base_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// Whom a ticket is for and what it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// The user.
    pub user: String,
    /// Nodes the client could not reach.
    pub avoid: Vec<String>,
    /// End of the application's token, seconds since 1970.
    pub token_expires_s: Option<u64>,
    /// What the application's token allows.
    pub grants: Grants,
}

impl Default for Retry {
    fn default() -> Self {
        Self { base_ms: 500, max_ms: 30_000 }
    }
}

impl Grant {
    /// A grant for `node` of `ring`, alive from `now_s` for `life_s` seconds. `jti` must be fresh.
    ///
    /// # Errors
    /// [`TicketError::TooLarge`] if the claims to carry do not fit a ticket.
    pub fn sign(
        tickets: &Tickets,
        ring: &Ring,
        node: &Member,
        holder: &Holder,
        jti: String,
        (now_s, life_s): (u64, u64),
    ) -> Result<Self, TicketError> {
        let ticket = tickets.sign(&Ticket {
            sub: holder.user.clone(),
            aud: Ticket::audience(&node.id, node.generation),
            svc: ring.service().to_owned(),
            exp: now_s + life_s,
            jti,
            ring: ring.version(),
            avoid: holder.avoid.clone(),
            tok_exp: holder.token_expires_s,
            grants: holder.grants.clone(),
        })?;
        Ok(Self {
            id: holder.user.clone(),
            service: ring.service().to_owned(),
            node: node.id.clone(),
            url: node.url.clone(),
            protocols: [SUBPROTOCOL.to_owned(), format!("{TICKET_PROTOCOL_PREFIX}{ticket}")],
            ticket,
            expires_in_ms: life_s * 1_000,
            ring: RingPosition { version: ring.version(), signature: ring.signature() },
            retry: Retry::default(),
        })
    }
}
