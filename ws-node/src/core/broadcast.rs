//! Messages to every session, or to those whose attributes match: each node delivers to its own. Ephemeral always.

use cluster::homes::Outgoing;
use cluster::tokens::Grants;
use cluster::wire::node::{Message, MessageId, Name};
use cluster::wire::topic::EVERYONE;
use serde_json::{Map, Value};

use super::{Core, LinkSink, Now, SessionSink};
use crate::frames;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Passes a message on to the sessions here, or to those with these attributes; answers to how many. One that came
    /// before reaches nobody again.
    pub(super) fn pass_to_everyone(
        &mut self,
        message: &Outgoing<'_>,
        matching: Option<&str>,
        now: Now,
    ) -> u32 {
        let wanted = match matching.map(serde_json::from_str::<Map<String, Value>>) {
            None => None,
            Some(Ok(wanted)) => Some(wanted),
            // Only a process of another version sends what this one cannot read: to nobody rather than to all.
            Some(Err(_)) => return 0,
        };
        self.counts.homed += 1;
        let origin = message.origin;
        let new = self.everyone.is_new(origin.generation, origin.counter, now.tick_ms);
        let id = MessageId { node: origin.node, generation: origin.generation, counter: origin.counter };
        let (name, from, data) = (Name::Origin(id), message.from, message.data);
        let text = Message { topic: EVERYONE, name, from, data, time: now.unix_ms }.to_json();
        let frame = frames::text(&text);
        let fits = |grants: &Grants| wanted.as_ref().is_none_or(|wanted| grants.matches(wanted));
        let mut online = 0;
        for session in self.sessions.iter().filter(|session| session.listens()) {
            if fits(&session.holder.grants) {
                online += 1;
                if new {
                    session.sink.push(frame.clone());
                    self.counts.delivered += 1;
                }
            }
        }
        self.counts.repeated += u64::from(!new);
        online
    }
}
