//! Messages that are given up take along what their senders sent behind them to the same topics.
//!
//! A sender that does not hear of it, since its connection is gone, sends all of them once more over another node; had the later ones
//! been stored meanwhile, the first would come behind them.

use crate::maps::{HashMap, HashSet};
use crate::wire::peer::{Audience, Publish};

/// The topics in which a durable message of a user was given up, by user.
#[derive(Debug, Default)]
pub(super) struct GivenUp(HashMap<String, HashSet<String>>);

// === impl GivenUp ===

impl GivenUp {
    /// Notes a message that is given up. One that is only passed on has no place to keep.
    pub(super) fn note(&mut self, publish: &Publish<'_>) {
        self.note_in(publish, topics(publish));
    }

    /// Notes a message that is given up in some of its topics.
    pub(super) fn note_in(&mut self, publish: &Publish<'_>, topics: &[&str]) {
        if publish.ephemeral {
            return;
        }
        if let Some(known) = self.0.get_mut(publish.from) {
            known.extend(topics.iter().map(|topic| (*topic).to_owned()));
        } else {
            self.0.insert(publish.from.to_owned(), topics.iter().map(|topic| (*topic).to_owned()).collect());
        }
    }

    /// Whether a later message comes behind one that is given up.
    pub(super) fn takes(&self, publish: &Publish<'_>) -> bool {
        let given_up = self.0.get(publish.from).filter(|_| !publish.ephemeral);
        given_up.is_some_and(|given_up| topics(publish).iter().any(|topic| given_up.contains(*topic)))
    }
}

fn topics<'p>(publish: &'p Publish<'_>) -> &'p [&'p str] {
    match &publish.to {
        Audience::Topics(topics) => topics,
        Audience::Everyone { .. } => &[],
    }
}
