//! A member of a ring: a node as the ring knows it, and what makes its fields acceptable.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// Longest public url of a node, in bytes.
pub const URL_BYTES_MAX: usize = 512;
/// Longest peer address of a node, in bytes.
pub const PEER_BYTES_MAX: usize = 262;
/// Longest name of a service, in bytes.
pub const SERVICE_BYTES_MAX: usize = 64;

/// A node as the ring knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The node's id, 1 to 256 bytes, unique in its service.
    pub id: String,
    /// The node's incarnation, issued by the store at registration.
    pub generation: u64,
    /// Where clients connect: `ws://` or `wss://`, host, optional port and path.
    pub url: String,
    /// Where the other nodes connect: `host:port`.
    pub peer: String,
    /// Its share of the slots in proportion to the others'; at least 1, by default 100.
    pub weight: u32,
    /// Whether it takes slots.
    pub state: MemberState,
}

/// Whether a member takes slots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Holds its share of the slots.
    Active,
    /// Has given up its slots but is still there: lease, links, broadcasts. The last node keeps its slots.
    Draining,
}

/// A member's place in the ring's index, which is what the table holds for each slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberIndex(pub(super) u16);

// === impl Member ===

impl Member {
    /// What is remembered of a member that left: its id.
    pub(super) const fn vacated(id: String) -> Self {
        Self {
            id,
            generation: 0,
            url: String::new(),
            peer: String::new(),
            weight: 1,
            state: MemberState::Draining,
        }
    }
}

// === impl MemberState ===

impl MemberState {
    /// The state's name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
        }
    }
}

// === impl MemberIndex ===

impl MemberIndex {
    /// The index as a number below 4,096.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for MemberIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether `name` can name a service: 1 to 64 of ASCII letters, digits, `.`, `_` and `-`, so that it can
/// stand in store keys, in a record's header and in a path.
pub fn is_valid_service(name: &str) -> bool {
    (1..=SERVICE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Whether `url` can be given to clients: `ws://` or `wss://`, a host, an optional port, and a path and query
/// of visible ASCII. No user part and no fragment.
pub fn is_valid_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://")) else {
        return false;
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority_valid = match split_port(authority) {
        (host, Some(port)) => is_valid_host(host) && is_valid_port(port),
        (host, None) => is_valid_host(host),
    };
    url.len() <= URL_BYTES_MAX
        && authority_valid
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether `peer` can be dialled by other nodes: a host, a colon and a port.
pub fn is_valid_peer(peer: &str) -> bool {
    match split_port(peer) {
        (host, Some(port)) => peer.len() <= PEER_BYTES_MAX && is_valid_host(host) && is_valid_port(port),
        (_, None) => false,
    }
}

/// Splits `host:port` at the colon that is not inside an IPv6 literal's brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_valid_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A name or IPv4 address (RFC 3986 `reg-name` without percent-encoding, at most 253 bytes), or a bracketed
/// IPv6 one.
fn is_valid_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    (1..=253).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
