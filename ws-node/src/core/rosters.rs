//! This node as the home of groups: it merges the members of all nodes and tells those who watch what changes.

use std::sync::Arc;

use cluster::ring::{Arcs, SLOTS, Slot};
use cluster::wire::peer::{FromHome, Members, Presence, encode};
use cluster::wire::topic::{group, group_name};

use super::presence::{Change, Homed, Known, Source, names};
use super::stale::Why;
use super::{Core, LinkSink, Place, SessionSink};

/// Groups that one tick looks at, at most: a node's death concerns all that it had members of at the same time.
const GROUPS_PER_TICK: usize = 20_000;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A process says whom it has of a group. Taken also where this node is not the home any more: whoever does not see
    /// the ring that says so, since another one follows, goes on counting on this node.
    pub(super) fn take_members(&mut self, link: u64, members: &Members<'_>) {
        let Members { topic, begins, joined, left, watching } = members;
        let nobody = *begins && joined.is_empty() && !watching;
        let known = self.presence.homed.contains_key(topic);
        if self.askers.get(link).is_none() || group_name(topic).is_none() || nobody && !known {
            return;
        }
        let (name, now_ms) = (self.name_of(topic), self.presence.now_ms);
        let homed = self.homed(&name);
        let (source, new) = (Source::Link(link), homed.add(link));
        let joined = names(joined);
        if *begins && !new {
            homed.roster.replace(source, &joined, now_ms);
        } else {
            joined.iter().for_each(|user| homed.roster.joined(source, user));
        }
        left.iter().for_each(|(user, lost)| homed.roster.left(source, user, *lost, now_ms));
        let watched = homed.watch(link, *watching);
        if nobody {
            homed.remove(link);
        }
        self.poll_group(&name);
        if *watching && !watched {
            self.give_known(&name, link);
        }
    }

    /// A process is gone, and its members of a group with it, once they have been gone for the grace.
    pub(super) fn members_gone(&mut self, link: u64, name: &str) {
        let now_ms = self.presence.now_ms;
        let Some(homed) = self.presence.homed.get_mut(name) else { return };
        if homed.remove(link) {
            homed.roster.gone(Source::Link(link), now_ms);
            self.presence.reschedule(name);
        }
    }

    /// Slots changed hands: of those that came here it may not know everybody yet.
    pub(super) fn slots_came(&mut self, changed: &Arcs) {
        let (ring, mine) = (&self.ring, self.ring.index_of(&self.me.id));
        if mine.is_some() {
            let came = |slot: &Slot| changed.contains(*slot) && ring.holder(*slot) == mine;
            let all = (0..=u16::MAX).map(Slot::new);
            self.presence.arrivals.came(all.filter(came), self.presence.now_ms);
        }
    }

    /// A group's slot changed hands: as a new home this node tells nothing before it may know everybody, and as none
    /// nothing at all.
    pub(super) fn refresh_roster(&mut self, name: &Arc<str>, place: &Place, why: Why) {
        if !why.is(Why::CHANGED) {
            return;
        }
        let (slot, now_ms) = (self.slot(name), self.presence.now_ms);
        let until_ms = match place {
            Place::Here => self.presence.arrivals.until_ms(slot, now_ms).unwrap_or(now_ms),
            Place::There(_) | Place::Nowhere => u64::MAX,
        };
        if let Some(homed) = self.presence.homed.get_mut(name) {
            homed.roster.settle(until_ms);
        }
        self.presence.reschedule(name);
    }

    /// The node has begun: it is a new home of every slot that it has.
    pub(super) fn begin_as_home(&mut self) {
        debug_assert_eq!(usize::from(u16::MAX) + 1, SLOTS);
        let (ring, mine) = (&self.ring, self.ring.index_of(&self.me.id));
        let is_here = |slot: &Slot| mine.is_some() && ring.holder(*slot) == mine;
        self.presence.arrivals.came((0..=u16::MAX).map(Slot::new).filter(is_here), 0);
    }

    /// Tells what is due of presence.
    pub(super) fn tell_presence(&mut self) {
        let now_ms = self.presence.now_ms;
        for _ in 0..GROUPS_PER_TICK {
            let Some(name) = self.presence.due.take_due(now_ms) else { break };
            self.poll_group(&name);
        }
        for name in std::mem::take(&mut self.presence.behind) {
            let links = self.presence.homed.get(&name).map(|homed| homed.links.clone());
            for linked in links.into_iter().flatten().filter(|linked| linked.behind && linked.watching) {
                self.give_known(&name, linked.link);
            }
        }
        self.tell_all_members();
        self.presence.lingering.tick(now_ms);
        self.presence.arrivals.tick(now_ms);
    }

    /// Lets those leave whose grace has ended, and tells what is to be told now.
    pub(super) fn poll_group(&mut self, name: &str) {
        self.refresh(name);
        let now_ms = self.presence.now_ms;
        let change = self.presence.homed.get_mut(name).and_then(|homed| homed.roster.poll(now_ms));
        if let Some(change) = change {
            self.pass_change(name, change);
        }
        self.presence.reschedule(name);
    }

    /// Who is in a group that is at home here.
    pub(super) fn present(&self, group_name: &str) -> (u32, Option<Vec<Arc<str>>>, bool) {
        let (name, now_ms) = (group(group_name), self.presence.now_ms);
        let is_new = || self.presence.arrivals.until_ms(self.slot(&name), now_ms).is_some();
        match self.presence.homed.get(&name) {
            None => (0, Some(Vec::new()), is_new()),
            Some(Homed { roster, .. }) => {
                let count = u32::try_from(roster.count()).unwrap_or(u32::MAX);
                (count, roster.users(), roster.is_settling(now_ms))
            }
        }
    }

    /// Gives the first session here that watches what all others were told.
    pub(super) fn give_known_here(&mut self, name: &str) {
        let Some(known) = self.presence.homed.get(name).and_then(|homed| homed.roster.known()) else {
            return;
        };
        let Some(given) = self.presence.here.get_mut(name).and_then(|here| here.given()) else { return };
        let tell = match known {
            Known::Users(users) => given.whole(users),
            Known::Count(count) => given.counted(count),
        };
        if let Some(tell) = tell {
            self.tell_watchers(name, &tell);
        }
    }

    /// A group's roster, made if it isn't there.
    pub(super) fn homed(&mut self, name: &Arc<str>) -> &mut Homed {
        let (slot, now_ms) = (self.slot(name), self.presence.now_ms);
        let until_ms = match self.place(slot) {
            Place::Here => self.presence.arrivals.until_ms(slot, now_ms),
            Place::There(_) | Place::Nowhere => Some(u64::MAX),
        };
        let grace_ms = self.presence.grace_ms;
        self.presence.homed.entry(name, || {
            let mut homed = Homed::new(slot, grace_ms);
            if let Some(until_ms) = until_ms {
                homed.roster.settle(until_ms);
            }
            homed
        })
    }

    /// Tells a process that watches what all others were told.
    fn give_known(&mut self, name: &str, link: u64) {
        let Some(homed) = self.presence.homed.get_mut(name) else { return };
        let Some(known) = homed.roster.known() else {
            // While it settles: all are told of everybody when that ends.
            homed.link(link).into_iter().for_each(|linked| linked.behind = false);
            return;
        };
        let frame = match &known {
            Known::Users(users) => change_frame(name, users.len(), true, users, &[]),
            Known::Count(count) => change_frame(name, *count, false, &[], &[]),
        };
        let sent = self.askers.get(link).is_some_and(|asker| asker.sink.send(encode(&frame)));
        if let Some(linked) = homed.link(link) {
            linked.behind = !sent;
        }
        self.note_behind(name, !sent);
    }

    fn pass_change(&mut self, name: &str, change: Change) {
        let Some(homed) = self.presence.homed.get_mut(name) else { return };
        let count = homed.roster.count();
        let whole = matches!(change, Change::Whole);
        let (joined, left) = match change {
            Change::Whole => (homed.roster.users().unwrap_or_default(), Vec::new()),
            Change::Users { joined, left } => (joined, left),
            Change::Count => (Vec::new(), Vec::new()),
        };
        let mut behind = false;
        if homed.links.iter().any(|linked| linked.watching) {
            let frame = encode(&change_frame(name, count, whole, &joined, &left));
            // Who is behind is told of everybody instead.
            for linked in homed.links.iter_mut().filter(|linked| linked.watching && !linked.behind) {
                let asker = self.askers.get(linked.link);
                linked.behind = !asker.is_some_and(|asker| asker.sink.send(frame.clone()));
                behind |= linked.behind;
            }
        }
        self.note_behind(name, behind);
        let Some(given) = self.presence.here.get_mut(name).and_then(|here| here.given()) else { return };
        let tell = match (whole, joined.is_empty() && left.is_empty()) {
            (true, _) => given.whole(joined),
            (false, true) => given.counted(count),
            (false, false) => given.changed(joined, left),
        };
        if let Some(tell) = tell {
            self.tell_watchers(name, &tell);
        }
    }

    fn note_behind(&mut self, name: &str, behind: bool) {
        if behind {
            self.counts.dropped_link_full += 1;
            let name = self.name_of(name);
            self.presence.behind.insert(name);
        }
    }

    /// A group's name as it is kept, or a new one.
    fn name_of(&self, name: &str) -> Arc<str> {
        self.presence.homed.name(name).or_else(|| self.topics.name(name)).unwrap_or_else(|| Arc::from(name))
    }
}

fn change_frame<'a>(
    topic: &'a str,
    count: usize,
    whole: bool,
    joined: &'a [Arc<str>],
    left: &'a [Arc<str>],
) -> FromHome<'a> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let refs = |users: &'a [Arc<str>]| users.iter().map(AsRef::as_ref).collect();
    FromHome::Presence(Presence { topic, count, whole, joined: refs(joined), left: refs(left) })
}
