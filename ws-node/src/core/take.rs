//! A topic's home takes a message.

use cluster::homes::{Outcome, Outgoing, RequestKey};

use super::{Core, LinkSink, Now, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Takes a message for a topic that is at home here, of a session of this node or of a peer. It comes to an end with
    /// [`Core::settle`] or [`Core::give_back`].
    pub(super) fn take_message(
        &mut self,
        request: RequestKey,
        topic: &str,
        message: &Outgoing<'_>,
        now: Now,
    ) {
        let online = self.pass_on(topic, message.origin, message.from, message.data, now);
        self.settle(request, topic, Outcome::Passed { online });
    }
}
