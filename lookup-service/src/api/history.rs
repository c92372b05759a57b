//! Pages of a group's history: what is asked for, what the log is asked, and what is answered. Pure.

use cluster::limits::{HISTORY_BYTES_MAX, HISTORY_LIMIT, HISTORY_LIMIT_MAX};
use cluster::log::{Cursor, Entry, Epoch, Page, Position, Read, ReadRequest, Topic};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::refusal::Refusal;
use crate::request::{decoded, pairs, set};

/// What a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HistoryRequest {
    epoch: Option<Epoch>,
    cursor: Cursor,
    limit: usize,
}

/// A page as it is answered.
#[derive(Debug, Serialize)]
pub(super) struct History<'a> {
    group: &'a str,
    /// `None`: nothing was ever written, or it was forgotten.
    epoch: Option<Epoch>,
    /// The newest offset.
    offset: u64,
    /// The lowest offset that the log holds.
    first: u64,
    entries: Vec<HistoryEntry<'a>>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<HistoryGap>,
    /// Whether the epoch that was asked for is gone.
    lost: bool,
}

#[derive(Debug, Serialize)]
struct HistoryEntry<'a> {
    offset: u64,
    from: &'a str,
    data: &'a RawValue,
    time: u64,
}

#[derive(Debug, Serialize)]
struct HistoryGap {
    after: u64,
    before: u64,
}

// === impl HistoryRequest ===

impl HistoryRequest {
    /// From `after=..` or `before=..`, `epoch=..` and `limit=..`, all optional; without a place the newest entries.
    ///
    /// # Errors
    /// [`Refusal::BadQuery`], [`Refusal::BadPage`].
    pub(super) fn from_query(query: &str) -> Result<Self, Refusal> {
        let (mut after, mut before, mut epoch, mut limit) = (None, None, None, None);
        for (name, value) in pairs(query) {
            match &*decoded(name)? {
                "after" => set(&mut after, value)?,
                "before" => set(&mut before, value)?,
                "epoch" => set(&mut epoch, value)?,
                "limit" => set(&mut limit, value)?,
                _ => {}
            }
        }
        let epoch = epoch.map(|text: String| Epoch::from_hex(&text).ok_or(Refusal::BadPage)).transpose()?;
        let cursor = match (number(after)?, number(before)?) {
            (Some(_), Some(_)) => return Err(Refusal::BadPage),
            (Some(after), None) => Cursor::After(after),
            (None, before) => Cursor::Before(before.unwrap_or(u64::MAX)),
        };
        let limit =
            number(limit)?.map_or(HISTORY_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if !(1..=HISTORY_LIMIT_MAX).contains(&limit) {
            return Err(Refusal::BadPage);
        }
        Ok(Self { epoch, cursor, limit })
    }

    /// What the log is asked.
    pub(super) fn of<'a>(&self, topic: Topic<'a>) -> ReadRequest<'a> {
        let Self { epoch, cursor, limit } = *self;
        ReadRequest { topic, epoch, cursor, count_max: limit, bytes_max: HISTORY_BYTES_MAX }
    }

    /// The answer out of what the log found.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if an entry is no JSON: then somebody else wrote to the log.
    pub(super) fn answer<'a>(&self, group: &'a str, read: &'a Read) -> Result<History<'a>, Refusal> {
        let empty = |position: Option<Position>, lost| History {
            group,
            epoch: position.map(|position| position.epoch),
            offset: position.map_or(0, |position| position.offset),
            first: position.map_or(0, |position| position.offset).saturating_add(1),
            entries: Vec::new(),
            more: false,
            gap: None,
            lost,
        };
        match read {
            // What was seen of an epoch that is not there any more is gone.
            Read::Absent => Ok(empty(None, self.epoch.is_some())),
            Read::OtherEpoch(position) | Read::RolledBack(position) => Ok(empty(Some(*position), true)),
            Read::Page(Page { position, first, entries, gap, more }) => Ok(History {
                first: *first,
                entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
                more: *more,
                gap: gap.map(|gap| HistoryGap { after: gap.after, before: gap.before }),
                ..empty(Some(*position), false)
            }),
        }
    }
}

