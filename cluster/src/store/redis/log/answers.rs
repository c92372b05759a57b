//! What the scripts in `lua/log_*.lua` answer, read strictly: what Redis holds is untrusted input.

use ::redis::Value;
use bytes::Bytes;

use crate::log::{
    Appended, Batch, Cursor, Entry, Epoch, LogError, Message, Opened, Position, Read, ReadRequest, page,
    rules,
};
use crate::ring::Version;

/// An answer in no known form.
pub(super) struct Malformed;

type Parsed<T> = Result<T, Malformed>;

/// The items of an answer, one after the other.
struct Items(std::vec::IntoIter<Value>);

pub(super) fn opened(value: Value) -> Parsed<Result<Opened, LogError>> {
    let mut items = Items::of(value)?;
    match items.verdict()? {
        Ok(()) => items.opened().map(Ok),
        Err(stale) => Ok(Err(stale)),
    }
}

/// What became of `messages`, those included that were not sent.
pub(super) fn batch(value: Value, messages: &[Message<'_>]) -> Parsed<Result<Batch, LogError>> {
    let mut items = Items::of(value)?;
    if let Err(stale) = items.verdict()? {
        return Ok(Err(stale));
    }
    let opened = items.opened()?;
    let time_ms = items.count()?;
    let mut one = |message| match rules::check_message(message) {
        Ok(()) => items.fate(opened.position.epoch),
        Err(error) => Ok(Err(error)),
    };
    let results = messages.iter().map(&mut one).collect::<Parsed<Vec<_>>>()?;
    Ok(Ok(Batch { opened, time_ms, results }))
}

pub(super) fn read(value: Value, request: &ReadRequest<'_>) -> Parsed<Read> {
    let mut items = Items::of(value)?;
    if items.is_empty() {
        return Ok(Read::Absent);
    }
    let Opened { position, first } = items.opened()?;
    if let Some(refused) = page::refuse(position, request) {
        return Ok(refused);
    }
    let mut entries = Vec::with_capacity(items.0.len() / 5);
    while !items.is_empty() {
        entries.push(items.entry()?);
    }
    let beyond = |entry: &Entry| match request.cursor {
        Cursor::After(offset) => entry.offset <= offset || entry.offset > position.offset,
        Cursor::Before(offset) => entry.offset >= offset,
    };
    entries.retain(|entry| !beyond(entry));
    Ok(Read::Page(page::assemble(position, first, entries, request.cursor)))
}

/// What is known of a topic, as far as it tells where it stands.
pub(super) fn position(value: Value) -> Parsed<Option<Position>> {
    if value == Value::Nil {
        return Ok(None);
    }
    let text = String::from_utf8(to_bytes(value)?).map_err(|_| Malformed)?;
    let mut fields = text.split(' ');
    let epoch = fields.next().and_then(Epoch::from_hex).ok_or(Malformed)?;
    let offset = fields.nth(2).and_then(|head| head.parse().ok()).ok_or(Malformed)?;
    Ok(Some(Position { epoch, offset }))
}

// === impl Items ===

impl Items {
    fn of(value: Value) -> Parsed<Self> {
        match value {
            Value::Array(items) => Ok(Self(items.into_iter())),
            _ => Err(Malformed),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    fn next(&mut self) -> Parsed<Value> {
        self.0.next().ok_or(Malformed)
    }

    fn count(&mut self) -> Parsed<u64> {
        to_count(self.next()?)
    }

    fn bytes(&mut self) -> Parsed<Vec<u8>> {
        to_bytes(self.next()?)
    }

    fn text(&mut self) -> Parsed<String> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// Whether the caller may be home.
    fn verdict(&mut self) -> Parsed<Result<(), LogError>> {
        match &self.bytes()?[..] {
            b"ok" => Ok(Ok(())),
            b"stale" => Ok(Err(LogError::StaleHome { highest: Version::from_u64(self.count()?) })),
            _ => Err(Malformed),
        }
    }

    /// Epoch, head, first entry kept.
    fn opened(&mut self) -> Parsed<Opened> {
        let position = Position { epoch: to_epoch(self.next()?)?, offset: self.count()? };
        Ok(Opened { position, first: self.count()? })
    }

    fn fate(&mut self, epoch: Epoch) -> Parsed<Result<Appended, LogError>> {
        let Value::Int(code) = self.next()? else { return Err(Malformed) };
        if code == 0 {
            return Ok(Err(LogError::KeyReused));
        }
        Ok(Ok(Appended { position: Position { epoch, offset: code.unsigned_abs() }, repeated: code < 0 }))
    }

    fn entry(&mut self) -> Parsed<Entry> {
        let id = self.text()?;
        let offset = id.strip_suffix("-0").and_then(|offset| offset.parse().ok()).ok_or(Malformed)?;
        let time_ms = self.count()?;
        let (from, key) = (self.text()?, self.text()?);
        let key = (!key.is_empty()).then_some(key);
        Ok(Entry { offset, time_ms, from, key, data: Bytes::from(self.bytes()?) })
    }
}

fn to_bytes(value: Value) -> Parsed<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(Malformed),
    }
}

fn to_count(value: Value) -> Parsed<u64> {
    match value {
        Value::Int(count) => u64::try_from(count).map_err(|_| Malformed),
        other => {
            let bytes = to_bytes(other)?;
            std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
        }
    }
}

fn to_epoch(value: Value) -> Parsed<Epoch> {
    let bytes = to_bytes(value)?;
    std::str::from_utf8(&bytes).ok().and_then(Epoch::from_hex).ok_or(Malformed)
}
