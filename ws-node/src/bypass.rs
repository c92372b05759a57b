//! Reading the ring past nodes that seem dead: only while no store is in reach, since then nobody can take them out of it.
//! Pure.

use std::sync::Arc;
use std::time::Duration;

use cluster::membership::{StoreReach, Suspects};
use cluster::planted::{self, Bug};
use cluster::ring::Ring;
use tokio::time::Instant;

/// How long the store must have been out of reach: by far more than one answer that is late.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whom to read the ring past: of `suspects` all or none.
pub fn bypassed(store: &StoreReach, suspects: &Arc<Suspects>, now: Instant) -> Arc<Suspects> {
    if planted::is(Bug::TrustDead) {
        return Arc::default();
    }
    match store {
        StoreReach::Unreachable { since, .. } if now >= *since + PATIENCE => Arc::clone(suspects),
        StoreReach::Unreachable { .. } | StoreReach::Reachable { .. } => Arc::default(),
    }
}

/// The ring as a node reads it past these members; never past itself.
pub fn read_past(ring: Arc<Ring>, dead: &Suspects, me: &str) -> Arc<Ring> {
    if dead.is_empty() {
        return ring;
    }
    Arc::new(ring.bypassing(|member| member.id != me && dead.contains(member)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_while_the_store_has_been_away_for_a_while() {
        let (now, suspects) = (Instant::now(), Arc::new(Suspects::default()));
        let passed = |store| Arc::ptr_eq(&bypassed(&store, &suspects, now), &suspects);
        let away =
            |for_how_long| StoreReach::Unreachable { since: now - for_how_long, code: "store_timeout" };
        assert!(passed(away(PATIENCE)) && passed(away(PATIENCE * 60)));
        assert!(!passed(away(PATIENCE / 2)));
        assert!(!passed(StoreReach::Reachable { since: now - PATIENCE * 60 }));
    }
}
