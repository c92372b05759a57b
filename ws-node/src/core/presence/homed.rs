//! What a group's home keeps of it: who is in it, and which processes have a part in it.

use cluster::ring::Slot;

use super::super::by_slot::InSlot;
use super::Roster;

/// One group's.
#[derive(Debug)]
pub(in crate::core) struct Homed {
    /// The group's place on the ring.
    slot: Slot,
    /// Who is in it.
    pub(in crate::core) roster: Roster,
    /// Links whose processes told of members: few, so looked through.
    pub(in crate::core) links: Vec<Linked>,
}

/// A process that told of members.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Linked {
    /// Its link.
    pub(in crate::core) link: u64,
    /// It wants to be told who comes and goes.
    pub(in crate::core) watching: bool,
    /// Its link did not take something of that: it is to be told of everybody.
    pub(in crate::core) behind: bool,
}

// === impl Homed ===

impl InSlot for Homed {
    fn slot(&self) -> Slot {
        self.slot
    }
}

impl Homed {
    /// Nobody is in it.
    pub(in crate::core) fn new(slot: Slot, grace_ms: u64) -> Self {
        Self { slot, roster: Roster::new(grace_ms), links: Vec::new() }
    }

    /// The process behind a link, if it told of members.
    pub(in crate::core) fn link(&mut self, link: u64) -> Option<&mut Linked> {
        self.links.iter_mut().find(|linked| linked.link == link)
    }

    /// Takes a process in; true if it is new.
    pub(in crate::core) fn add(&mut self, link: u64) -> bool {
        let new = self.link(link).is_none();
        if new {
            self.links.push(Linked { link, watching: false, behind: false });
        }
        new
    }

    /// Whether a process wants to be told who comes and goes; answers whether it wanted that before. Who begins to want it
    /// only now is not told of what is told now, but of everybody after that.
    pub(in crate::core) fn watch(&mut self, link: u64, watching: bool) -> bool {
        let Some(linked) = self.link(link) else { return false };
        linked.behind |= watching && !linked.watching;
        std::mem::replace(&mut linked.watching, watching)
    }

    /// A process has no part in it any more; false if it had none.
    pub(in crate::core) fn remove(&mut self, link: u64) -> bool {
        let before = self.links.len();
        self.links.retain(|linked| linked.link != link);
        self.links.len() < before
    }
}
