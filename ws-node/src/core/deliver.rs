//! The last steps of a message: a home passes it on, a node puts it into its sessions' queues. Encoded once.

use bytes::Bytes;
use cluster::homes::Origin;
use cluster::wire::node::{Message, MessageId, Name};
use cluster::wire::peer::{Deliver, FromHome, MessageName, encode};

use super::{Core, LinkSink, Now, SessionSink};
use crate::frames;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Passes a message on as its home; answers how many sessions are interested.
    pub(super) fn pass_on(
        &mut self,
        topic: &str,
        origin: Origin<'_>,
        from: &str,
        data: &str,
        now: Now,
    ) -> u32 {
        self.counts.homed += 1;
        let Some(entry) = self.topics.get_mut(topic) else { return 0 };
        let online = entry.online();
        if !entry.is_new(origin.generation, origin.counter, now.tick_ms) {
            self.counts.repeated += 1;
            return online;
        }
        if !entry.is_heard() {
            return online;
        }
        let id = MessageId { node: origin.node, generation: origin.generation, counter: origin.counter };
        let frame =
            frames::text(&Message { topic, name: Name::Origin(id), from, data, time: now.unix_ms }.to_json());
        for follower in &entry.local {
            if let Some(session) = self.sessions.at(follower.index).filter(|session| session.listens()) {
                session.sink.push(frame.clone());
                self.counts.delivered += 1;
            }
        }
        if entry.remote.is_empty() {
            return online;
        }
        let Origin { node, generation, counter } = origin;
        let name = MessageName::Origin { node, generation, counter };
        let deliver = encode(&FromHome::Deliver(Deliver { topic, name, frame: &frame }));
        for remote in &entry.remote {
            if !self.askers.get(remote.link).is_some_and(|asker| asker.sink.send(deliver.clone())) {
                self.counts.dropped_link_full += 1;
            }
        }
        online
    }

    /// Takes a message that the topic's home passed on.
    pub(super) fn take_delivery(&mut self, node: &str, deliver: &Deliver<'_>, now: Now) {
        let (generation, counter) = match deliver.name {
            MessageName::Origin { generation, counter, .. } => (generation, counter),
            MessageName::Entry(at) if !self.may_take(deliver.topic, at, node) => return,
            MessageName::Entry(at) => {
                let frame = Bytes::copy_from_slice(deliver.frame);
                return self.take_entry(deliver.topic, at, &frame, now);
            }
        };
        let Some(entry) = self.topics.get_mut(deliver.topic) else { return };
        if !entry.is_new(generation, counter, now.tick_ms) {
            self.counts.repeated += 1;
            return;
        }
        // Copied once: the link's buffer holds a whole batch, and the slowest session would keep all of it.
        let message = Bytes::copy_from_slice(deliver.frame);
        for follower in &entry.local {
            if let Some(session) = self.sessions.at(follower.index).filter(|session| session.listens()) {
                session.sink.push(message.clone());
                self.counts.delivered += 1;
            }
        }
    }
}
