//! The protocols: what clients and nodes say to each other ([`client`], [`node`], [`codes`]), and what processes say
//! to each other over their links ([`peer`]). docs/PROTOCOL.md is the normative text; a test compares the two.

pub mod client;
pub mod codes;
pub mod node;
pub mod peer;
pub mod topic;

/// The subprotocol that a node echoes.
pub const SUBPROTOCOL: &str = "ringdial.v1";

/// What precedes a ticket that is offered as a second subprotocol.
pub const TICKET_PROTOCOL_PREFIX: &str = "ticket.";
