//! The decision of a lookup, pure: what is known in, a place or a refusal out. It awaits nothing and reads no clock.
//!
//! There are two steps, [`decide`] and [`Placement::grant`], since between them the node's [pace](crate::pacing) is asked:
//! what is refused there costs no signature.

use std::sync::Arc;

use cluster::grant::{Grant, Holder};
use cluster::membership::Suspects;
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
    /// There is one.
    Ring {
        /// The ring.
        ring: Arc<Ring>,
        /// Those of its members that seem dead.
        suspects: Arc<Suspects>,
    },
}

/// Where somebody belongs, who may ask for that.
#[derive(Debug)]
pub struct Placement<'a> {
    /// The ring that it follows from.
    pub ring: &'a Ring,
    /// The node.
    pub node: &'a Member,
    holder: Holder,
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

/// The node for a user.
///
/// # Errors
/// See [`Refusal`]; a caller who may not ask is refused before anything is said about services.
pub fn decide(view: &RingView, caller: Caller, request: LookupRequest) -> Result<Placement<'_>, Refusal> {
    let holder = holder(caller, request.id)?;
    let (ring, suspects) = match view {
        RingView::UnknownService => return Err(Refusal::UnknownService),
        RingView::NotRead => return Err(Refusal::RingNotRead),
        RingView::None => return Err(Refusal::NoNodes),
        RingView::Ring { ring, suspects } => (ring, suspects),
    };
    let (node, avoid) = place(ring, suspects, &holder.user, request.avoid).ok_or(Refusal::NoNodes)?;
    Ok(Placement { ring, node, holder: Holder { avoid, ..holder } })
}

// === impl Placement ===

impl Placement<'_> {
    /// The answer, with a ticket to go there with.
    ///
    /// # Errors
    /// [`Refusal::ClaimsTooLarge`].
    pub fn grant(&self, tickets: &Tickets, stamp: Stamp) -> Result<Grant, Refusal> {
        let Self { ring, node, holder } = self;
        Grant::sign(tickets, ring, node, holder, stamp.jti, (stamp.now_s, stamp.life_s))
            .map_err(|_| Refusal::ClaimsTooLarge)
    }
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

/// The user's home, or the next node clockwise that neither seems dead nor is to be avoided; with it what of `avoid` the
/// ticket carries: the members it names, so that no node sends the client back there. What leaves no node is ignored:
/// first `avoid`, which is one client's word, then the suspicions.
fn place<'a>(
    ring: &'a Ring,
    suspects: &Suspects,
    user: &str,
    avoid: Vec<String>,
) -> Option<(&'a Member, Vec<String>)> {
    let slot = ring.key().slot(&inbox(user));
    let avoided = |member: &Member| avoid.contains(&member.id);
    if !avoid.is_empty()
        && let Some(node) = ring
            .next_home(slot, |member| avoided(member) || suspects.contains(member))
            // Whoever is left seems dead; if nobody else is alive either, the client's word is all there is.
            .or_else(|| all_suspected(ring, suspects).then(|| ring.next_home(slot, avoided)).flatten())
    {
        let members = avoid.into_iter().filter(|id| ring.member(id).is_some()).collect();
        return Some((node, members));
    }
    let alive =
        if suspects.is_empty() { None } else { ring.next_home(slot, |member| suspects.contains(member)) };
    alive.or_else(|| ring.home(slot)).map(|node| (node, Vec::new()))
}

/// Whether nobody is left who does not seem dead.
fn all_suspected(ring: &Ring, suspects: &Suspects) -> bool {
    !suspects.is_empty() && ring.members().all(|member| suspects.contains(member))
}

#[cfg(test)]
mod tests;
