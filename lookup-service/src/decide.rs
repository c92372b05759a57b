//! The decision of a lookup, pure: what is known in, a grant or a refusal out. It awaits nothing and reads no clock.

use std::sync::Arc;

use cluster::grant::{Grant, Holder};
use cluster::ring::{Member, Ring};
use cluster::tokens::{Grants, SCOPE_ACT_FOR_OTHERS, SCOPE_ADMIN, Tickets};
use cluster::wire::topic::inbox;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::request::LookupRequest;

/// The permission to join any group.
const JOIN_ANY: &str = "join:*";

/// What this process knows of the ring of the service that was asked for.
#[derive(Debug, Clone)]
pub enum RingView {
    /// The service is not one of ours.
    UnknownService,
    /// The store has not been read yet.
    NotRead,
    /// There is no ring: no node has ever joined.
    None,
    /// The ring.
    Ring(Arc<Ring>),
}

/// What a new ticket gets from outside.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Seconds since 1970.
    pub now_s: u64,
    /// Seconds that the ticket lives.
    pub life_s: u64,
    /// A fresh name.
    pub jti: String,
}

/// The node for a user, and the ticket to go there with.
///
/// # Errors
/// See [`Refusal`]; a caller who may not ask is refused before anything is said about services.
pub fn decide(
    view: &RingView,
    caller: Caller,
    request: LookupRequest,
    tickets: &Tickets,
    stamp: Stamp,
) -> Result<Grant, Refusal> {
    let holder = holder(caller, request.id)?;
    let ring = match view {
        RingView::UnknownService => return Err(Refusal::UnknownService),
        RingView::NotRead => return Err(Refusal::RingNotRead),
        RingView::None => return Err(Refusal::NoNodes),
        RingView::Ring(ring) => ring,
    };
    let (node, avoid) = place(ring, &holder.user, request.avoid).ok_or(Refusal::NoNodes)?;
    let holder = Holder { avoid, ..holder };
    Grant::sign(tickets, ring, node, &holder, stamp.jti, (stamp.now_s, stamp.life_s))
        .map_err(|_| Refusal::ClaimsTooLarge)
}

/// Whom the ticket is for. An id beside a token must be the token's user, unless its scope allows other users.
fn holder(caller: Caller, id: Option<String>) -> Result<Holder, Refusal> {
    let (user, token_expires_s, grants) = match (caller, id) {
        (Caller::Anyone, None) => return Err(Refusal::IdRequired),
        (Caller::Anyone, Some(id)) => (id, None, anyones()),
        (Caller::Known(known), id) => {
            let for_others = || known.has_scope(SCOPE_ACT_FOR_OTHERS) || known.has_scope(SCOPE_ADMIN);
            let user = match id {
                Some(id) if id != known.user && !for_others() => return Err(Refusal::NotYours),
                Some(id) => id,
                None => known.user,
            };
            (user, Some(known.expires_s), known.grants)
        }
    };
    Ok(Holder { user, avoid: Vec::new(), token_expires_s, grants })
}

/// What somebody may do whom nothing is known of: whatever one user may do, but nothing that reaches everybody.
fn anyones() -> Grants {
    Grants { permissions: vec![JOIN_ANY.to_owned()], ..Grants::default() }
}

/// The user's home, or the next node clockwise that is not to be avoided; with it what of `avoid` the ticket carries:
/// the members it names, so that no node sends the client back there, and nothing if it would leave no node.
fn place<'a>(ring: &'a Ring, user: &str, avoid: Vec<String>) -> Option<(&'a Member, Vec<String>)> {
    let slot = ring.key().slot(&inbox(user));
    if !avoid.is_empty()
        && let Some(node) = ring.next_home(slot, |member| avoid.contains(&member.id))
    {
        let members = avoid.into_iter().filter(|id| ring.member(id).is_some()).collect();
        return Some((node, members));
    }
    ring.home(slot).map(|home| (home, Vec::new()))
}

#[cfg(test)]
mod tests;
