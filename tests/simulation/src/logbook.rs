//! What the log did, by somebody who sees every call: which number stands at which place. It judges the log's own rules,
//! and tells others whether what they were told of is there.

use std::collections::{BTreeMap, BTreeSet};

use cluster::log::{Append, Batch, Epoch, Fence, Open, Position};

use crate::shared::Life;

/// How long after the log lost something of a topic everybody has come to terms with it, milliseconds.
const SETTLED_MS: u64 = 5_000;

/// All topics.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogBook {
    topics: BTreeMap<String, Shelf>,
    /// Places that were filled and then lost, with what was there.
    lost: BTreeSet<(String, u64, u64, u64)>,
    /// How often the log lost something.
    pub(crate) losses: u64,
    /// The time of the run, milliseconds.
    pub(crate) now_ms: u64,
    /// When something of a topic was lost last, or it began anew.
    disturbed: BTreeMap<String, u64>,
    /// All that was ever stored, by topic and number.
    ever: BTreeSet<(String, u64)>,
}

/// One topic.
#[derive(Debug, Clone)]
struct Shelf {
    head: Position,
    highest: Fence,
    /// Who wrote under which version of the ring.
    writers: BTreeMap<u64, usize>,
    /// The numbers of this epoch, by offset.
    entries: BTreeMap<u64, u64>,
    /// When each entry was appended, ascending.
    times: Vec<u64>,
    losses: u64,
}

