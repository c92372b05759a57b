//! Taking members out whose leases lapsed. Anybody may; the store tells one caller at a time, and has the last word.

use super::error::KeeperError;
use super::status::count_by;
use super::worker::Worker;
use crate::membership::{LeaseChange, Pulse, Stored};

// === impl Worker ===

impl Worker {
    /// Reaps what may be reaped, if a poll shows that there may be something: a lapsed lease, or leases that do not
    /// match the members.
    pub(super) async fn reap(&mut self, pulse: &Pulse) -> Result<(), KeeperError> {
        let Some(held) = self.board.held() else { return Ok(()) };
        let members = held.ring.member_count() as u64;
        if pulse.lapsed == 0 && pulse.leases == members {
            return Ok(());
        }
        let mut lapsed = self.store.lapsed(held.line(), &held.lease_holders()).await?;
        // Our own lease is renewed or given up by us, never reaped by us.
        lapsed.retain(|id| self.spec.as_ref().is_none_or(|spec| spec.id != *id));
        if lapsed.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = lapsed.iter().map(String::as_str).collect();
        let next = held.ring.leave(&ids);
        let reap = LeaseChange::Reap { ids: &lapsed, members };
        if self.change(&Stored::Record(held.record.clone()), next, reap).await? {
            count_by(&self.board.tally.reaped, lapsed.len());
            tracing::warn!(service = %self.board.service, nodes = ?lapsed, "took out nodes whose leases lapsed");
        }
        Ok(())
    }
}
