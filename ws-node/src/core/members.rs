//! Sessions in groups: the home of each is told which users are here, and sessions that want to be told who comes and
//! goes are told what their home says.

use std::sync::Arc;

use bytes::Bytes;
use cluster::wire::node::{NodeFrame, Presence};
use cluster::wire::peer::{self, ToHome, encode};
use cluster::wire::topic::group_name;

use super::presence::{Here, Report, Source, Tell, names};
use super::stale::Why;
use super::{Core, LinkSink, Place, SessionKey, SessionSink};
use crate::frames;

/// Groups that a node is told of at once, at most; of the others a little later.
const GROUPS_AT_ONCE: usize = 2_000;

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
            let here =
                self.presence.here.entry(name, || Here::new(slot, place.clone(), self.presence.grace_ms));
            if matches!(&place, Place::There(node) if self.homes.is_linked(node)) {
                here.members.tell_all();
            }
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
        let Some(name) = self.presence.here.name(name) else { return };
        let now_ms = self.presence.now_ms;
        let Some(user) = self.sessions.get(key).map(|session| &*session.holder.user) else { return };
        let Some(here) = self.presence.here.get_mut(&name) else { return };
        let unwatched = here.unwatch(key.index());
        let gone = here.members.left(user, lost, now_ms);
        if gone.is_none() && !unwatched {
            return;
        }
        let place = here.place.clone();
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
        let Some(name) = self.presence.here.name(name) else { return };
        let Some(here) = self.presence.here.get_mut(&name) else { return };
        let place = here.place.clone();
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
        let Some(here) = self.presence.here.get_mut(name) else { return };
        // A late frame of an old home means nothing.
        if !matches!(&here.place, Place::There(home) if home == node) {
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

    /// The link to a node is another one or none: it has forgotten what it was told. The groups that it is home of are seen
    /// to with their slots.
    pub(super) fn members_untold(&mut self, node: &str) {
        self.presence.untold(node);
    }

    /// A group's slot changed hands: its old home is told of nobody, the new one of all. Or the link to its home did.
    pub(super) fn refresh_members(&mut self, name: &Arc<str>, place: &Place, why: Why) {
        let Some(here) = self.presence.here.get_mut(name) else { return };
        let changed = here.place != *place;
        if !changed && !why.is(Why::RELINKED) {
            return;
        }
        let old = std::mem::replace(&mut here.place, place.clone());
        match old {
            Place::There(node) if changed => self.presence.note(&node, name),
            Place::Here if changed => {
                if let Some(homed) = self.presence.homed.get_mut(name) {
                    homed.roster.gone(Source::Here, self.presence.now_ms);
                }
            }
            _ => {}
        }
        let Some(here) = self.presence.here.get_mut(name) else { return };
        match place {
            Place::There(node) if self.homes.is_linked(node) => {
                here.members.tell_all();
                self.presence.note(node, name);
            }
            Place::There(_) | Place::Nowhere => here.members.tell_nobody(),
            Place::Here => {
                here.members.tell_nobody();
                let users = here.members.users();
                let now_ms = self.presence.now_ms;
                self.homed(name).roster.replace(Source::Here, &users, now_ms);
            }
        }
        self.presence.reschedule(name);
        self.tidy_here(name);
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
        for (told, name) in self.presence.untold(node).into_iter().filter(|_| linked).enumerate() {
            full = full || told >= GROUPS_AT_ONCE || !self.tell_of_members(node, &name);
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
