//! Sends: what a session may send, and to which topics it goes.

use std::collections::BTreeSet;

use cluster::homes::{CALL_WAIT_MS, Origin, Outgoing};
use cluster::tokens::Grants;
use cluster::wire::client::{Send, Target};
use cluster::wire::codes::ErrorCode;
use cluster::wire::topic::{group, inbox};

use super::requests::Waiter;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// Whom a message is for, as topics.
enum Recipients<'a> {
    Topics(Vec<String>),
    Everyone { matching: Option<&'a str> },
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session sends.
    pub fn send(&mut self, key: SessionKey, send: &Send<'_>, now: Now) {
        if !self.affords(key, send.reference, send.cost(), now) {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(to) = Recipients::of(&send.to, &session.holder.grants) else {
            return self.refuse(key, send.reference, ErrorCode::Forbidden, None);
        };
        session.outstanding += 1;
        self.counts.sent += 1;
        let from = session.holder.user.clone();
        self.pass_send(key, send, &to, &from, now);
    }

    /// Gives a permitted send its number, and its key if it has none.
    fn pass_send(&mut self, key: SessionKey, send: &Send<'_>, to: &Recipients<'_>, from: &str, now: Now) {
        let (node, counter) = (self.me.clone(), self.next_number());
        let origin = Origin { node: &node.id, generation: node.generation, counter };
        let own_key = send.key.is_none().then(|| origin.key());
        let message = Outgoing {
            origin,
            from,
            key: send.key.as_deref().or(own_key.as_deref()).unwrap_or_default(),
            ephemeral: send.ephemeral || matches!(to, Recipients::Everyone { .. }),
            data: send.data.get(),
        };
        let several = matches!(send.to, Target::Users(_));
        let waiter = Waiter::Session { key, reference: send.reference.map(ToOwned::to_owned), several };
        let due_ms = now.tick_ms + CALL_WAIT_MS;
        match to {
            Recipients::Topics(topics) => {
                let request = self.requests.open(waiter, topics.len(), due_ms);
                let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
                self.publish(request, &message, &topics, (due_ms, now));
                self.finish_empty(request, topics.len());
            }
            Recipients::Everyone { matching } => {
                let others = self.ring.members().filter(|member| member.id != node.id).count();
                let request = self.requests.open(waiter, others + 1, due_ms);
                self.publish_to_everyone(request, &message, *matching, now);
            }
        }
    }
}

// === impl Recipients ===

impl<'a> Recipients<'a> {
    /// None if the session may not send to them.
    fn of(target: &Target<'a>, grants: &Grants) -> Option<Self> {
        Some(match target {
            Target::User(user) => Self::Topics(vec![inbox(user)]),
            Target::Users(users) => {
                let topics: BTreeSet<String> = users.iter().map(|user| inbox(user)).collect();
                Self::Topics(topics.into_iter().collect())
            }
            Target::Group(name) => Self::Topics(grants.may_join(name).then(|| vec![group(name)])?),
            Target::All => grants.may_broadcast().then_some(Self::Everyone { matching: None })?,
            Target::Match(wanted) => {
                grants.may_broadcast().then(|| Self::Everyone { matching: Some(wanted.get()) })?
            }
        })
    }
}
