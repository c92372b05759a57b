//! One topic's log as a value: `now` comes in, in milliseconds. The rules are those of the scripts in
//! `store/redis/lua`; the conformance suite holds the two together.

use std::collections::VecDeque;

use bytes::Bytes;

use super::keys::Keys;
use crate::log::rules::{self, Standing};
use crate::log::{
    Append, Appended, Batch, Cursor, Entry, Fence, LogConfig, LogError, Message, Open, Opened, Position,
    READ_BYTES_MAX, READ_COUNT_MAX, Read, ReadRequest, Retention, page,
};
use crate::planted::{self, Bug};

#[derive(Clone)]
pub(super) struct TopicLog {
    head: Position,
    highest: Fence,
    entries: VecDeque<Entry>,
    keys: Keys,
    /// When the entries leave, if nothing is appended.
    entries_expire: u64,
    /// When the keys do.
    keys_expire: u64,
    /// When the rest is forgotten.
    expires: u64,
}

// === impl TopicLog ===

impl TopicLog {
    /// A topic that begins in the epoch that its first home brings.
    pub(super) fn new(open: &Open<'_>) -> Self {
        Self {
            head: Position { epoch: open.fresh, offset: 0 },
            highest: open.fence,
            entries: VecDeque::new(),
            keys: Keys::default(),
            entries_expire: 0,
            keys_expire: 0,
            expires: u64::MAX,
        }
    }

    pub(super) fn position(&self) -> Position {
        self.head
    }

    /// Whether everything about it is forgotten.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.expires <= now
    }

    /// When something of it expires next.
    pub(super) fn deadline(&self) -> u64 {
        let entries = (!self.entries.is_empty()).then_some(self.entries_expire);
        let keys = (!self.keys.is_empty()).then_some(self.keys_expire);
        entries.into_iter().chain(keys).fold(self.expires, u64::min)
    }

    /// Lets entries and keys go whose time has come.
    pub(super) fn expire(&mut self, now: u64) {
        if self.entries_expire <= now {
            self.entries = VecDeque::new();
        }
        if self.keys_expire <= now {
            self.keys = Keys::default();
        }
    }

    /// Keeps epoch and head for so long, at least.
    pub(super) fn touch(&mut self, config: &LogConfig, now: u64) {
        let until = now + config.position_age_ms();
        self.expires = if self.expires == u64::MAX { until } else { self.expires.max(until) };
    }

    pub(super) fn open(&mut self, open: &Open<'_>, config: &LogConfig, now: u64) -> Result<Opened, LogError> {
        match rules::judge(self.head, self.highest, open.fence, open.known) {
            Standing::Stale => return Err(LogError::StaleHome { highest: self.highest.version }),
            Standing::Goes => {}
            Standing::Anew if planted::is(Bug::ReuseEpoch) => {
                let head = Position { offset: 0, ..self.head };
                *self = Self { highest: self.highest, head, ..Self::new(open) };
            }
            Standing::Anew => *self = Self { highest: self.highest, ..Self::new(open) },
        }
        self.highest.version = open.fence.version;
        self.highest.generation = self.highest.generation.max(open.fence.generation);
        self.expire(now);
        self.touch(config, now);
        Ok(self.opened())
    }

    pub(super) fn append(
        &mut self,
        append: &Append<'_>,
        config: &LogConfig,
        now: u64,
    ) -> Result<Batch, LogError> {
        self.open(&append.open, config, now)?;
        let before = self.head;
        let results = append.messages.iter().map(|message| self.add(message, config, now)).collect();
        if self.head != before {
            self.trim(append.retention, now);
            self.entries_expire = now + append.retention.age_ms();
            self.keys_expire = now + config.key_age_ms();
            self.expires = self.entries_expire + config.position_age_ms();
        }
        Ok(Batch { opened: self.opened(), time_ms: now, results })
    }

    pub(super) fn read(&self, request: &ReadRequest<'_>, now: u64) -> Read {
        if let Some(refused) = page::refuse(self.head, request) {
            return refused;
        }
        let held = if self.entries_expire <= now { 0 } else { self.entries.len() };
        let entries = self.entries.range(..held);
        let found = match request.cursor {
            Cursor::After(offset) => fill(entries.filter(|entry| entry.offset > offset), request),
            Cursor::Before(offset) => fill(entries.rev().filter(|entry| entry.offset < offset), request),
        };
        let first = self.head.offset + 1 - held as u64;
        Read::Page(page::assemble(self.head, first, found, request.cursor))
    }

    fn opened(&self) -> Opened {
        Opened { position: self.head, first: self.head.offset + 1 - self.entries.len() as u64 }
    }

    fn add(&mut self, message: &Message<'_>, config: &LogConfig, now: u64) -> Result<Appended, LogError> {
        rules::check_message(message)?;
        let position = |offset| Position { epoch: self.head.epoch, offset };
        let next = position(self.head.offset + 1);
        if let Some(key) = message.key {
            let (key, data) = (rules::key_digest(message.from, key), rules::data_digest(message.data));
            let seen = self.keys.find(&key, self.head.offset, config, now);
            match seen.filter(|_| !planted::is(Bug::SendTwice)) {
                Some(seen) if seen.data == data => {
                    return Ok(Appended { position: position(seen.offset), repeated: true });
                }
                Some(_) => return Err(LogError::KeyReused),
                None => self.keys.remember(key, data, next.offset, now),
            }
        }
        self.head = next;
        self.entries.push_back(Entry {
            offset: next.offset,
            time_ms: now,
            from: message.from.to_owned(),
            key: message.key.map(str::to_owned),
            data: Bytes::copy_from_slice(message.data),
        });
        Ok(Appended { position: next, repeated: false })
    }

    fn trim(&mut self, retention: Retention, now: u64) {
        let over = self.entries.len().saturating_sub(retention.count() as usize);
        self.entries.drain(..over);
        let aged = |entry: &Entry| entry.time_ms + retention.age_ms() <= now;
        while self.entries.front().is_some_and(aged) {
            self.entries.pop_front();
        }
    }
}

/// As many entries as the request takes.
fn fill<'a>(entries: impl Iterator<Item = &'a Entry>, request: &ReadRequest<'_>) -> Vec<Entry> {
    let (count_max, bytes_max) =
        (request.count_max.clamp(1, READ_COUNT_MAX), request.bytes_max.min(READ_BYTES_MAX));
    let mut bytes = 0;
    let fits = |(at, entry): &(usize, &'a Entry)| {
        bytes += entry.data.len();
        *at == 0 || bytes <= bytes_max
    };
    entries.take(count_max).enumerate().take_while(fits).map(|(_, entry)| entry.clone()).collect()
}
