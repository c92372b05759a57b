//! All homes: what is sent to each, and what comes back.

use bytes::Bytes;

use crate::maps::HashMap;

use super::home::{Call, Home, Kind};
use super::{Event, LinkSink, Outgoing, Part, View};
use crate::wire::codes::ErrorCode;
use crate::wire::peer::{Audience, Question, ToHome, encode};

/// Every node that a process uses as a home, by id. `W` names who waits for an answer.
#[derive(Debug)]
pub struct Homes<L, W> {
    nodes: HashMap<String, Home<L, W>>,
    /// The last number given to a message or a call. Never goes back, also over generations.
    number: u64,
    /// When it was asked last what is overdue, milliseconds.
    pub(super) now_ms: u64,
}

/// Why a message or a question was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// Too much waits for this home already.
    Backlog,
    /// The link's queue is full.
    LinkFull,
}

// === impl Homes ===

impl<L, W> Default for Homes<L, W> {
    fn default() -> Self {
        Self { nodes: HashMap::default(), number: 0, now_ms: 0 }
    }
}

impl<L: LinkSink, W: Copy> Homes<L, W> {
    /// A number for a message or a call, higher than any before.
    pub fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The link to a node stands. Call [`Homes::pump`] or [`Homes::pump_home`] when what must go first has gone.
    pub fn opened(&mut self, node: &str, link: u64, sink: L) {
        self.entry(node).open(link, sink);
    }

    /// A link is gone: what is unanswered waits for the next one. Answers whether it was the node's present link.
    pub fn closed(&mut self, node: &str, link: u64) -> bool {
        let Some(home) = self.nodes.get_mut(node) else { return false };
        let present = home.link.as_ref().is_some_and(|(open, _)| *open == link);
        if present {
            home.close();
        }
        present
    }

    /// Whether there is a link to a node.
    pub fn is_open(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|home| home.link.is_some())
    }

    /// Sends a frame that nobody keeps; false without a link or if it is full.
    pub fn offer(&self, node: &str, frame: Bytes) -> bool {
        self.nodes.get(node).is_some_and(|home| home.offer(frame))
    }

    /// Whether a message or a question of so many bytes could be kept for a node now.
    pub fn has_room(&self, node: &str, bytes: usize) -> bool {
        self.nodes.get(node).is_none_or(|home| home.has_room(bytes))
    }

    /// What all that is out takes, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.nodes.values().map(Home::waiting_bytes).sum()
    }

    /// Sends a message to a node, or keeps it until it can be sent.
    ///
    /// # Errors
    /// What has no room.
    pub fn publish(
        &mut self,
        node: &str,
        message: &Outgoing<'_>,
        to: Audience<'_>,
        waiter: W,
        due_ms: u64,
    ) -> Result<(), NotTaken> {
        let number = self.next_number();
        let part = Part::new(waiter, message.frame(number, to));
        self.send(node, number, Call { part, due_ms, parked: false })
    }

    pub(super) fn send(&mut self, node: &str, number: u64, call: Call<W>) -> Result<(), NotTaken> {
        let home = self.entry(node);
        if !home.has_room(call.part.frame.len()) {
            return Err(NotTaken::Backlog);
        }
        if home.send(number, call) { Ok(()) } else { Err(NotTaken::LinkFull) }
    }

    /// Asks a node something, now or when it can be asked, and again elsewhere if that is no longer the home.
    ///
    /// # Errors
    /// [`NotTaken::Backlog`].
    pub fn ask(
        &mut self,
        node: &str,
        question: Question<'_>,
        waiter: W,
        due_ms: u64,
    ) -> Result<(), NotTaken> {
        let number = self.next_number();
        let frame = encode(&ToHome::Ask { call: number, question });
        let home = self.entry(node);
        if !home.has_room(frame.len()) {
            return Err(NotTaken::Backlog);
        }
        home.ask(number, Call { part: Part::new(waiter, frame), due_ms, parked: false });
        Ok(())
    }

    /// Takes out the message that a `Published` answers.
    pub fn published(&mut self, node: &str, call: u64) -> Option<Part<W>> {
        self.nodes.get_mut(node)?.take(Kind::Message, call).map(|call| call.part)
    }

    /// Takes out the question that an `Answered` answers.
    pub fn answered(&mut self, node: &str, call: u64) -> Option<Part<W>> {
        self.nodes.get_mut(node)?.take(Kind::Question, call).map(|call| call.part)
    }

    /// A node refused a message or a question.
    pub fn not_home(&mut self, node: &str, call: u64) {
        self.entry(node).not_home(call);
    }

    /// Sends what could not be sent before, and begins again with homes that refused a message. Call it now and then.
    pub fn pump(&mut self) {
        self.nodes.values_mut().for_each(|home| home.pump(self.now_ms));
    }

    /// The same for one home.
    pub fn pump_home(&mut self, node: &str) {
        if let Some(home) = self.nodes.get_mut(node) {
            home.pump(self.now_ms);
        }
    }

    /// Gives up on what was not answered in time.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Event<W>> {
        self.now_ms = now_ms;
        let overdue = self.nodes.values_mut().flat_map(|home| home.take_overdue(now_ms));
        overdue.map(|call| Event::Failed(call.part, ErrorCode::Unavailable)).collect()
    }

    pub(super) fn nodes(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    pub(super) fn entry(&mut self, node: &str) -> &mut Home<L, W> {
        self.nodes.entry(node.to_owned()).or_default()
    }

    /// Forgets nodes that are no members, as far as nothing is out at them.
    pub(super) fn retain_members(&mut self, view: View<'_>) {
        self.nodes.retain(|node, home| !home.is_idle() || view.ring.member(node).is_some());
    }
}

// === impl NotTaken ===

impl NotTaken {
    /// What the sender is told.
    pub fn code(self) -> ErrorCode {
        ErrorCode::Overloaded
    }
}
