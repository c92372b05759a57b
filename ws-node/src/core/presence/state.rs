//! All that a node keeps of presence, in both its roles.

use std::sync::Arc;

use cluster::maps::{HashMap, HashSet};

use super::super::by_slot::BySlot;
use super::{Arrivals, Here, Homed, Lingering, Schedule};

/// A node's.
#[derive(Debug)]
pub(in crate::core) struct Presence {
    /// How long a lost socket counts as there, milliseconds.
    pub(in crate::core) grace_ms: u64,
    /// The time of the last call that told it.
    pub(in crate::core) now_ms: u64,
    /// Groups that sessions here are in, by topic.
    pub(in crate::core) here: BySlot<Here>,
    /// Groups that this node is home of, or was until its peers go by the ring that says so.
    pub(in crate::core) homed: BySlot<Homed>,
    /// When to look at which of them.
    pub(in crate::core) due: Schedule,
    /// Groups of them with links that are behind.
    pub(in crate::core) behind: HashSet<Arc<str>>,
    /// Inboxes that this node is home of.
    pub(in crate::core) lingering: Lingering,
    /// Slots that this node is a new home of.
    pub(in crate::core) arrivals: Arrivals,
    /// Groups of which a node is still to be told.
    untold: HashMap<String, HashSet<Arc<str>>>,
}

// === impl Presence ===

impl Presence {
    /// A node's that has just begun.
    pub(in crate::core) fn new(grace_ms: u64) -> Self {
        Self {
            grace_ms,
            now_ms: 0,
            here: BySlot::default(),
            homed: BySlot::default(),
            due: Schedule::default(),
            behind: HashSet::default(),
            lingering: Lingering::new(grace_ms),
            arrivals: Arrivals::new(grace_ms),
            untold: HashMap::default(),
        }
    }

    /// The time goes on.
    pub(in crate::core) fn at(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Notes that a node is to be told of a group.
    pub(in crate::core) fn note(&mut self, node: &str, name: &Arc<str>) {
        match self.untold.get_mut(node) {
            Some(names) => _ = names.insert(Arc::clone(name)),
            None => _ = self.untold.insert(node.to_owned(), HashSet::from_iter([Arc::clone(name)])),
        }
    }

    /// Takes what a node is to be told of.
    pub(in crate::core) fn untold(&mut self, node: &str) -> HashSet<Arc<str>> {
        self.untold.remove(node).unwrap_or_default()
    }

    /// The nodes that are to be told of something.
    pub(in crate::core) fn with_untold(&self) -> Vec<String> {
        self.untold.keys().cloned().collect()
    }

    /// Looks at a group when its roster wants it, and forgets it when nobody is in it.
    pub(in crate::core) fn reschedule(&mut self, name: &str) {
        let Some(name) = self.homed.name(name) else { return };
        let Some(homed) = self.homed.get(&name) else { return };
        let over = homed.roster.is_empty();
        self.due.set(&name, homed.roster.due().filter(|due_ms| !over && *due_ms < u64::MAX));
        if over {
            self.homed.remove(&name);
        }
    }
}
