//! What a process knows of a service's ring and of the store: the same figures wherever there is a keeper.

use std::sync::Arc;

use cluster::membership::{Keeper, KeeperCounts, KeeperStatus, StoreReach};
use cluster::ring::Ring;

use super::{Figure, Source, labels};

/// How membership stands. The default: there is no keeper yet, as the store has not been read.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    status: Option<KeeperStatus>,
    ring: Option<Arc<Ring>>,
    suspects: Option<u64>,
    observers: Option<u64>,
}

/// Reads one keeper. Labelled `service`, and `node` where it is a node's.
pub struct MembershipFigures(Box<dyn Fn() -> Membership + Send + Sync>);

// === impl MembershipFigures ===

impl MembershipFigures {
    /// `keeper` is asked each time that the page is.
    pub fn new(keeper: impl Fn() -> Membership + Send + Sync + 'static) -> Self {
        Self(Box::new(keeper))
    }
}

impl Source for MembershipFigures {
    type Reading = Membership;

    const FIGURES: &'static [Figure<Membership>] = &[
        Figure::gauge("ringdial_ring_version", "Version of the ring: term * 2^32 + number", |read| {
            read.ring.as_ref().map(|ring| ring.version().as_u64())
        }),
        Figure::info("ringdial_ring", "Signature of the ring", |read| {
            let ring = read.ring.as_ref()?;
            Some(labels([("signature", &ring.signature().to_string())]))
        }),
        Figure::gauge("ringdial_ring_nodes", "Nodes of the ring, draining ones too", Membership::nodes),
        Figure::gauge("ringdial_store_reachable", "Whether the store answers", |read| {
            let reach = read.status.map(|status| status.store);
            Some(u64::from(matches!(reach, Some(StoreReach::Reachable { .. }))))
        }),
        Figure::gauge("ringdial_store_notices", "Whether the store's notices of changes arrive", |read| {
            read.status.map(|status| u64::from(status.notices))
        }),
        Figure::counter(
            "ringdial_store_stalls",
            "Times that the store had heard of nobody for half a lease and extended all leases",
            |read| read.counts().stalls,
        ),
        Figure::counter(
            "ringdial_store_mended",
            "Times that the store threw away something foreign in place of leases",
            |read| read.counts().mended,
        ),
        Figure::counter("ringdial_store_errors", "Operations on the store that failed", |read| {
            read.counts().store_errors
        }),
        Figure::counter(
            "ringdial_ignored_records",
            "Records that could not be opened; nothing of them was used",
            |read| read.counts().ignored_records,
        ),
        Figure::counter(
            "ringdial_ring_putbacks",
            "Rings that this process put back into the store",
            |read| read.counts().putbacks,
        ),
        Figure::counter(
            "ringdial_ring_conflicts",
            "Times that another ring of the same version was met",
            |read| read.counts().conflicts,
        ),
        Figure::counter(
            "ringdial_ring_reaps",
            "Nodes that this process took out when their leases had lapsed",
            |read| read.counts().reaped,
        ),
        Figure::gauge("ringdial_suspects", "Nodes that seem dead: lookups pass over them", |read| {
            read.suspects
        }),
        Figure::counter("ringdial_suspicions", "Times that this process said a node seems dead", |read| {
            read.counts().suspicions
        }),
        Figure::counter(
            "ringdial_suspicions_refuted",
            "Of these, times that the node proved alive by a renewal",
            |read| read.counts().refuted,
        ),
        Figure::counter(
            "ringdial_leases_capped",
            "Leases that end sooner since this process and most others suspect their nodes",
            |read| read.counts().capped,
        ),
        Figure::gauge("ringdial_observers", "Lookup services that the store heard of lately", |read| {
            read.observers
        }),
        Figure::counter("ringdial_ring_offers", "Newer rings that came from peers", |read| {
            read.counts().offers_adopted
        }),
        Figure::counter("ringdial_registrations", "Times that the node entered the ring", |read| {
            read.counts().registrations
        }),
    ];

    fn read(&self) -> Option<Membership> {
        Some(self.0())
    }
}

// === impl Membership ===

impl Membership {
    /// As `keeper` has it.
    pub fn of(keeper: &Keeper) -> Self {
        Self {
            status: Some(keeper.status()),
            ring: keeper.ring(),
            suspects: u64::try_from(keeper.suspects().borrow().len()).ok(),
            observers: Some(keeper.observers()),
        }
    }

    fn counts(&self) -> KeeperCounts {
        self.status.map(|status| status.counts).unwrap_or_default()
    }

    /// A service without a ring has none; before the store has been read nobody knows.
    fn nodes(&self) -> Option<u64> {
        let count = self.ring.as_ref().map_or(0, |ring| ring.member_count());
        self.status.and_then(|_| u64::try_from(count).ok())
    }
}