impl LogBook {
    /// A home opened a topic.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn opened(&mut self, life: Life, open: &Open<'_>, at: Position) -> Result<(), String> {
        self.enter(life, open, at, at.offset)
    }

    /// A home appended to it.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn appended(&mut self, life: Life, append: &Append<'_>, batch: &Batch) -> Result<(), String> {
        let new =
            |result: &&Result<cluster::log::Appended, _>| result.as_ref().is_ok_and(|new| !new.repeated);
        let (name, head) = (append.open.topic.name, batch.opened.position);
        let count = batch.results.iter().filter(new).count() as u64;
        self.enter(life, &append.open, head, head.offset.saturating_sub(count))?;
        let Some(shelf) = self.topics.get_mut(name) else { return Ok(()) };
        if count > 0 {
            let writer = *shelf.writers.entry(append.open.fence.version.as_u64()).or_insert(life.place);
            if writer != life.place {
                let version = append.open.fence.version;
                return Err(format!("n{writer} and {life} both write {name} as its home by ring {version}"));
            }
        }
        for (message, result) in append.messages.iter().zip(&batch.results) {
            let Ok(appended) = result else { continue };
            let (at, number) = (appended.position, number_of(message.data));
            if appended.repeated {
                continue;
            }
            if at.offset != shelf.head.offset + 1 {
                return Err(format!("{name} goes on at {at:?} behind {:?}", shelf.head));
            }
            if let Some((offset, _)) = shelf.entries.iter().find(|(_, other)| **other == number) {
                return Err(format!("{number} is in {name} twice, at {offset} and {}", at.offset));
            }
            self.ever.insert((name.to_owned(), number));
            shelf.entries.insert(at.offset, number);
            shelf.times.push(batch.time_ms);
            shelf.head = at;
        }
        Ok(())
    }

    /// Whether this number stands at this place, or did before it was lost.
    pub(crate) fn holds(&self, topic: &str, at: Position, number: u64) -> bool {
        let shelf = self.topics.get(topic).filter(|shelf| shelf.head.epoch == at.epoch);
        shelf.is_some_and(|shelf| shelf.entries.get(&at.offset) == Some(&number))
            || self.lost.contains(&(topic.to_owned(), at.epoch.as_u64(), at.offset, number))
    }

    /// Whether a number was ever stored in a topic.
    pub(crate) fn ever_held(&self, topic: &str, number: u64) -> bool {
        self.ever.contains(&(topic.to_owned(), number))
    }

    /// Where a topic stands.
    pub(crate) fn head(&self, topic: &str) -> Option<Position> {
        self.topics.get(topic).map(|shelf| shelf.head)
    }

    /// Where a topic stood at this time of the store's clock, if it has gone on in the same epoch since.
    pub(crate) fn head_at(&self, topic: &str, unix_ms: u64) -> Option<Position> {
        let shelf = self.topics.get(topic)?;
        let later = shelf.times.iter().rev().take_while(|time_ms| **time_ms > unix_ms).count() as u64;
        Some(Position { offset: shelf.head.offset - later, ..shelf.head })
    }

    /// Whether this number was lost somewhere in a topic.
    pub(crate) fn was_lost(&self, topic: &str, at: Position) -> bool {
        let from = (topic.to_owned(), at.epoch.as_u64(), at.offset, 0);
        let to = (topic.to_owned(), at.epoch.as_u64(), at.offset, u64::MAX);
        self.lost.range(from..=to).next().is_some()
    }

    /// Whether nothing can be missing of a topic behind a place, or from its beginning: the log holds that place, never lost
    /// what was there, and has lost nothing of the topic lately.
    pub(crate) fn keeps(&self, topic: &str, at: Option<Position>) -> bool {
        let Some(shelf) = self.topics.get(topic) else { return self.losses == 0 };
        let settled = |at_ms: &u64| self.now_ms >= at_ms + SETTLED_MS;
        let holds = |at: Position| {
            at.epoch == shelf.head.epoch && at.offset <= shelf.head.offset && !self.was_lost(topic, at)
        };
        self.disturbed.get(topic).is_none_or(settled) && at.is_none_or(holds)
    }

    /// The log goes back to what it was at the time of `copy`; to nothing without one.
    pub(crate) fn rolled_back(&mut self, copy: Option<&Self>) {
        let before = std::mem::take(&mut self.topics);
        self.losses += 1;
        for (name, shelf) in &before {
            let kept = copy.and_then(|copy| copy.topics.get(name));
            let kept =
                kept.filter(|kept| kept.head.epoch == shelf.head.epoch).map_or(0, |kept| kept.head.offset);
            self.lose(name, shelf, kept);
            self.disturbed.insert(name.clone(), self.now_ms);
        }
        self.topics = copy.map(|copy| copy.topics.clone()).unwrap_or_default();
    }

    /// Somebody comes to a topic as its home and finds it there; `before` is its head without what he brings.
    fn enter(&mut self, life: Life, open: &Open<'_>, at: Position, before: u64) -> Result<(), String> {
        let (name, losses) = (open.topic.name, self.losses);
        let found = Position { offset: before, ..at };
        if let Some(known) = open.known.filter(|known| known.epoch == at.epoch && known.offset > before) {
            return Err(format!("{name} goes on at {found:?} although {life} knows of {known:?}"));
        }
        let Some(shelf) = self.topics.get_mut(name) else {
            self.topics.insert(name.to_owned(), Shelf::new(open.fence, found, losses));
            return Ok(());
        };
        if open.fence.version < shelf.highest.version {
            let (version, highest) = (open.fence.version, shelf.highest.version);
            return Err(format!("{life} opened {name} by ring {version} after somebody did by {highest}"));
        }
        if shelf.head.epoch == at.epoch {
            if shelf.head.offset != before {
                return Err(format!("{name} is at {found:?} and was at {:?}", shelf.head));
            }
            shelf.highest.version = open.fence.version;
            shelf.highest.generation = shelf.highest.generation.max(open.fence.generation);
            shelf.losses = losses;
            return Ok(());
        }
        let generation = open.fence.generation > shelf.highest.generation;
        let rolled_back = open
            .known
            .is_some_and(|known| known.epoch == shelf.head.epoch && known.offset > shelf.head.offset);
        if !generation && !rolled_back && shelf.losses == losses {
            return Err(format!("{name} begins anew at {found:?} after {:?} for no reason", shelf.head));
        }
        let old = std::mem::replace(shelf, Shelf::new(open.fence, found, losses));
        self.disturbed.insert(name.to_owned(), self.now_ms);
        self.lose(name, &old, 0);
        Ok(())
    }

    fn lose(&mut self, name: &str, shelf: &Shelf, kept: u64) {
        let gone = shelf.entries.range(kept + 1..);
        let epoch = shelf.head.epoch.as_u64();
        self.lost.extend(gone.map(|(offset, number)| (name.to_owned(), epoch, *offset, *number)));
    }
}

// === impl Shelf ===

impl Shelf {
    fn new(highest: Fence, head: Position, losses: u64) -> Self {
        Self { head, highest, writers: BTreeMap::new(), entries: BTreeMap::new(), times: Vec::new(), losses }
    }
}

/// The number that is a message's data.
pub(crate) fn number_of(data: &[u8]) -> u64 {
    std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// An epoch as clients write it.
pub(crate) fn epoch_of(text: &str) -> Option<Epoch> {
    Epoch::from_hex(text)
}
