//! The leases of one service and their guards, as a value: `now` and the lease's length come in, in milliseconds. The
//! rules are those of the scripts in `store/redis/lua`; the conformance suite holds the two together.

use std::collections::BTreeMap;

use super::suspected::Suspected;
use crate::membership::LeaseHolder;
use crate::planted::{self, Bug};

/// Leases, the last sign of life, and what was reaped lately.
#[derive(Default)]
pub(super) struct Leases {
    pub(super) running: BTreeMap<String, Lease>,
    pub(super) suspected: BTreeMap<String, Suspected>,
    /// When each observer polled last.
    pub(super) observed: BTreeMap<String, u64>,
    /// When that was last.
    stalled: u64,
    sign_of_life: Option<u64>,
    reaped: Vec<Reaped>,
    claimed_until: u64,
    turn_until: u64,
    last_generation: u64,
}

pub(super) struct Lease {
    pub(super) generation: u64,
    pub(super) expires: u64,
}

/// One reap, remembered for two leases.
struct Reaped {
    at: u64,
    count: u64,
    members_before: u64,
}

// === impl Leases ===

impl Leases {
    /// A sign of life. After a stall nobody could renew, so everybody gets a fresh lease; says whether it was one. A
    /// clock that was set back counts as a stall too, or leases would outlast their holders.
    pub(super) fn alive(&mut self, now: u64, lease: u64) -> bool {
        let stalled = self.sign_of_life.is_none_or(|last| now.abs_diff(last) > lease / 2);
        if stalled && self.sign_of_life.is_some() {
            self.stalled = now.max(self.stalled + 1);
        }
        self.sign_of_life = Some(now);
        if stalled && !planted::is(Bug::ReapMany) {
            self.running.values_mut().for_each(|running| running.expires = now + lease);
            self.uncap();
        }
        stalled
    }

    /// When a stall extended all leases last; grows each time.
    pub(super) const fn stalled(&self) -> u64 {
        self.stalled
    }

    /// How many leases there are, and how many of them lapsed.
    pub(super) fn count(&self, now: u64) -> (u64, u64) {
        let lapsed = self.running.values().filter(|running| running.expires <= now).count();
        (self.running.len() as u64, lapsed as u64)
    }

    /// Extends a lease that is still running.
    pub(super) fn renew(&mut self, holder: LeaseHolder<'_>, now: u64, lease: u64) -> bool {
        let running = self.running.get_mut(holder.id);
        let held = running.filter(|running| running.generation == holder.generation && running.expires > now);
        held.map(|running| running.expires = now + lease).is_some()
    }

    /// Whether an id has a lease that has not lapsed.
    pub(super) fn is_running(&self, id: &str, now: u64) -> bool {
        self.running.get(id).is_some_and(|running| running.expires > now)
    }

    pub(super) fn grant(&mut self, holder: LeaseHolder<'_>, now: u64, lease: u64) {
        self.suspected.remove(holder.id);
        let fresh = Lease { generation: holder.generation, expires: now + lease };
        self.running.insert(holder.id.to_owned(), fresh);
    }

    pub(super) fn end(&mut self, id: &str) {
        self.suspected.remove(id);
        self.running.remove(id);
    }

