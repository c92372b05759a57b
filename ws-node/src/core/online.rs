//! Who is online: a user whose inbox has a session somewhere, or had one less than a grace ago. Its home knows.

use cluster::wire::topic::{inbox, inbox_owner};

use super::presence::Online;
use super::topics::Topic;
use super::{Core, LinkSink, Place, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Whether a user whose home is here is online.
    pub(super) fn is_online(&self, user: &str) -> Online {
        let (topic, now_ms) = (inbox(user), self.presence.now_ms);
        let has_sessions = self.topics.get(&topic).is_some_and(|topic| topic.online() > 0);
        let is_new = self.presence.arrivals.until_ms(self.slot(&topic), now_ms).is_some();
        self.presence.lingering.online(&topic, has_sessions, is_new, now_ms)
    }

    /// A session came to a topic, here or elsewhere.
    pub(super) fn has_follower(&mut self, name: &str) {
        self.presence.lingering.back(name);
    }

    /// A session went from a topic, here or elsewhere. To be called before the topic is forgotten.
    pub(super) fn lost_follower(&mut self, name: &str) {
        if inbox_owner(name).is_none() {
            return;
        }
        let last = |topic: &Topic| topic.place == Place::Here && topic.online() == 0;
        if self.topics.get(name).is_some_and(last)
            && let Some(name) = self.topics.name(name)
        {
            self.presence.lingering.lost(&name, self.presence.now_ms);
        }
    }
}
