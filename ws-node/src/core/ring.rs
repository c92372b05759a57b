//! A newer ring, or another way to read the same one.

use std::sync::Arc;

use cluster::ring::Ring;

use super::stale::Why;
use super::{Core, LinkSink, Now, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Goes by a newer ring: interest first, then what is under way, then the clients (design: first make it right,
    /// then make it short). Only the first piece of it; the rest is for [`Core::work_off`].
    pub fn ring_changed(&mut self, ring: Arc<Ring>, now: Now) {
        if ring.version() > self.ring.version() {
            self.go_by(ring, now);
        }
    }

    /// Reads the ring that it goes by past members that are dead ([`Ring::bypassing`]), or no longer: what is done while
    /// nobody can publish another version.
    pub fn ring_read(&mut self, ring: Arc<Ring>, now: Now) {
        let other = || !Arc::ptr_eq(&ring, &self.ring) && !self.ring.changed(&ring).is_empty();
        if ring.version() == self.ring.version() && other() {
            self.go_by(ring, now);
        }
    }

    fn go_by(&mut self, ring: Arc<Ring>, now: Now) {
        self.at(now);
        let older = std::mem::replace(&mut self.ring, ring);
        let changed = older.changed(&self.ring);
        self.mark_changed(&changed);
        self.slots_came(&changed);
        self.wait_for_links();
        let published = older.version() != self.ring.version();
        // Whom it stood in for may have written meanwhile.
        if older.is_bypassed() {
            self.mark(Why::DOUBTED, |slot| older.stands_in(slot));
        }
        if published && self.may_have_missed_a_home(&older) {
            self.log_interrupted();
        }
        self.plan_moves(&changed, published, now);
        self.refresh_some();
        self.tell_homes();
        self.reroute_calls(now);
        self.pump_homes();
        self.offer_moves(now);
    }

    /// Whether another node may have been home of a topic between two rings by which this one is, or the log is another.
    fn may_have_missed_a_home(&self, older: &Ring) -> bool {
        let (old, new) = (older.version(), self.ring.version());
        let next = new.term == old.term && new.number == old.number + 1;
        !next || older.log_generation() != self.ring.log_generation()
    }
}
