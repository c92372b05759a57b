//! Messages for topics that are at home here: stored, or only passed on.

use cluster::homes::{Outcome, Outgoing, RequestKey};

use super::{Core, LinkSink, Now, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Takes a message for a topic that is at home here.
    pub(super) fn take_message(
        &mut self,
        request: RequestKey,
        topic: &str,
        message: &Outgoing<'_>,
        now: Now,
    ) {
        self.refresh(topic);
        if self.is_stored(topic, message) {
            return self.store(request, topic, message, now);
        }
        let online = self.pass_on(topic, message.origin, message.from, message.data, now);
        self.settle(request, topic, Outcome::Passed { online });
    }

    /// Whether a message is stored, not only passed on.
    pub(super) fn is_stored(&self, topic: &str, message: &Outgoing<'_>) -> bool {
        !message.ephemeral && self.config.retentions.of(topic).is_some()
    }
}
