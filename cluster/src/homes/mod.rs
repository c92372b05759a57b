//! Other processes as homes: what one that uses them keeps of each link it dialled, of each message and question that
//! is not answered yet, and of each request whose topics have several homes. Pure: queues and `now` in, values out.
//!
//! - [`Homes`]: per node the link and what is out, in order; sent again on a new link, elsewhere on a new ring.
//! - [`Requests`]: one answer for whoever asked, when every topic has got its [`Outcome`].
//!
//! A node uses both, a lookup service too: it is at home nowhere.

mod calls;
mod given_up;
mod home;
mod part;
mod requests;
mod reroute;

use bytes::Bytes;

use crate::maps::HashMap;
use crate::ring::Ring;
use crate::wire::peer::{Audience, Publish, ToHome, encode};

pub use self::calls::{Homes, NotTaken};
pub use self::part::{Event, Part};
pub use self::requests::{Done, Outcome, RequestKey, Requests};
pub use self::reroute::split_question;

/// How long a message or a question waits for its home's answer, milliseconds.
pub const CALL_WAIT_MS: u64 = 5_000;

/// How long after it was taken a message may be sent to a home, milliseconds, be it again or for the first time; after that it
/// fails, and with it what its sender sent behind it to the same topics. A home may refuse what waits there for longer, and store what came behind it: if that answer is lost, sending
/// the message once more would store it behind them, and its sender would never have heard of an error. Less than homes wait, by more
/// than clocks that tick and processes that are starved are late.
pub const SEND_WITHIN_MS: u64 = 3_500;

/// Whether a message whose answer is due at `due_ms` must not be sent to a home any more ([`SEND_WITHIN_MS`]).
pub fn is_late(due_ms: u64, now_ms: u64) -> bool {
    due_ms <= now_ms + (CALL_WAIT_MS - SEND_WITHIN_MS)
}

/// Where a link's frames go: a bounded queue that never waits.
pub trait LinkSink: Send {
    /// Queues a frame; false if it could not.
    fn send(&self, frame: Bytes) -> bool;

    /// Whether it has ended, so that it takes nothing any more. Its owner is told soon ([`Homes::closed`]).
    fn has_ended(&self) -> bool;
}

/// The ring, as one process sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The ring it goes by.
    pub ring: &'a Ring,
    /// Its own id: topics at home there are here.
    pub me: &'a str,
}

/// Where a message entered the cluster, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The process.
    pub node: &'a str,
    /// That process's generation.
    pub generation: u64,
    /// The message's number: higher than any before.
    pub counter: u64,
}

/// A message on its way to its homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Where it entered the cluster.
    pub origin: Origin<'a>,
    /// The user who sent it.
    pub from: &'a str,
    /// What makes it the same one however often it comes: the sender's, or [`Origin::key`].
    pub key: &'a str,
    /// To be passed on only, and not stored.
    pub ephemeral: bool,
    /// Any JSON.
    pub data: &'a str,
}

/// Topics by where they are at home.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split<'r, 't> {
    /// Here.
    pub here: Vec<&'t str>,
    /// At other nodes, by id: one frame each.
    pub there: HashMap<&'r str, Vec<&'t str>>,
    /// Nowhere: the ring is empty.
    pub nowhere: Vec<&'t str>,
}

// === impl View ===

impl<'a> View<'a> {
    /// The id of the node that a topic is at home at.
    pub fn home(&self, topic: &str) -> Option<&'a str> {
        self.ring.home(self.ring.key().slot(topic)).map(|member| member.id.as_str())
    }

    /// Groups topics by their homes.
    pub fn split<'t>(&self, topics: impl IntoIterator<Item = &'t str>) -> Split<'a, 't> {
        let mut split = Split::default();
        for topic in topics {
            match self.home(topic) {
                None => split.nowhere.push(topic),
                Some(node) if node == self.me => split.here.push(topic),
                Some(node) => split.there.entry(node).or_default().push(topic),
            }
        }
        split
    }
}

// === impl Origin ===

impl Origin<'_> {
    /// The key of a message whose sender gave none. No client's key begins like it.
    pub fn key(&self) -> String {
        format!("\u{1}{}.{}-{}", self.node, self.generation, self.counter)
    }
}

// === impl Outgoing ===

impl<'a> Outgoing<'a> {
    /// The message that a frame holds.
    pub fn of(publish: &Publish<'a>) -> Self {
        let Publish { node, generation, counter, from, key, ephemeral, data, .. } = *publish;
        Self { origin: Origin { node, generation, counter }, from, key, ephemeral, data }
    }

    /// The frame that takes it to a home.
    fn frame(&self, call: u64, to: Audience<'a>) -> Bytes {
        let Self { origin, from, key, ephemeral, data } = *self;
        let Origin { node, generation, counter } = origin;
        encode(&ToHome::Publish(Publish { call, to, node, generation, counter, from, key, ephemeral, data }))
    }
}

#[cfg(test)]
mod tests;
