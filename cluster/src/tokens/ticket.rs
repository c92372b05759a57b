//! Tickets: what a lookup grants. A signed permission to open one connection as one user to one node.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::CLOCK_LEEWAY_S;
use super::codec::{CodecError, Signer};
use crate::{chance, ring::Version, secret::KeySet};

/// The longest ticket that is signed or read. It travels in a header and in a subprotocol.
pub const TICKET_BYTES_MAX: usize = 4096;

/// What the application's token allows and says of the user, carried into the session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Grants {
    /// Permissions beyond the default ones, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "perm")]
    pub permissions: Vec<String>,
    /// Groups that the session joins by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Attributes that `match` compares: only the claims that the configuration names.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty", rename = "attr")]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// The claims of a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The user it is for.
    pub sub: String,
    /// The node and generation it is for, as `<node>#<generation>`.
    pub aud: String,
    /// The service whose node that is.
    pub svc: String,
    /// End of its life, seconds since 1970.
    pub exp: u64,
    /// Names this ticket; a node takes it once.
    pub jti: String,
    /// The ring version the lookup answered from.
    pub ring: Version,
    /// Nodes the client could not reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<String>,
    /// End of the application's token, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tok_exp: Option<u64>,
    /// What the application's token allows.
    #[serde(flatten)]
    pub grants: Grants,
}

/// The node that checks a ticket.
#[derive(Debug, Clone, Copy)]
pub struct TicketTarget<'a> {
    /// Its id.
    pub node: &'a str,
    /// Its generations: those that this process registered under. It knows which tickets of all of them were used.
    pub generations: &'a [u64],
    /// Its service.
    pub service: &'a str,
}

/// Signs and verifies tickets. Cheap to share, reads no clock.
#[derive(Clone)]
pub struct Tickets(Signer);

/// Why a ticket was refused. All but the last lead to a new lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not a ticket: wrong form, algorithm, key or signature.
    #[error("the ticket is not one that this cluster signed: look up again")]
    Invalid,
    /// Past its end.
    #[error("the ticket has expired: look up again")]
    Expired,
    /// For another node, or an earlier life of this one.
    #[error("the ticket is for another node: look up again and connect to the url in the answer")]
    OtherNode,
    /// For another service.
    #[error("the ticket is for another service: look up again and connect to the url in the answer")]
    OtherService,
    /// Taken before.
    #[error("the ticket was used before: look up again for each connection")]
    Used,
    /// Over [`TICKET_BYTES_MAX`] with these claims.
    #[error(
        "the ticket would be over {TICKET_BYTES_MAX} bytes: carry fewer or smaller claims (--ticket-claims)"
    )]
    TooLarge,
}

impl Tickets {
    /// Prepares the keys.
    pub fn new(keys: &KeySet) -> Self {
        Self(Signer::new(keys, "ticket"))
    }

    /// Signs a ticket as base64url without padding.
    ///
    /// # Errors
    /// [`TicketError::TooLarge`] over 4 KiB.
    pub fn sign(&self, ticket: &Ticket) -> Result<String, TicketError> {
        let signed = self.0.sign(ticket).ok_or(TicketError::Invalid)?;
        if signed.len() > TICKET_BYTES_MAX { Err(TicketError::TooLarge) } else { Ok(signed) }
    }

    /// Checks signature, end, service and node. Single use is the node's to keep: it remembers `jti`.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, signed: &str, target: TicketTarget<'_>, now_s: u64) -> Result<Ticket, TicketError> {
        if signed.len() > TICKET_BYTES_MAX {
            return Err(TicketError::Invalid);
        }
        let ticket: Ticket = self.0.verify(signed)?;
        if now_s > ticket.exp.saturating_add(CLOCK_LEEWAY_S) {
            return Err(TicketError::Expired);
        }
        if ticket.svc != target.service {
            return Err(TicketError::OtherService);
        }
        if !target.generations.iter().any(|generation| ticket.aud == audience(target.node, *generation)) {
            return Err(TicketError::OtherNode);
        }
        Ok(ticket)
    }
}

impl Ticket {
    /// The audience of a node in one of its lives.
    pub fn audience(node: &str, generation: u64) -> String {
        audience(node, generation)
    }
}

impl TicketError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "ticket_invalid",
            Self::Expired => "ticket_expired",
            Self::OtherNode => "ticket_other_node",
            Self::OtherService => "ticket_other_service",
            Self::Used => "ticket_used",
            Self::TooLarge => "claims_too_large",
        }
    }
}

impl From<CodecError> for TicketError {
    fn from(_: CodecError) -> Self {
        Self::Invalid
    }
}

/// 128 random bits as 22 characters of base64url: a `jti`, a session id, a nonce.
///
/// A process that has no randomness ends at once: whatever it would go on to sign could be guessed.
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    match chance::fill(&mut bytes) {
        Ok(()) => URL_SAFE_NO_PAD.encode(bytes),
        Err(_) => std::process::abort(),
    }
}

fn audience(node: &str, generation: u64) -> String {
    format!("{node}#{generation}")
}

#[cfg(test)]
mod tests;
