//! Membership: who is in a service's ring, agreed through a store that may fail, forget or lie.
//!
//! [`MembershipStore`] is what a store does, atomically and without judgement. [`decide`] judges what was found there,
//! purely. [`Keeper`] is the shell that does it: it polls, renews, registers, reaps and puts back, and publishes the view
//! that the process holds, whole and never going back.

mod contract;
pub mod decide;
mod held;
mod keeper;
mod keys;
mod suspects;

pub use self::contract::{
    GLIMPSE_BYTES_MAX, Glimpse, LeaseChange, LeaseHolder, MembershipStore, Pulse, Renewal, Sayer, Stored,
    Swapped,
};
pub use self::held::Held;
pub use self::keeper::{
    Keeper, KeeperConfig, KeeperCounts, KeeperError, KeeperStatus, MemberSpec, Offered, Role, StoreReach,
};
pub use self::keys::RecordKeys;
pub use self::suspects::{Suspect, Suspects};
