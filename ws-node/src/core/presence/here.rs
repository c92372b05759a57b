//! What a node keeps of a group that its own sessions are in.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::ring::Slot;

use super::super::Place;
use super::super::by_slot::InSlot;
use super::{Given, Members, Tell};

/// One group's.
#[derive(Debug)]
pub(in crate::core) struct Here {
    /// The group's place on the ring.
    slot: Slot,
    /// Where its home is.
    pub(in crate::core) place: Place,
    /// Its sessions, by user, and what of them its home is to be told.
    pub(in crate::core) members: Members,
    watch: Option<Box<Watch>>,
}

/// What is needed only where a session wants to be told who comes and goes.
#[derive(Debug, Default)]
struct Watch {
    /// The sessions that do, by index.
    watchers: BTreeSet<usize>,
    given: Given,
}

// === impl Here ===

impl InSlot for Here {
    fn slot(&self) -> Slot {
        self.slot
    }
}

impl Here {
    /// Nobody is here yet.
    pub(in crate::core) fn new(slot: Slot, place: Place, grace_ms: u64) -> Self {
        Self { slot, place, members: Members::new(grace_ms), watch: None }
    }

    /// A session wants to be told from now on. What all others were told, if anything was.
    pub(in crate::core) fn watch(&mut self, index: usize) -> Option<Tell> {
        let watch = self.watch.get_or_insert_default();
        watch.watchers.insert(index);
        self.members.watch(true);
        watch.given.current()
    }

    /// A session wants to be told no longer; true if it was the last one that did.
    pub(in crate::core) fn unwatch(&mut self, index: usize) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        let last = watch.watchers.remove(&index) && watch.watchers.is_empty();
        if last {
            self.members.watch(false);
        }
        last
    }

    /// Forgets what was given once nobody watches and the home knows: what it tells until then is still noted, so that
    /// a session that comes meanwhile has no gap.
    pub(in crate::core) fn end_watch(&mut self) {
        if !self.is_watched() && !self.members.is_watch_told() {
            self.watch = None;
        }
    }

    /// Whether a session wants to be told.
    pub(in crate::core) fn is_watched(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| !watch.watchers.is_empty())
    }

    /// What was given to those who want to be told, if anybody does or did a moment ago.
    pub(in crate::core) fn given(&mut self) -> Option<&mut Given> {
        self.watch.as_mut().map(|watch| &mut watch.given)
    }

    /// The sessions that want to be told.
    pub(in crate::core) fn watchers(&self) -> impl Iterator<Item = usize> {
        self.watch.iter().flat_map(|watch| watch.watchers.iter().copied())
    }

    /// Whether it may be forgotten: nobody is here, and the home knows.
    pub(in crate::core) fn is_idle(&self) -> bool {
        self.members.is_idle() && !self.is_watched()
    }
}

/// Names for the users of a frame.
pub(in crate::core) fn names(users: &[&str]) -> Vec<Arc<str>> {
    users.iter().map(|user| Arc::from(*user)).collect()
}
