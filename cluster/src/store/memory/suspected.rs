//! Who seems dead to whom, and who observes: the part of the leases' rules that concerns them. As `lua/suspect.lua`.

use std::collections::BTreeSet;

use super::leases::Leases;
use crate::membership::{LeaseHolder, Sayer, Suspect};

/// What is said of the incarnation that holds a lease.
#[derive(Default)]
pub(super) struct Suspected {
    members: BTreeSet<String>,
    observers: BTreeSet<String>,
    capped: bool,
}

/// What a saying changed.
#[derive(Clone, Copy, Default)]
pub(super) struct Said {
    /// Nobody had said so before.
    pub(super) newly: bool,
    /// Now so many say so that the lease is capped.
    pub(super) capped: bool,
}

// === impl Leases ===

impl Leases {
    /// `by` says that a member seems dead.
    pub(super) fn suspect(&mut self, by: Sayer<'_>, holder: LeaseHolder<'_>, now: u64, lease: u64) -> Said {
        if !self.is_held(holder) {
            return Said::default();
        }
        let counts = matches!(by, Sayer::Member(sayer) if self.is_held(sayer));
        let newly = !self.suspected.contains_key(holder.id);
        let suspected = self.suspected.entry(holder.id.to_owned()).or_default();
        match (by, counts) {
            (Sayer::Member(LeaseHolder { id, .. }), true) => suspected.members.insert(id.to_owned()),
            (Sayer::Member(LeaseHolder { id, .. }), false) => suspected.observers.insert(id.to_owned()),
            (Sayer::Observer(name), _) => suspected.observers.insert(name.to_owned()),
        };
        let says = |id: &&String| *id != holder.id && self.is_running(id, now);
        let others = self.running.len() - 1;
        let capped = {
            let suspected = &self.suspected[holder.id];
            !suspected.capped && suspected.members.iter().filter(says).count() > others / 2
        };
        if capped {
            if let Some(suspected) = self.suspected.get_mut(holder.id) {
                suspected.capped = true;
            }
            if let Some(running) = self.running.get_mut(holder.id) {
                running.expires = (running.expires + lease * 3 / 10).saturating_sub(lease);
            }
        }
        Said { newly, capped }
    }

    /// `by` takes back what it said of a member. Whether nobody says it any more.
    pub(super) fn trust(&mut self, by: Sayer<'_>, holder: LeaseHolder<'_>) -> bool {
        if !self.is_held(holder) {
            return false;
        }
        let (Sayer::Member(LeaseHolder { id: name, .. }) | Sayer::Observer(name)) = by;
        let Some(suspected) = self.suspected.get_mut(holder.id) else { return false };
        if matches!(by, Sayer::Member(_)) {
            suspected.members.remove(name);
        }
        suspected.observers.remove(name);
        let nobody = suspected.members.is_empty() && suspected.observers.is_empty();
        nobody && self.clear(holder.id)
    }

    /// Nobody suspects an id any more. Whether somebody did.
    pub(super) fn clear(&mut self, id: &str) -> bool {
        self.suspected.remove(id).is_some()
    }

    /// All leases are fresh ones: they may be capped again.
    pub(super) fn uncap(&mut self) {
        self.suspected.values_mut().for_each(|suspected| suspected.capped = false);
    }

    /// All who are suspected.
    pub(super) fn suspects(&self) -> Vec<Suspect> {
        let of = |id: &String| Some(Suspect { id: id.clone(), generation: self.running.get(id)?.generation });
        self.suspected.keys().filter_map(of).collect()
    }

    /// In how long the first capped lease lapses.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        let capped = self.suspected.iter().filter(|(_, suspected)| suspected.capped);
        capped
            .filter_map(|(id, _)| self.running.get(id)?.expires.checked_sub(now))
            .filter(|left| *left > 0)
            .min()
    }

    /// How many observers polled in the last two leases, `observer` does now.
    pub(super) fn observers(&mut self, observer: Option<&str>, now: u64, lease: u64) -> u64 {
        if let Some(name) = observer {
            self.observed.insert(name.to_owned(), now);
        }
        self.observed.retain(|_, at| now.abs_diff(*at) < 2 * lease);
        self.observed.len() as u64
    }

    fn is_held(&self, holder: LeaseHolder<'_>) -> bool {
        self.running.get(holder.id).is_some_and(|running| running.generation == holder.generation)
    }
}
