//! Reads of the log that are out, and what became of them: missed entries, replays, pages of history.

use std::sync::Arc;

use cluster::limits;
use cluster::log::{Cursor, Epoch, LogError, Read};
use cluster::maps::HashMap;

use super::again::Retry;
use super::history::Past;
use super::log_port::LogRequest;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// Entries that one read asks for.
const ENTRIES_PER_READ: usize = 500;

/// Bytes that one read asks for: with what may wait for the session already, the most that is read ahead of its socket.
const BYTES_PER_READ: usize = 128 * 1024;

/// What an entry takes beside its data, about, in bytes.
const ENTRY_COST: usize = 256;

/// The reads that are out.
#[derive(Debug, Default)]
pub(super) struct Reads {
    last: u64,
    out: HashMap<u64, (Arc<str>, Reader)>,
}

/// Who reads.
#[derive(Debug)]
pub(super) enum Reader {
    /// The sessions of a topic that live entries were missed for.
    Heal,
    /// A session that arrives: is what it wants still there?
    Probe(SessionKey),
    /// A session that reads what it missed.
    Replay(SessionKey),
    /// A session that asked for a page.
    History(Box<Past>),
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Reads the entries of a topic above an offset. `None` if that could not be asked now: it is tried again.
    pub(super) fn read_after(
        &mut self,
        name: &str,
        epoch: Option<Epoch>,
        offset: u64,
        reader: Reader,
    ) -> Option<u64> {
        let bytes = self.bytes_ahead();
        let entries = ENTRIES_PER_READ.min(bytes / ENTRY_COST).max(1);
        let entries = if matches!(reader, Reader::Probe(_)) { 1 } else { entries };
        self.read(name, epoch, Cursor::After(offset), (entries, bytes), reader)
    }

    /// Reads a page of a topic for whoever asked; false if that could not be asked, and then it was told.
    pub(super) fn read_page(&mut self, past: Past) -> bool {
        let (name, epoch, cursor) = (Arc::clone(&past.topic), past.epoch, past.cursor);
        // Half of what may wait for a session, with what each entry takes beside its data.
        let bytes = limits::HISTORY_BYTES_MAX.min(self.bytes_ahead().saturating_mul(2));
        let entries = past.limit.min(2 * bytes / ENTRY_COST).max(1);
        self.read(&name, epoch, cursor, (entries, bytes), Reader::History(Box::new(past))).is_some()
    }

    /// Bytes that are read ahead of a session's socket; twice as much fits into half of its queue.
    pub(super) fn bytes_ahead(&self) -> usize {
        BYTES_PER_READ.min(self.config.outbound_bytes / 4)
    }

    fn read(
        &mut self,
        name: &str,
        epoch: Option<Epoch>,
        cursor: Cursor,
        (count_max, bytes_max): (usize, usize),
        who: Reader,
    ) -> Option<u64> {
        let topic = self.topics.name(name).unwrap_or_else(|| Arc::from(name));
        self.reads.last += 1;
        let (reader, slot) = (self.reads.last, self.slot(name));
        let request =
            LogRequest::Read { reader, topic: Arc::clone(&topic), slot, epoch, cursor, count_max, bytes_max };
        if self.log.submit(request).is_ok() {
            self.reads.out.insert(reader, (topic, who));
            return Some(reader);
        }
        self.again.note_full();
        match who {
            Reader::Heal => self.again.push(&topic, Retry::Heal),
            Reader::Probe(key) => self.again.push(&topic, Retry::Probe(key)),
            // It waits for its session's turn.
            Reader::Replay(_) => {}
            Reader::History(past) => self.past_read(&past, Err(None)),
        }
        None
    }

    /// The log answers a read.
    pub(super) fn read_done(&mut self, reader: u64, result: Result<Read, LogError>, now: Now) {
        let Some((topic, who)) = self.reads.out.remove(&reader) else { return };
        match who {
            Reader::Heal => self.healed(&topic, reader, result),
            Reader::Probe(key) => self.probed(key, &topic, reader, result, now),
            Reader::Replay(key) => {
                self.replay_read(key);
                self.replayed(key, &topic, reader, result);
                self.read_next(key);
            }
            Reader::History(past) => {
                let key = past.session;
                self.past_read(&past, result.map_err(Some));
                self.page_done(key);
                self.next_page(key);
            }
        }
    }
}

// === impl Reads ===

impl Reads {
    /// Whether nothing is out.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }
}
