//! Processes whose link to this node as a home is gone: their interest and their members end bit by bit, since a node with
//! half a million sessions has tens of thousands of topics at each home. Between two bits the lock is given back; a topic
//! that is needed meanwhile has them ended first.

use std::collections::VecDeque;
use std::iter::Chain;
use std::sync::Arc;
use std::vec;

use cluster::maps::{HashSet, IntoKeys, SteadySet};
use cluster::ring::Slot;

use super::refresh::THING;
use super::{Core, LinkSink, SessionSink};

/// Topics of a process, in any order, and possibly more than once.
type Names = Chain<IntoKeys<Arc<str>, ()>, <HashSet<Arc<str>> as IntoIterator>::IntoIter>;

/// All of them, the first to go first.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<Leaving>);

/// What is still here of one of them. Its link has no queue any more, and no other link ever has its number: whoever
/// dials again begins anew.
#[derive(Debug)]
struct Leaving {
    link: u64,
    /// What it asked for; then what it was behind with, which is only to be let go.
    names: Names,
    /// Where groups are at home that it may have told members of.
    slots: vec::IntoIter<Slot>,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A process is gone that asked for these topics.
    pub(super) fn begin_leaving(&mut self, link: u64, names: SteadySet<Arc<str>>, behind: HashSet<Arc<str>>) {
        let slots: Vec<Slot> = self.presence.homed.slots().collect();
        let names = names.into_keys().chain(behind);
        self.gone.0.push_back(Leaving { link, names, slots: slots.into_iter() });
        self.let_leave(self.piece);
    }

    /// Ends what is left of processes that are gone, as much as may cost so much.
    pub(super) fn let_leave(&mut self, most: usize) {
        let mut cost = 0;
        while cost < most {
            let Some(leaving) = self.gone.0.front_mut() else { return };
            let link = leaving.link;
            if let Some(name) = leaving.names.next() {
                self.end_interest(link, &name);
                cost += THING;
            } else if let Some(slot) = leaving.slots.next() {
                let groups = self.presence.homed.in_slot(slot).to_vec();
                groups.iter().for_each(|name| self.members_gone(link, name));
                cost += 1 + THING * groups.len();
            } else {
                self.gone.0.pop_front();
            }
        }
    }

    /// Ends what processes that are gone have in a topic, before it is used.
    pub(super) fn let_leave_topic(&mut self, name: &str) {
        let links: Vec<u64> = self.gone.0.iter().map(|leaving| leaving.link).collect();
        for link in links {
            self.end_interest(link, name);
            self.members_gone(link, name);
        }
    }

    fn end_interest(&mut self, link: u64, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        // Once only: a user's grace counts from the first time.
        if topic.remote.iter().any(|remote| remote.link == link) {
            topic.set_remote(link, 0);
            self.lost_follower(name);
            self.topics.release(name);
        }
    }
}

// === impl Gone ===

impl Gone {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
