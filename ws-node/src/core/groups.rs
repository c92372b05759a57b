//! Groups: sessions join and leave them.

use cluster::wire::client::{About, Join, Reference};
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{GroupAck, NodeFrame, Recovery};
use cluster::wire::topic::group;

use super::followers::JoinRequest;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session wants a group's messages.
    pub fn join(&mut self, key: SessionKey, join: &Join<'_>, now: Now) {
        if !self.may_ask(key, join.reference, now) {
            return;
        }
        let name = group(&join.group);
        if !self.may_join(key, &join.group) {
            return self.fail(key, join.reference, ErrorCode::Forbidden);
        }
        if self.follows(key, &name) {
            if join.since.is_none() && self.answer_again(key, &name, join.reference) {
                return self.watch(key, &name, join.presence);
            }
            // Whoever wants to go on elsewhere goes first, and was never away to others.
            self.depart(key, &name, true, now);
        } else if self.is_in_too_many(key) {
            return self.fail(key, join.reference, ErrorCode::TooManyGroups);
        }
        let request =
            JoinRequest { reference: join.reference.map(ToOwned::to_owned), presence: join.presence };
        self.arrive(key, &name, join.since, Some(request), now);
    }

    /// A session no longer wants them.
    pub fn leave(&mut self, key: SessionKey, leave: &About<'_>, now: Now) {
        if !self.may_ask(key, leave.reference, now) {
            return;
        }
        let name = group(&leave.group);
        if !self.follows(key, &name) {
            return self.fail(key, leave.reference, ErrorCode::NotJoined);
        }
        let position = self.topics.get_mut(&name).and_then(|topic| {
            let position = topic.feed.position;
            topic.follower(key.index())?.stands_at(position)
        });
        self.depart(key, &name, false, now);
        if let Some(session) = self.sessions.get(key) {
            let ack = GroupAck { reference: leave.reference, topic: &name, position, recovered: None };
            session.push(&NodeFrame::Group(ack));
        }
    }

    /// The session is in the group already, and stays where it is; false if it has not arrived yet.
    fn answer_again(&mut self, key: SessionKey, name: &str, reference: Reference<'_>) -> bool {
        let Some(topic) = self.topics.get_mut(name) else { return false };
        let position = topic.feed.head();
        let arrived = topic.follower(key.index()).is_some_and(|follower| follower.arrival().is_none());
        if let Some(session) = self.sessions.get(key).filter(|_| arrived) {
            let ack = GroupAck { reference, topic: name, position, recovered: Some(Recovery::Whole) };
            session.push(&NodeFrame::Group(ack));
        }
        arrived
    }

    /// Whether the session's token allows it to be in a group.
    pub(super) fn may_join(&self, key: SessionKey, group: &str) -> bool {
        self.sessions.get(key).is_some_and(|session| session.holder.grants.may_join(group))
    }

    pub(super) fn follows(&self, key: SessionKey, name: &str) -> bool {
        self.sessions.get(key).is_some_and(|session| session.topics.iter().any(|topic| **topic == *name))
    }

    pub(super) fn is_in_too_many(&self, key: SessionKey) -> bool {
        // The inbox is one of its topics.
        self.sessions.get(key).is_some_and(|session| session.topics.len() > self.config.limits.groups)
    }

    /// The session no longer follows a topic. `lost`: it did not leave it.
    pub(super) fn depart(&mut self, key: SessionKey, name: &str, lost: bool, now: Now) {
        let awaited = self.is_awaited(key, name);
        let join = self.arrival(key, name).and_then(|arrival| arrival.join.take());
        self.unfollow(key, name, lost);
        if let Some(session) = self.sessions.get_mut(key) {
            session.topics.retain(|topic| **topic != *name);
        }
        if awaited {
            self.resolved(key, now);
        }
        if let Some(join) = join {
            // It will never be answered otherwise.
            self.refuse(key, join.reference.as_deref(), ErrorCode::NotJoined, None);
        }
    }
}
