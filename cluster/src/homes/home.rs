//! One home: its link, and what it has not answered yet, in order.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::given_up::GivenUp;
use super::{LinkSink, Part, is_late};
use crate::wire::peer::{ToHome, encode};

/// Bytes of unanswered calls that are kept for one home.
const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a kept call costs beside its frame, in bytes.
const CALL_COST: usize = 64;

/// A home.
#[derive(Debug)]
pub(super) struct Home<L, W> {
    pub(super) link: Option<(u64, L)>,
    /// Unanswered messages by number, which is the order they were sent in.
    messages: BTreeMap<u64, Call<W>>,
    /// Unanswered questions. They overtake messages and each other: asking twice does nothing twice.
    questions: BTreeMap<u64, Call<W>>,
    bytes: usize,
    /// It refused a message: nothing is sent until all that is out has come back, then everything again in order.
    refused: bool,
    /// Some messages are parked: whatever is new waits behind them.
    backlog: bool,
}

/// A message or a question that a home has not answered yet, ready to be sent again.
#[derive(Debug)]
pub(super) struct Call<W> {
    pub(super) part: Part<W>,
    pub(super) due_ms: u64,
    /// Not under way: refused, not taken by a full link, or held back behind such a one.
    pub(super) parked: bool,
}

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Question,
}

// === impl Home ===

impl<L, W> Default for Home<L, W> {
    fn default() -> Self {
        Self {
            link: None,
            messages: BTreeMap::new(),
            questions: BTreeMap::new(),
            bytes: 0,
            refused: false,
            backlog: false,
        }
    }
}

impl<L: LinkSink, W> Home<L, W> {
    /// A new link has refused nothing yet, and nothing was sent on it.
    pub(super) fn open(&mut self, link: u64, sink: L) {
        self.close();
        self.link = Some((link, sink));
    }

    pub(super) fn close(&mut self) {
        self.link = None;
        self.refused = false;
        self.backlog = !self.messages.is_empty();
        self.messages.values_mut().chain(self.questions.values_mut()).for_each(Call::come_back);
    }

    /// Whether a frame of so many bytes can still be kept.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes + CALL_COST <= CALL_BYTES_MAX
    }

    /// What everything that is out takes, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Sends a new message, or keeps it until it can be sent; false if the link is full. One that has ended is not full: the
    /// message waits for the next one, whether or not the end was told yet.
    pub(super) fn send(&mut self, number: u64, mut call: Call<W>) -> bool {
        let waits = self.backlog || self.refused || self.link.is_none();
        call.parked = waits || !self.offer(call.part.frame.clone());
        if call.parked && !waits && !self.has_ended() {
            return false;
        }
        self.backlog |= call.parked;
        self.keep(Kind::Message, number, call);
        true
    }

    /// Asks a new question, now or when the link takes it.
    pub(super) fn ask(&mut self, number: u64, mut call: Call<W>) {
        call.parked = !self.offer(call.part.frame.clone());
        self.keep(Kind::Question, number, call);
    }

    /// Sends a frame that is not kept; false without a link or if it is full.
    pub(super) fn offer(&self, frame: Bytes) -> bool {
        self.link.as_ref().is_some_and(|(_, sink)| sink.send(frame))
    }

    /// Sends what is parked, in order, as far as the link takes it.
    pub(super) fn pump(&mut self, now_ms: u64) {
        let Some((_, sink)) = &self.link else { return };
        if !send_parked(sink, self.questions.values_mut()) {
            return;
        }
        if self.refused {
            let all_back = self.messages.values().all(|call| call.parked);
            if !all_back || !sink.send(encode(&ToHome::Again)) {
                return;
            }
            self.refused = false;
        }
        // Nothing goes past one that is late: it is about to be given up, with what is behind it.
        let is_late = |call: &Call<W>| call.parked && call.is_late(now_ms);
        let late = self.messages.values().any(is_late);
        if self.backlog && send_parked(sink, self.messages.values_mut().take_while(|call| !is_late(call))) {
            self.backlog = late;
        }
    }

    /// It refused a message or a question.
    pub(super) fn not_home(&mut self, number: u64) {
        if let Some(question) = self.questions.get_mut(&number) {
            question.parked = true;
            return;
        }
        self.refused = true;
        if let Some(message) = self.messages.get_mut(&number) {
            message.parked = true;
            self.backlog = true;
        }
    }

    pub(super) fn keep(&mut self, kind: Kind, number: u64, call: Call<W>) {
        self.bytes += call.cost();
        self.calls(kind).insert(number, call);
    }

    pub(super) fn take(&mut self, kind: Kind, number: u64) -> Option<Call<W>> {
        let call = self.calls(kind).remove(&number)?;
        self.bytes -= call.cost();
        Some(call)
    }

    /// Everything that is out, messages in order.
    pub(super) fn take_all(&mut self) -> Vec<(Kind, u64, Call<W>)> {
        self.bytes = 0;
        let messages =
            std::mem::take(&mut self.messages).into_iter().map(|(n, call)| (Kind::Message, n, call));
        let questions = std::mem::take(&mut self.questions).into_iter();
        messages.chain(questions.map(|(n, call)| (Kind::Question, n, call))).collect()
    }

    /// What waited for too long for its answer, or for being sent, and what its senders sent behind it ([`GivenUp`]) as far as it was
    /// not sent yet. What was comes behind it at the home, too, or is lost with it.
    pub(super) fn take_overdue(&mut self, now_ms: u64) -> Vec<Call<W>> {
        let is_due = |call: &Call<W>| call.due_ms <= now_ms;
        let mut numbers = Vec::new();
        if self.messages.values().any(|call| is_due(call) || call.parked && call.is_late(now_ms)) {
            let mut given_up = GivenUp::default();
            for (number, call) in &self.messages {
                let Some(publish) = call.part.publish() else { continue };
                if is_due(call) || call.parked && (call.is_late(now_ms) || given_up.takes(&publish)) {
                    given_up.note(&publish);
                    numbers.push((Kind::Message, *number));
                }
            }
        }
        let questions = self.questions.iter().filter(|(_, call)| is_due(call));
        numbers.extend(questions.map(|(number, _)| (Kind::Question, *number)));
        numbers.into_iter().filter_map(|(kind, number)| self.take(kind, number)).collect()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.link.is_none() && self.messages.is_empty() && self.questions.is_empty()
    }

    fn has_ended(&self) -> bool {
        self.link.as_ref().is_some_and(|(_, sink)| sink.has_ended())
    }

    fn calls(&mut self, kind: Kind) -> &mut BTreeMap<u64, Call<W>> {
        match kind {
            Kind::Message => &mut self.messages,
            Kind::Question => &mut self.questions,
        }
    }
}

// === impl Call ===

impl<W> Call<W> {
    /// Its link has ended.
    fn come_back(&mut self) {
        self.part.doubtful |= !self.parked;
        self.parked = true;
    }

    /// Whether a message must not be sent any more.
    pub(super) fn is_late(&self, now_ms: u64) -> bool {
        is_late(self.due_ms, now_ms)
    }

    fn cost(&self) -> usize {
        self.part.frame.len() + CALL_COST
    }
}

/// Whether all of it went out.
fn send_parked<'c, W: 'c>(sink: &impl LinkSink, calls: impl Iterator<Item = &'c mut Call<W>>) -> bool {
    for call in calls.filter(|call| call.parked) {
        if !sink.send(call.part.frame.clone()) {
            return false;
        }
        call.parked = false;
        call.part.places = None;
    }
    true
}