    pub(super) fn reset(&mut self, holders: &[LeaseHolder<'_>], now: u64, lease: u64) {
        self.running.clear();
        self.suspected.clear();
        holders.iter().for_each(|holder| self.grant(*holder, now, lease));
    }

    /// The next generation: above the last one, the time, and `above`.
    pub(super) fn next_generation(&mut self, above: u64, now: u64) -> u64 {
        self.last_generation = now.max(self.last_generation + 1).max(above + 1);
        self.last_generation
    }

    /// Whether the caller has the turn to change the record.
    pub(super) fn take_turn(&mut self, now: u64, lease: u64) -> bool {
        let length = lease / 15;
        let free = now >= self.turn_until || self.turn_until - now > length;
        if free {
            self.turn_until = now + length;
        }
        free
    }

    pub(super) fn end_turn(&mut self) {
        self.turn_until = 0;
    }

    /// Makes the leases those of `members`: who has none gets one, who is no member loses it.
    pub(super) fn repair(&mut self, members: &[LeaseHolder<'_>], now: u64, lease: u64) {
        for member in
            members.iter().filter(|member| !self.running.contains_key(member.id)).collect::<Vec<_>>()
        {
            self.grant(*member, now, lease);
        }
        let ids: std::collections::BTreeSet<&str> = members.iter().map(|member| member.id).collect();
        self.running.retain(|id, _| ids.contains(id.as_str()));
        self.suspected.retain(|id, _| ids.contains(id.as_str()));
    }

    /// The lapsed ids that may be reaped, longest lapsed first, told to one caller in a sixth of a lease.
    pub(super) fn claim_lapsed(&mut self, members: u64, now: u64, lease: u64) -> Vec<String> {
        let claim = lease / 6;
        if now < self.claimed_until && self.claimed_until - now <= claim {
            return Vec::new();
        }
        let lapsed = self.running.iter().filter(|(_, running)| running.expires <= now);
        let mut lapsed: Vec<_> = lapsed.map(|(id, running)| (running.expires, id.clone())).collect();
        lapsed.sort();
        lapsed.truncate(usize::try_from(self.reap_allowance(members, now, lease)).unwrap_or(usize::MAX));
        if !lapsed.is_empty() {
            self.claimed_until = now + claim;
        }
        lapsed.into_iter().map(|(_, id)| id).collect()
    }

    /// Ends the leases of `ids`, unless one of them is no lapsed lease or there are more than may be reaped.
    pub(super) fn reap(&mut self, ids: &[String], members: u64, now: u64, lease: u64) -> bool {
        let lapsed = |id: &String| self.running.get(id).is_some_and(|running| running.expires <= now);
        let count = ids.len() as u64;
        if !ids.iter().all(lapsed) || count > self.reap_allowance(members, now, lease) {
            return false;
        }
        ids.iter().for_each(|id| self.end(id));
        self.reaped.push(Reaped { at: now, count, members_before: members });
        self.claimed_until = 0;
        true
    }

    /// Half of the members there were before the first reap of the last two leases, rounded up, less those reaped since.
    fn reap_allowance(&mut self, members: u64, now: u64, lease: u64) -> u64 {
        if planted::is(Bug::ReapMany) {
            return members;
        }
        self.reaped.retain(|reaped| now.abs_diff(reaped.at) < 2 * lease);
        let before = self.reaped.first().map_or(members, |reaped| reaped.members_before);
        before.div_ceil(2).saturating_sub(self.reaped.iter().map(|reaped| reaped.count).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(id: &str) -> LeaseHolder<'_> {
        LeaseHolder { id, generation: 1 }
    }

    fn members(ids: &[&'static str]) -> Vec<LeaseHolder<'static>> {
        ids.iter().map(|id| holder(id)).collect()
    }

    #[test]
    fn a_stall_extends_every_lease_instead_of_letting_it_lapse() {
        let mut leases = Leases::default();
        leases.alive(0, 100);
        leases.grant(holder("a"), 0, 100);
        assert!(leases.alive(51, 100), "more than half a lease of silence");
        assert!(leases.is_running("a", 150));
        assert!(!leases.alive(101, 100), "half a lease is no stall");
        assert!(!leases.is_running("a", 151));
        assert!(leases.alive(20, 100), "a clock set back is a stall");
        assert!(leases.is_running("a", 119) && !leases.is_running("a", 120));
    }

    #[test]
    fn the_half_rule_counts_over_two_leases() {
        let mut leases = Leases::default();
        leases.reset(&members(&["a", "b", "c", "d", "e"]), 0, 100);
        let first = leases.claim_lapsed(5, 100, 100);
        assert_eq!(first, ["a", "b", "c"], "half of five, rounded up");
        assert!(leases.claim_lapsed(5, 110, 100).is_empty(), "claimed");
        assert!(leases.reap(&first, 5, 110, 100));
        assert!(leases.claim_lapsed(2, 309, 100).is_empty(), "within two leases");
        assert_eq!(leases.claim_lapsed(2, 310, 100), ["d"]);
    }

    #[test]
    fn repair_gives_leases_to_members_and_takes_them_from_others() {
        let mut leases = Leases::default();
        leases.reset(&members(&["a", "x"]), 0, 100);
        leases.repair(&members(&["a", "b"]), 50, 100);
        assert_eq!(leases.count(100), (2, 1));
        assert!(leases.is_running("b", 149));
    }

    #[test]
    fn a_renewal_needs_the_generation_and_a_running_lease() {
        let mut leases = Leases::default();
        leases.grant(holder("a"), 0, 100);
        assert!(!leases.renew(LeaseHolder { id: "a", generation: 2 }, 10, 100));
        assert!(leases.renew(holder("a"), 99, 100));
        assert!(!leases.renew(holder("a"), 199, 100));
    }
}