fn entry(entry: &Entry) -> Result<HistoryEntry<'_>, Refusal> {
    let data = serde_json::from_slice(&entry.data).map_err(|_| Refusal::Internal)?;
    Ok(HistoryEntry { offset: entry.offset, from: &entry.from, data, time: entry.time_ms })
}

fn number(text: Option<String>) -> Result<Option<u64>, Refusal> {
    text.map(|text| text.parse().map_err(|_| Refusal::BadPage)).transpose()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cluster::log::Gap;
    use serde_json::json;

    use super::*;

    fn request(epoch: Option<u64>, cursor: Cursor, limit: usize) -> Result<HistoryRequest, Refusal> {
        Ok(HistoryRequest { epoch: epoch.map(Epoch::new), cursor, limit })
    }

    #[test]
    fn queries() {
        for (query, expected) in [
            ("", request(None, Cursor::Before(u64::MAX), 50)),
            ("service=dc&later=1", request(None, Cursor::Before(u64::MAX), 50)),
            ("after=0&limit=1000", request(None, Cursor::After(0), 1000)),
            ("before=7&epoch=00000000000000ff&limit=1", request(Some(255), Cursor::Before(7), 1)),
            ("after=1&before=7", Err(Refusal::BadPage)),
            ("after=-1", Err(Refusal::BadPage)),
            ("after=x", Err(Refusal::BadPage)),
            ("after=", Err(Refusal::BadPage)),
            ("after=18446744073709551616", Err(Refusal::BadPage)),
            ("limit=0", Err(Refusal::BadPage)),
            ("limit=1001", Err(Refusal::BadPage)),
            ("epoch=ff", Err(Refusal::BadPage)),
            ("after=1&after=1", Err(Refusal::BadQuery)),
            ("after=%", Err(Refusal::BadQuery)),
        ] {
            assert_eq!(HistoryRequest::from_query(query), expected, "{query}");
        }
    }

    #[test]
    fn what_the_log_finds_is_what_is_told() {
        let position = Position { epoch: Epoch::new(255), offset: 9 };
        let told = |query: &str, read: &Read| {
            serde_json::to_value(HistoryRequest::from_query(query).unwrap().answer("g", read).unwrap())
                .unwrap()
        };
        let entry = |data: &'static str| Entry {
            offset: 8,
            time_ms: 1_700_000_000_000,
            from: "alice".to_owned(),
            key: Some("k".to_owned()),
            data: Bytes::from_static(data.as_bytes()),
        };
        let page = |data| {
            let gap = Some(Gap { after: 3, before: 8 });
            Read::Page(Page { position, first: 8, entries: vec![entry(data)], gap, more: true })
        };
        assert_eq!(
            told("after=3", &page("{\"a\":1}")),
            json!({
                "group": "g", "epoch": "00000000000000ff", "offset": 9, "first": 8, "more": true, "lost": false,
                "gap": { "after": 3, "before": 8 },
                "entries": [{ "offset": 8, "from": "alice", "data": { "a": 1 }, "time": 1_700_000_000_000_u64 }]
            })
        );
        let nothing = json!({
            "group": "g", "epoch": null, "offset": 0, "first": 1, "more": false, "lost": false, "entries": []
        });
        assert_eq!(told("", &Read::Absent), nothing);
        for read in [Read::OtherEpoch(position), Read::RolledBack(position)] {
            let told = told("epoch=00000000000000fe", &read);
            assert_eq!(
                (&told["lost"], &told["offset"], &told["first"]),
                (&json!(true), &json!(9), &json!(10))
            );
        }
        assert_eq!(told("epoch=00000000000000fe", &Read::Absent)["lost"], true);
        let broken = page("{\"a\":");
        assert_eq!(
            HistoryRequest::from_query("").unwrap().answer("g", &broken).err(),
            Some(Refusal::Internal)
        );
    }
}
