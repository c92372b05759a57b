//! Which members seem dead: what this process says itself, and what the store tells of the others' sayings. Pure.
//!
//! A suspicion changes no ring. It lets lookups pass over a member, and where most of the others agree the store lets its
//! lease end sooner. What this process says holds until a link to the member stands again, until a renewal refutes it, or
//! until that incarnation is gone from the view.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::ring::{Member, Ring};

/// One incarnation of a member that seems dead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Suspect {
    /// The member's id.
    pub id: String,
    /// Its generation.
    pub generation: u64,
}

/// The members of a view that seem dead, at most one incarnation of each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Suspects(BTreeMap<String, u64>);

/// What one process says and has heard.
#[derive(Default)]
pub(super) struct Suspicions {
    own: BTreeMap<Suspect, Own>,
    heard: BTreeSet<Suspect>,
}

/// What this process has to say of a member.
struct Own {
    saying: Saying,
    /// How often a renewal has refuted it.
    refuted: u32,
}

enum Saying {
    /// It seems dead; since when the store knows that.
    Dead { told: Option<Instant> },
    /// It does not after all; the store does not know that yet.
    TakenBack,
    /// A renewal proved it alive, though not to this process. Then it is said again: a living member behind a broken
    /// path must not come and go in everybody's eyes all the time.
    Refuted { until: Instant },
}

/// What the store has to be told.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Untold {
    pub(super) dead: Vec<Suspect>,
    pub(super) taken_back: Vec<Suspect>,
}

// === impl Suspects ===

impl Suspects {
    /// Whether this incarnation of a member is suspected.
    pub fn contains(&self, member: &Member) -> bool {
        self.0.get(&member.id) == Some(&member.generation)
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that `before` does not have.
    pub(super) fn newer_than<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, u64)> {
        self.iter().filter(|(id, generation)| before.0.get(*id) != Some(generation))
    }

    /// Id and generation of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(id, generation)| (id.as_str(), *generation))
    }
}

impl FromIterator<Suspect> for Suspects {
    fn from_iter<I: IntoIterator<Item = Suspect>>(suspects: I) -> Self {
        Self(suspects.into_iter().map(|suspect| (suspect.id, suspect.generation)).collect())
    }
}

// === impl Suspicions ===

impl Suspicions {
    /// This process says that a member seems dead. Whether that is new.
    pub(super) fn suspect(&mut self, suspect: Suspect, now: Instant) -> bool {
        let dead = Saying::Dead { told: None };
        match self.own.get_mut(&suspect) {
            None => drop(self.own.insert(suspect, Own { saying: dead, refuted: 0 })),
            Some(Own { saying: Saying::Dead { .. }, .. }) => return false,
            Some(Own { saying: Saying::Refuted { until }, .. }) if now < *until => return false,
            Some(own) => own.saying = dead,
        }
        true
    }

    /// This process takes that back. Whether there was something to take back.
    pub(super) fn trust(&mut self, suspect: &Suspect) -> bool {
        match self.own.get_mut(suspect) {
            Some(own) if matches!(own.saying, Saying::Dead { .. }) => {
                own.saying = Saying::TakenBack;
                true
            }
            Some(Own { saying: Saying::Refuted { .. }, .. }) => {
                self.own.remove(suspect);
                false
            }
            _ => false,
        }
    }

    /// What the store does not know yet.
    pub(super) fn untold(&self) -> Untold {
        let mut untold = Untold::default();
        for (suspect, own) in &self.own {
            match own.saying {
                Saying::Dead { told: None } => untold.dead.push(suspect.clone()),
                Saying::TakenBack => untold.taken_back.push(suspect.clone()),
                Saying::Dead { .. } | Saying::Refuted { .. } => {}
            }
        }
        untold
    }

    /// The store knows since `now`.
    pub(super) fn told(&mut self, untold: &Untold, now: Instant) {
        for suspect in &untold.dead {
            if let Some(Own { saying: Saying::Dead { told }, .. }) = self.own.get_mut(suspect) {
                *told = Some(now);
            }
        }
        for suspect in &untold.taken_back {
            // It may have been said anew meanwhile.
            if matches!(self.own.get(suspect), Some(Own { saying: Saying::TakenBack, .. })) {
                self.own.remove(suspect);
            }
        }
    }

    /// The store has forgotten what it was told.
    pub(super) fn tell_again(&mut self) {
        for own in self.own.values_mut() {
            if let Saying::Dead { told } = &mut own.saying {
                *told = None;
            }
        }
    }

    /// Who is suspected by the store's answer to a question of `asked`. What it was told before and does not name a
    /// renewal has refuted; says how often that was so. What is not taken back is said again after a lease, and after
    /// a longer time each time.
    pub(super) fn heard(
        &mut self,
        suspected: Vec<Suspect>,
        asked: Instant,
        now: Instant,
        lease: Duration,
    ) -> usize {
        self.heard = suspected.into_iter().collect();
        let mut refuted = 0;
        for (suspect, own) in &mut self.own {
            match own.saying {
                Saying::Dead { told: Some(told) } if told <= asked && !self.heard.contains(suspect) => {
                    own.saying = Saying::Refuted { until: now + lease * (1 << own.refuted.min(5)) };
                    own.refuted += 1;
                    refuted += 1;
                }
                Saying::Refuted { until } if until <= now => own.saying = Saying::Dead { told: None },
                _ => {}
            }
        }
        refuted
    }

    /// What others say counts no longer, as the store has been silent for too long.
    pub(super) fn unheard(&mut self) {
        self.heard.clear();
    }

    /// Who is suspected of the members of `view`. What is said of others is forgotten.
    pub(super) fn of(&mut self, view: Option<&Ring>) -> Suspects {
        let is_member = |suspect: &Suspect| {
            let member = view.and_then(|ring| ring.member(&suspect.id));
            member.is_some_and(|member| member.generation == suspect.generation)
        };
        self.own.retain(|suspect, _| is_member(suspect));
        let own = self.own.iter().filter(|(_, own)| matches!(own.saying, Saying::Dead { .. }));
        let own = own.map(|(suspect, _)| suspect);
        own.chain(self.heard.iter().filter(|suspect| is_member(suspect))).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
