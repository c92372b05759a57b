//! Presence: who is in a group, told by user; and who is online.
//!
//! Each node counts the sessions it has of a group ([`members`]) and tells the group's home the first of a user that
//! comes and the last one that goes. The home merges all nodes ([`roster`]) and tells what changes; each node keeps
//! what its sessions were told last ([`given`]), so that a roster from a new home becomes a difference. A lost socket
//! counts as there until a grace has passed. Who was online until just now is remembered at their inbox's home
//! ([`lingering`]), and so is which slots came here so recently that it cannot know yet ([`arrivals`]).

mod arrivals;
mod given;
mod here;
mod homed;
mod lingering;
mod members;
mod roster;
mod schedule;
mod state;
mod users;

pub(super) use self::arrivals::Arrivals;
pub(super) use self::given::{Given, Tell};
pub(super) use self::here::{Here, names};
pub(super) use self::homed::Homed;
pub(super) use self::lingering::{Lingering, Online};
pub(super) use self::members::{Members, Report};
pub(super) use self::roster::{Change, Known, Roster, Source};
pub(super) use self::schedule::Schedule;
pub(super) use self::state::Presence;

#[cfg(test)]
mod tests;
