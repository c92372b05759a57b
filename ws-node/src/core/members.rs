//! Sessions in groups: the home of each is told which users are here, and sessions that want to be told who comes and
//! goes are told what their home says.

use std::sync::Arc;

use bytes::Bytes;
use cluster::ring::{Arcs, Ring};
use cluster::wire::node::{NodeFrame, Presence};
use cluster::wire::peer::{self, ToHome, encode};
use cluster::wire::topic::group_name;

use super::presence::{Here, Report, Source, Tell, names};
use super::{Core, LinkSink, Place, SessionKey, SessionSink};
use crate::frames;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session came to a topic; it counts as a member if that is a group's.
    pub(super) fn came_to(&mut self, key: SessionKey, name: &Arc<str>) {
        if group_name(name).is_none() {
            return;
        }
        let Some(user) = self.sessions.get_mut(key).map(super::session::Session::member_name) else { return };
        let slot = self.slot(name);
        let place = self.place(slot);
        if !self.presence.here.contains_key(name) {
            let mut here = Here::new(slot, self.presence.grace_ms);
            if matches!(&place, Place::There(node) if self.homes.is_linked(node)) {
                here.members.tell_all();
            }
            self.presence.here.insert(Arc::clone(name), here);
        }
        let Some(here) = self.presence.here.get_mut(name) else { return };
        if here.members.joined(&user) {
            if place == Place::Here {
                self.homed(name).roster.joined(Source::Here, &user);
            }
            self.members_changed(name, &place);
        }
    }

    /// A session no longer follows a topic: it left, or its socket was lost.
    pub(super) fn went_from(&mut self, key: SessionKey, name: &str, lost: bool) {
        let Some((name, _)) = self.presence.here.get_key_value(name) else { return };
        let name = Arc::clone(name);
        let now_ms = self.presence.now_ms;
        let Some(user) = self.sessions.get(key).map(|session| &*session.holder.user) else { return };
        let Some(here) = self.presence.here.get_mut(&name) else { return };
        let unwatched = here.unwatch(key.index());
        let gone = here.members.left(user, lost, now_ms);
        if gone.is_none() && !unwatched {
            return;
        }
        let place = Place::of(here.slot, &self.ring, &self.me.id);
        if let Some(lost) = gone
            && place == Place::Here
            && let Some(homed) = self.presence.homed.get_mut(&name)
        {
            homed.roster.left(Source::Here, user, lost, now_ms);
        }
        self.members_changed(&name, &place);
    }

    /// A session that is in a group is told from now on who comes and goes, or no longer.
    pub(super) fn watch(&mut self, key: SessionKey, name: &str, watches: bool) {
        let Some((name, _)) = self.presence.here.get_key_value(name) else { return };
        let name = Arc::clone(name);
        let Some(here) = self.presence.here.get_mut(&name) else { return };
        let place = Place::of(here.slot, &self.ring, &self.me.id);
        if !watches {
            if here.unwatch(key.index()) {
                self.members_changed(&name, &place);
            }
            return;
        }
        let first = !here.is_watched();
        if let Some(tell) = here.watch(key.index()) {
            let frame = presence_frame(&name, &tell);
            if let Some(session) = self.sessions.get(key).filter(|session| session.listens()) {
                session.sink.push(frame);
            }
        } else if first && place == Place::Here {
            self.give_known_here(&name);
        }
        if first {
            self.members_changed(&name, &place);
        }
    }

    /// Tells sessions here what is new to them.
    pub(super) fn tell_watchers(&mut self, name: &str, tell: &Tell) {
        let Some(here) = self.presence.here.get(name).filter(|here| here.is_watched()) else { return };
        let frame = presence_frame(name, tell);
        for index in here.watchers() {
            if let Some(session) = self.sessions.at(index).filter(|session| session.listens()) {
                session.sink.push(frame.clone());
                self.counts.delivered += 1;
            }
        }
    }

    /// What a group's home says of who is in it.
    pub(super) fn take_presence(&mut self, node: &str, presence: &peer::Presence<'_>) {
        let peer::Presence { topic: name, count, whole, joined, left } = presence;
        let Some(here) = self.presence.here.get_mut(*name) else { return };
        // A late frame of an old home means nothing.
        if !matches!(Place::of(here.slot, &self.ring, &self.me.id), Place::There(home) if home == node) {
            return;
        }
        let Some(given) = here.given() else { return };
        let tell = if *whole {
            given.whole(names(joined))
        } else if joined.is_empty() && left.is_empty() {
            given.counted(usize::try_from(*count).unwrap_or(usize::MAX))
        } else {
            given.changed(names(joined), names(left))
        };
        if let Some(tell) = tell {
            self.tell_watchers(name, &tell);
        }
    }

    /// The link to a node stands: it is told of all members of the groups that it is home of.
    pub(super) fn members_opened(&mut self, node: &str) {
        self.presence.untold(node);
        for name in self.groups_at(node) {
            if let Some(here) = self.presence.here.get_mut(&name) {
                here.members.tell_all();
            }
            self.presence.note(node, &name);
        }
        self.tell_members(node);
    }

    /// The link to a node is gone: it forgets what it was told.
    pub(super) fn members_closed(&mut self, node: &str) {
        self.presence.untold(node);
        for name in self.groups_at(node) {
            if let Some(here) = self.presence.here.get_mut(&name) {
                here.members.tell_nobody();
            }
            self.tidy_here(&name);
        }
    }

    /// Groups whose slot changed hands: their old home is told of nobody, the new one of all.
    pub(super) fn move_members(&mut self, older: &Ring, changed: &Arcs) {
        let here = self.presence.here.iter().filter(|(_, here)| changed.contains(here.slot));
        let concerned: Vec<_> = here.map(|(name, here)| (Arc::clone(name), here.slot)).collect();
        for (name, slot) in concerned {
            let place = self.place(slot);
            match Place::of(slot, older, &self.me.id) {
                Place::There(node) => self.presence.note(&node, &name),
                Place::Here => {
                    if let Some(homed) = self.presence.homed.get_mut(&name) {
                        homed.roster.gone(Source::Here, self.presence.now_ms);
                    }
                }
                Place::Nowhere => {}
            }
            let Some(here) = self.presence.here.get_mut(&name) else { continue };
            match &place {
                Place::There(node) if self.homes.is_linked(node) => {
                    here.members.tell_all();
                    self.presence.note(node, &name);
                }
                Place::There(_) | Place::Nowhere => here.members.tell_nobody(),
                Place::Here => {
                    here.members.tell_nobody();
                    let users = here.members.users();
                    let now_ms = self.presence.now_ms;
                    self.homed(&name).roster.replace(Source::Here, &users, now_ms);
                }
            }
            self.presence.reschedule(&name);
            self.tidy_here(&name);
        }
        self.tell_all_members();
    }

    /// Tells every node what it is still to be told.
    pub(super) fn tell_all_members(&mut self) {
        self.presence.with_untold().iter().for_each(|node| self.tell_members(node));
    }

    /// Tells a node of the groups that it is still to be told of, as far as its link takes it.
    fn tell_members(&mut self, node: &str) {
        let mut full = false;
        let linked = self.homes.is_linked(node);
        // Without a link it is told of all when that stands.
        for name in self.presence.untold(node).into_iter().filter(|_| linked) {
            full = full || !self.tell_of_members(node, &name);
            if full {
                self.presence.note(node, &name);
            }
        }
    }

    fn tell_of_members(&mut self, node: &str, name: &str) -> bool {
        let at_home = self.ring.home(self.slot(name)).is_some_and(|home| home.id == node);
        let calls = &self.homes.calls;
        let Some(here) = self.presence.here.get_mut(name).filter(|_| at_home) else {
            let nobody = Report { begins: true, ..Report::default() };
            return calls.offer(node, report_frame(name, &nobody));
        };
        let told = here.members.tell(|report| calls.offer(node, report_frame(name, report)));
        self.tidy_here(name);
        told
    }

    /// A group's members or watchers here are others: whoever is to know is told, or will be.
    fn members_changed(&mut self, name: &Arc<str>, place: &Place) {
        match place {
            Place::Here => self.poll_group(name),
            Place::There(node) if self.homes.is_linked(node) => {
                self.presence.note(node, name);
                self.tell_members(node);
            }
            Place::There(_) | Place::Nowhere => {}
        }
        self.tidy_here(name);
    }

    fn tidy_here(&mut self, name: &str) {
        let Some(here) = self.presence.here.get_mut(name) else { return };
        here.end_watch();
        if here.is_idle() {
            self.presence.here.remove(name);
        }
    }

    fn groups_at(&self, node: &str) -> Vec<Arc<str>> {
        let home = |here: &Here| self.ring.home(here.slot).is_some_and(|home| home.id == node);
        let groups = self.presence.here.iter().filter(|(_, here)| home(here));
        groups.map(|(name, _)| Arc::clone(name)).collect()
    }
}

fn report_frame(name: &str, report: &Report) -> Bytes {
    encode(&ToHome::Members(peer::Members {
        topic: name,
        begins: report.begins,
        joined: report.joined.iter().map(AsRef::as_ref).collect(),
        left: report.left.iter().map(|(user, lost)| (&**user, *lost)).collect(),
        watching: report.watching,
    }))
}

fn presence_frame(name: &str, tell: &Tell) -> Bytes {
    fn refs(users: &[Arc<str>]) -> Vec<&str> {
        users.iter().map(AsRef::as_ref).collect()
    }
    let (count, users, joined, left) = match tell {
        Tell::Roster(users) => (users.len(), Some(refs(users)), vec![], vec![]),
        Tell::Change { count, joined, left } => (*count, None, refs(joined), refs(left)),
        Tell::Count(count) => (*count, None, vec![], vec![]),
    };
    let group = group_name(name).unwrap_or(name);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let frame = Presence { group, count, users: users.as_deref(), joined: &joined, left: &left };
    frames::text(&NodeFrame::Presence(frame).to_json())
}
