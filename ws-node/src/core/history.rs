//! Pages of a topic's past, for a session that asks.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::log::{Cursor, Epoch, LogError, Page, Read};
use cluster::wire::client::History;
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{Error, HistoryAck, NodeFrame, PastGap, PastMessage};
use cluster::wire::topic::inbox;
use serde_json::value::RawValue;

use super::again::Retry;
use super::feed::json_of;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// A page that was asked for.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) topic: Arc<str>,
    pub(super) epoch: Option<Epoch>,
    pub(super) cursor: Cursor,
    pub(super) limit: usize,
    pub(super) session: SessionKey,
    reference: Option<Box<RawValue>>,
}

/// The pages that a session asked for.
#[derive(Debug, Default)]
pub(super) struct Pages {
    waiting: VecDeque<Past>,
    /// One is being read, or waits for the next tick.
    busy: bool,
}

/// Pages that a session may wait for at once.
const PAGES_MAX: usize = 64;

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session asks for a page of its inbox or of a group.
    pub fn history(&mut self, key: SessionKey, history: &History<'_>, now: Now) {
        if !self.may_ask(key, history.reference, now) {
            return;
        }
        let topic = match &history.group {
            Some(group) if !self.may_join(key, group) => {
                return self.fail(key, history.reference, ErrorCode::Forbidden);
            }
            Some(group) => Arc::from(cluster::wire::topic::group(group)),
            None => match self.sessions.get(key) {
                Some(session) => Arc::from(inbox(&session.holder.user)),
                None => return,
            },
        };
        let past = Past {
            topic,
            epoch: history.epoch,
            cursor: history.cursor,
            limit: history.limit,
            session: key,
            reference: history.reference.map(ToOwned::to_owned),
        };
        match self.config.retentions.of(&past.topic) {
            Some(_) => self.queue_page(past),
            None => self.answer_past(&past, None, false),
        }
    }

    /// One page after the other, as the session's socket takes them.
    fn queue_page(&mut self, past: Past) {
        let key = past.session;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let pages = session.pages.get_or_insert_default();
        if pages.waiting.len() >= PAGES_MAX {
            return self.fail(key, past.reference.as_deref(), ErrorCode::Overloaded);
        }
        pages.waiting.push_back(past);
        self.next_page(key);
    }

    /// Reads the next page that a session asked for, if there is room for it.
    pub(super) fn next_page(&mut self, key: SessionKey) {
        let most = self.bytes_ahead();
        while let Some(session) = self.sessions.get_mut(key) {
            let Some(pages) = session.pages.as_mut().filter(|pages| !pages.busy) else { return };
            let Some(next) = pages.waiting.front() else {
                session.pages = None;
                return;
            };
            pages.busy = true;
            if session.sink.waiting_bytes() >= most {
                let topic = Arc::clone(&next.topic);
                return self.again.push(&topic, Retry::Pages(key));
            }
            let Some(past) = pages.waiting.pop_front() else { return };
            if self.read_page(past) {
                return;
            }
            self.page_done(key);
        }
    }

    /// A page was read, or the time has come to look for room again.
    pub(super) fn page_done(&mut self, key: SessionKey) {
        if let Some(pages) = self.sessions.get_mut(key).and_then(|session| session.pages.as_mut()) {
            pages.busy = false;
        }
    }

    /// The log gave the page, or did not; `Err(None)`: it could not even be asked.
    pub(super) fn past_read(&mut self, past: &Past, result: Result<Read, Option<LogError>>) {
        match result {
            Ok(Read::Page(page)) => self.answer_past(past, Some(&page), false),
            Ok(Read::Absent) => self.answer_past(past, None, past.epoch.is_some()),
            Ok(Read::OtherEpoch(position) | Read::RolledBack(position)) => {
                let first = position.offset.saturating_add(1);
                let page = Page { position, first, entries: Vec::new(), gap: None, more: false };
                self.answer_past(past, Some(&page), true);
            }
            Err(_) => {
                let Some(session) = self.sessions.get(past.session).filter(|session| session.is_open())
                else {
                    return;
                };
                let error = Error::new(past.reference.as_deref(), ErrorCode::LogUnavailable);
                session.push(&NodeFrame::Error(error));
            }
        }
    }

    fn answer_past(&mut self, past: &Past, page: Option<&Page>, lost: bool) {
        let Some(session) = self.sessions.get(past.session).filter(|session| session.is_open()) else {
            return;
        };
        let entries = page.map(|page| &*page.entries).unwrap_or_default();
        let null = RawValue::NULL;
        let entries: Vec<PastMessage<'_>> = entries
            .iter()
            .map(|entry| PastMessage {
                offset: entry.offset,
                from: &entry.from,
                data: serde_json::from_str(json_of(entry)).unwrap_or(null),
                time: entry.time_ms,
            })
            .collect();
        session.push(&NodeFrame::History(HistoryAck {
            reference: past.reference.as_deref(),
            topic: &past.topic,
            position: page.map(|page| page.position),
            first: page.filter(|_| !lost).map(|page| page.first),
            entries: &entries,
            more: page.is_some_and(|page| page.more),
            gap: page.and_then(|page| page.gap).map(|gap| PastGap { after: gap.after, before: gap.before }),
            lost,
        }));
    }
}
