//! Pages: what of the entries that a store found is told to a reader, and what is missing.

use super::contract::{Cursor, Entry, Gap, Page, Read, ReadRequest};
use super::types::Position;

/// What a reader is told before any entry is looked at, if that is all.
pub(crate) fn refuse(position: Position, request: &ReadRequest<'_>) -> Option<Read> {
    let epoch = request.epoch?;
    match request.cursor {
        _ if epoch != position.epoch => Some(Read::OtherEpoch(position)),
        Cursor::After(offset) if offset > position.offset => Some(Read::RolledBack(position)),
        Cursor::After(_) | Cursor::Before(_) => None,
    }
}

/// The page of `entries`, found in the direction of `cursor` in a log that stands at `position` and holds entries from
/// `first` on. A hole among them, which only a stranger's hand can make, ends the page: the next one begins with it.
pub(crate) fn assemble(position: Position, first: u64, mut entries: Vec<Entry>, cursor: Cursor) -> Page {
    let follows = |pair: &[Entry]| match cursor {
        Cursor::After(_) => pair[0].offset.checked_add(1) == Some(pair[1].offset),
        Cursor::Before(_) => pair[1].offset.checked_add(1) == Some(pair[0].offset),
    };
    if let Some(hole) = entries.windows(2).position(|pair| !follows(pair)) {
        entries.truncate(hole + 1);
    }
    let (begin, end) = (entries.first().map(|entry| entry.offset), entries.last().map(|entry| entry.offset));
    let (gap, more) = match cursor {
        Cursor::After(after) => {
            let before = begin.unwrap_or(position.offset.saturating_add(1));
            (gap(after, before), end.is_some_and(|end| end < position.offset))
        }
        Cursor::Before(before) => {
            let before = before.min(position.offset.saturating_add(1));
            (gap(begin.unwrap_or(0), before), end.is_some_and(|end| end > first))
        }
    };
    Page { position, first, entries, gap, more }
}

fn gap(after: u64, before: u64) -> Option<Gap> {
    (after.saturating_add(1) < before).then_some(Gap { after, before })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::types::Epoch;
    use super::*;

    fn page(head: u64, first: u64, offsets: &[u64], cursor: Cursor) -> (Vec<u64>, Option<(u64, u64)>, bool) {
        let entry = |offset: &u64| Entry {
            offset: *offset,
            time_ms: 0,
            from: String::new(),
            key: None,
            data: Bytes::new(),
        };
        let position = Position { epoch: Epoch::new(1), offset: head };
        let page = assemble(position, first, offsets.iter().map(entry).collect(), cursor);
        let offsets = page.entries.iter().map(|entry| entry.offset).collect();
        (offsets, page.gap.map(|gap| (gap.after, gap.before)), page.more)
    }

    #[test]
    fn upwards() {
        assert_eq!(page(9, 1, &[4, 5], Cursor::After(3)), (vec![4, 5], None, true));
        assert_eq!(page(9, 8, &[8, 9], Cursor::After(3)), (vec![8, 9], Some((3, 8)), false));
        assert_eq!(page(9, 10, &[], Cursor::After(3)), (vec![], Some((3, 10)), false));
        assert_eq!(page(9, 10, &[], Cursor::After(9)), (vec![], None, false));
        assert_eq!(page(9, 1, &[4, 6, 7], Cursor::After(3)), (vec![4], None, true), "a hole");
        assert_eq!(page(0, 1, &[], Cursor::After(0)), (vec![], None, false));
    }

    #[test]
    fn downwards() {
        assert_eq!(page(9, 1, &[9, 8], Cursor::Before(u64::MAX)), (vec![9, 8], None, true));
        assert_eq!(page(9, 8, &[9, 8], Cursor::Before(u64::MAX)), (vec![9, 8], None, false));
        assert_eq!(page(9, 8, &[], Cursor::Before(6)), (vec![], Some((0, 6)), false));
        assert_eq!(page(9, 10, &[], Cursor::Before(u64::MAX)), (vec![], Some((0, 10)), false));
        assert_eq!(page(9, 1, &[5, 3], Cursor::Before(6)), (vec![5], None, true), "a hole");
        assert_eq!(page(9, 1, &[], Cursor::Before(1)), (vec![], None, false));
    }
}
