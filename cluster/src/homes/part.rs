//! A part of what was asked for: the frame for one home, and who waits for the answer.

use bytes::Bytes;

use crate::maps::HashMap;

use super::Outcome;
use crate::log::Position;
use crate::wire::codes::ErrorCode;
use crate::wire::peer::{Audience, Publish, Question, ToHome, decode};
use crate::wire::topic::EVERYONE;

/// A message for some topics, or a question, with who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<W> {
    /// Who waits.
    pub waiter: W,
    /// A `Publish` or an `Ask`.
    pub frame: Bytes,
    /// Where its topics are in the frame that is out, if that has topics which have gone elsewhere since.
    pub(super) places: Option<Vec<u32>>,
    /// A home may have done it before, and the answer was lost.
    pub(super) doubtful: bool,
}

/// What became of a part that is no longer out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<W> {
    /// It is at home here now: its owner has to do it.
    Here(Part<W>),
    /// It was for every session of a node that is no longer a member: there is nobody to be told.
    Gone(Part<W>),
    /// It failed.
    Failed(Part<W>, ErrorCode),
}

// === impl Part ===

impl<W> Part<W> {
    pub(super) fn new(waiter: W, frame: Bytes) -> Self {
        Self { waiter, frame, places: None, doubtful: false }
    }

    /// The message, if it is one.
    pub fn publish(&self) -> Option<Publish<'_>> {
        match decode(&self.frame)? {
            ToHome::Publish(publish) => Some(publish),
            _ => None,
        }
    }

    /// The question, if it is one.
    pub fn question(&self) -> Option<Question<'_>> {
        match decode(&self.frame)? {
            ToHome::Ask { question, .. } => Some(question),
            _ => None,
        }
    }

    /// The message's topics; [`EVERYONE`] for one to every session of a node.
    pub fn topics(&self) -> Vec<&str> {
        match self.publish().map(|publish| publish.to) {
            Some(Audience::Topics(topics)) => topics,
            Some(Audience::Everyone { .. }) => vec![EVERYONE],
            None => Vec::new(),
        }
    }

    /// What its sender is told instead of `code`: that it was refused only if nobody can have done it.
    fn refusal(&self, code: ErrorCode) -> ErrorCode {
        if self.doubtful && code == ErrorCode::Overloaded { ErrorCode::Unavailable } else { code }
    }

    /// What each of the message's topics came to by its home's `Published`.
    pub fn outcomes(
        &self,
        online: u32,
        position: Option<Position>,
        failed: &[(u32, &str)],
    ) -> Vec<(&str, Outcome)> {
        let failed: HashMap<u32, &str> = failed.iter().copied().collect();
        // The sessions of all topics together: counted with the first one.
        let mut online = online;
        let outcome = |(index, topic)| {
            if let Some(code) = failed.get(&index) {
                // A code of a later version: the home did not do it.
                let code = ErrorCode::named(code).unwrap_or(ErrorCode::Unavailable);
                return (topic, Outcome::Failed(self.refusal(code)));
            }
            let online = std::mem::take(&mut online);
            let passed = Outcome::Passed { online };
            (topic, position.map_or(passed, |position| Outcome::Stored { online, position }))
        };
        let topics = self.topics();
        match &self.places {
            Some(places) => places.iter().copied().zip(topics).map(outcome).collect(),
            None => (0..).zip(topics).map(outcome).collect(),
        }
    }
}
