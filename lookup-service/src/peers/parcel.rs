//! A message with the topics that it goes to. Pure.

use cluster::homes::{Origin, Outgoing, View};
use cluster::wire::topic::{group, inbox};

use crate::api::backend::{OutMessage, Target};

/// What a frame has beside its texts, in bytes, at most; and what each of its topics has.
const FRAME_COST: usize = 128;
const TOPIC_COST: usize = 8;

/// A message and whom it is for.
#[derive(Debug)]
pub(super) struct Parcel {
    message: OutMessage,
    pub(super) to: Recipients,
}

/// Whom a message is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recipients {
    /// One topic, or a user's inbox for each of `several`.
    Topics { names: Vec<String>, several: bool },
    /// Every session, or those whose attributes match.
    Everyone { matching: Option<String> },
}

// === impl Parcel ===

impl Parcel {
    pub(super) fn of(message: OutMessage) -> Self {
        Self { to: Recipients::of(&message.to), message }
    }

    /// The message as it goes out; `own_key` is for one that has none.
    pub(super) fn outgoing<'a>(&'a self, origin: Origin<'a>, own_key: &'a str) -> Outgoing<'a> {
        let OutMessage { from, data, key, ephemeral, .. } = &self.message;
        let key = key.as_deref().unwrap_or(own_key);
        Outgoing { origin, from, key, ephemeral: *ephemeral, data: data.get() }
    }

    /// Bytes of the frame for each node that gets one, at most.
    pub(super) fn frames<'r>(&self, view: View<'r>) -> Vec<(&'r str, usize)> {
        let OutMessage { from, data, key, .. } = &self.message;
        let texts = FRAME_COST + data.get().len() + from.len() + key.as_ref().map_or(0, String::len);
        match &self.to {
            Recipients::Topics { names, .. } => {
                let there = view.split(names.iter().map(String::as_str)).there;
                let bytes = |names: &[&str]| names.iter().map(|name| name.len() + TOPIC_COST).sum::<usize>();
                there.into_iter().map(|(node, names)| (node, texts + bytes(&names))).collect()
            }
            Recipients::Everyone { matching } => {
                let texts = texts + matching.as_ref().map_or(0, String::len);
                view.ring.members().map(|member| (member.id.as_str(), texts)).collect()
            }
        }
    }
}

// === impl Recipients ===

impl Recipients {
    fn of(target: &Target) -> Self {
        let one = |name| Self::Topics { names: vec![name], several: false };
        match target {
            Target::User(user) => one(inbox(user)),
            Target::Group(name) => one(group(name)),
            Target::Users(users) => {
                Self::Topics { names: users.iter().map(|user| inbox(user)).collect(), several: true }
            }
            Target::All => Self::Everyone { matching: None },
            Target::Match(wanted) => {
                // Writing values cannot fail; if it did, what is no object matches nobody.
                Self::Everyone { matching: Some(serde_json::to_string(wanted).unwrap_or_default()) }
            }
        }
    }
}
