//! What the nodes of the checker answer to a client's frames.

use std::collections::{BTreeMap, BTreeSet};

use cluster::limits;
use cluster::log::Position;
use cluster::ring::{Signature, Version};
use cluster::tokens::random_id;
use cluster::wire::client::Since;
use cluster::wire::codes::{CloseCode, ErrorCode};
use cluster::wire::node::{
    Ack, Error, GroupAck, Limits, MoveReason, Moved, NodeFrame, Recovery, RingPosition, Standing, Topics,
    Welcome,
};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Item, World, protocols};
use crate::conformance::heard::{self};
use crate::conformance::record::{ConnId, Echo, Heard, Ms, Said, What};

/// A connection of the client.
pub(super) struct Session {
    pub(super) node: &'static str,
    pub(super) name: String,
    /// `welcome` was said.
    pub(super) welcomed: bool,
    pub(super) detached: bool,
    pub(super) closing: bool,
    pub(super) topics: BTreeSet<String>,
    /// Topics that wait for the log, and what was asked for of them.
    pub(super) pending: BTreeMap<String, Option<Since>>,
    /// Sends that are not answered before `detach`.
    held: Vec<(Option<String>, Option<String>)>,
}

// === impl Session ===

impl Session {
    pub(super) fn new(node: &'static str) -> Self {
        Self {
            node,
            name: random_id(),
            welcomed: false,
            detached: false,
            closing: false,
            topics: BTreeSet::new(),
            pending: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    /// Whether messages reach it.
    pub(super) fn is_live(&self) -> bool {
        self.welcomed && !self.detached && !self.closing
    }
}

// === impl World ===

impl World {
    /// The newest connection that has its `welcome` and is open, from `first` on.
    pub(in crate::conformance) fn live(&self, first: ConnId) -> Option<ConnId> {
        let mut open = self.sessions.range(first..).rev();
        open.find(|(_, session)| session.is_live()).map(|(conn, _)| *conn)
    }

    /// Whether a connection is open, from `first` on and before `end`.
    pub(in crate::conformance) fn open(&self, first: ConnId, end: ConnId) -> bool {
        self.sessions.range(first..end.max(first)).next().is_some()
    }

    /// The number that the next connection gets.
    pub(in crate::conformance) fn next_conn(&self) -> ConnId {
        self.last + 1
    }

    /// A text frame came.
    pub(in crate::conformance) fn heard(&mut self, conn: ConnId, text: &str, now: Ms) {
        if self.record.is_full() {
            return self.close(conn, CloseCode::RateLimit.code(), CloseCode::RateLimit.reason(), now);
        }
        let Some(session) = self.sessions.get(&conn) else { return };
        let (welcomed, over) = (session.welcomed, session.closing || session.detached);
        let heard = match heard::read(text) {
            Ok(heard) => heard,
            Err(what) => return self.wrong(conn, what, now),
        };
        self.record.add(now, What::Heard { conn, heard: heard.clone() });
        match heard {
            _ if over => {}
            Heard::Hello { resume, .. } if !welcomed => self.welcome(conn, &resume, now),
            Heard::Pong | Heard::Unknown => {}
            Heard::Hello { .. } => self.refuse(conn, "hello_expected", now),
            _ if !welcomed => self.refuse(conn, "hello_expected", now),
            Heard::Send { reference, key, echo, .. } => self.sent(conn, reference, key, echo.as_ref(), now),
            Heard::Request { reference, group, joins } => self.requested(conn, reference, group, joins),
            Heard::Detach => self.detach(conn, now),
        }
    }

    /// What came breaks the protocol.
    pub(in crate::conformance) fn wrong(&mut self, conn: ConnId, what: String, now: Ms) {
        let code = ErrorCode::named(&what).unwrap_or(ErrorCode::BadFrame);
        self.record.add(now, What::Wrong { conn, what });
        self.fail(conn, code, now);
    }

    /// Says something that the protocol does not have.
    pub(in crate::conformance) fn say_unknown(&mut self, conn: ConnId, now: Ms) {
        self.record.add(now, What::Said { conn, said: Said::Unknown });
        let text = r#"{"op":"x_later","ref":"1","topic":"u:nobody","offset":-1,"deep":{"a":[null]}}"#;
        self.out.push((conn, Item::Text(text.to_owned())));
    }

    /// Says `ping`.
    pub(in crate::conformance) fn ping(&mut self, conn: ConnId, now: Ms) {
        self.record.add(now, What::Said { conn, said: Said::Ping });
        self.say(conn, &NodeFrame::Ping);
    }

    /// The application's token has ended.
    pub(in crate::conformance) fn end_token(&mut self, conn: ConnId, now: Ms) {
        self.fail(conn, ErrorCode::TokenExpired, now);
    }

    /// Asks the client to move to `node`, which is at `url`.
    pub(in crate::conformance) fn ask_to_move(
        &mut self,
        conn: ConnId,
        (node, url): (&'static str, &str),
        spread_ms: Ms,
        now: Ms,
        now_s: u64,
    ) {
        let ticket = self.ticket(node, &[], now_s);
        self.record.add(now, What::Said { conn, said: Said::Moved { node, spread_ms } });
        let moved = Moved {
            node,
            url,
            protocols: protocols(&ticket),
            deadline_ms: 8_000,
            spread_ms,
            reason: MoveReason::Home,
        };
        self.say(conn, &NodeFrame::Moved(moved));
    }

    pub(super) fn say(&mut self, conn: ConnId, frame: &NodeFrame<'_>) {
        self.out.push((conn, Item::Text(frame.to_json())));
    }

    /// An error by its name, and the close that follows it.
    pub(super) fn refuse(&mut self, conn: ConnId, name: &str, now: Ms) {
        self.fail(conn, ErrorCode::named(name).unwrap_or(ErrorCode::BadFrame), now);
    }

    fn fail(&mut self, conn: ConnId, code: ErrorCode, now: Ms) {
        self.say(conn, &NodeFrame::Error(Error::new(None, code)));
        if let Some(close) = code.close() {
            self.close(conn, close.code(), close.reason(), now);
        }
    }

    fn welcome(&mut self, conn: ConnId, resume: &BTreeMap<String, Since>, now: Ms) {
        let own = self.own_topics();
        let Some(session) = self.sessions.get(&conn) else { return };
        let (node, name) = (session.node, session.name.clone());
        let waits = self.script.pending == Some(node);
        let mut topics = Vec::new();
        for topic in &own {
            let since = resume.get(topic).copied();
            let pending = waits && *topic == own[0];
            let standing = if pending {
                Standing::In { position: None, recovered: Recovery::Pending }
            } else {
                self.standing(topic, since).0
            };
            topics.push((topic.as_str(), standing));
            let Some(session) = self.sessions.get_mut(&conn) else { return };
            if pending {
                session.pending.insert(topic.clone(), since);
            } else {
                session.topics.insert(topic.clone());
            }
        }
        // Before it too: nobody may be confused by an op of a later version.
        self.say_unknown(conn, now);
        let text = self.welcome_text(&name, node, &topics);
        let head = |standing: &Standing| match standing {
            Standing::In { position, .. } => *position,
            Standing::Refused { .. } => None,
        };
        let topics = topics.iter().map(|(topic, standing)| ((*topic).to_owned(), head(standing))).collect();
        self.record.add(now, What::Said { conn, said: Said::Welcome { session: name, topics } });
        self.out.push((conn, Item::Text(text)));
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.welcomed = true;
        }
        for topic in own.iter().skip(usize::from(waits)) {
            self.replay(conn, topic, resume.get(topic).copied(), now);
        }
    }

    fn welcome_text(&self, session: &str, node: &str, topics: &[(&str, Standing)]) -> String {
        let welcome = Welcome {
            session,
            user: &self.user,
            node,
            ring: RingPosition { version: Version { term: 1, number: 1 }, signature: Signature::new(1) },
            heartbeat_ms: 25_000,
            retry_spread_ms: self.script.pace.2,
            limits: Limits {
                message_bytes: 65_536,
                sends_per_second: 32,
                sends_burst: 64,
                users_per_send: limits::USERS_PER_SEND_MAX,
                groups: 128,
            },
            topics: Topics(topics),
        };
        let mut frame = serde_json::to_value(NodeFrame::Welcome(welcome)).unwrap_or_default();
        frame["later"] = Value::from(vec![1]);
        frame.to_string()
    }

    fn sent(
        &mut self,
        conn: ConnId,
        reference: Option<String>,
        key: Option<String>,
        echo: Option<&Echo>,
        now: Ms,
    ) {
        let silent = self.script.silent;
        if let Some(session) = self.sessions.get_mut(&conn)
            && silent == Some(session.node)
        {
            return session.held.push((reference, key));
        }
        let refusal =
            if matches!(echo, Some(Echo::Message(_))) { self.script.refusals.pop_front() } else { None };
        match refusal {
            Some(retry) => self.refuse_send(conn, reference, retry, now),
            None => self.acknowledge(conn, reference, key, now),
        }
    }

    fn refuse_send(&mut self, conn: ConnId, reference: Option<String>, retry: Option<Ms>, now: Ms) {
        let said = Said::Refused { reference: reference.clone(), retry_ms: retry.unwrap_or(0) };
        self.record.add(now, What::Said { conn, said });
        let code = if retry.is_some() { ErrorCode::RateLimited } else { ErrorCode::LogUnavailable };
        let raw = reference.and_then(|text| RawValue::from_string(text).ok());
        let mut error = Error::new(raw.as_deref(), code);
        error.retry_after_ms = retry;
        self.say(conn, &NodeFrame::Error(error));
    }

    fn acknowledge(&mut self, conn: ConnId, reference: Option<String>, key: Option<String>, now: Ms) {
        self.sends += 1;
        let next = self.sends;
        let offset = key.map_or(next, |key| *self.keys.entry(key).or_insert(next));
        let Some(text) = reference else { return };
        self.record.add(now, What::Said { conn, said: Said::Ack { reference: Some(text.clone()) } });
        let raw = RawValue::from_string(text).ok();
        let position = Some(Position { epoch: super::epoch(0), offset });
        self.say(
            conn,
            &NodeFrame::Ack(Ack { reference: raw.as_deref(), online: Some(1), position, failed: &[] }),
        );
    }

    fn requested(&mut self, conn: ConnId, reference: Option<String>, group: Option<String>, joins: bool) {
        let Some(raw) = reference.and_then(|text| RawValue::from_string(text).ok()) else { return };
        let topic = group.map_or_else(|| self.inbox(), |group| format!("g:{group}"));
        let position = self.topics.get(&topic).map(super::Topic::position);
        let recovered = joins.then_some(Recovery::Whole);
        self.say(
            conn,
            &NodeFrame::Group(GroupAck { reference: Some(&raw), topic: &topic, position, recovered }),
        );
    }

    /// The answers to earlier sends, `bye`, 1000.
    fn detach(&mut self, conn: ConnId, now: Ms) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.detached = true;
        let held = std::mem::take(&mut session.held);
        for (reference, key) in held {
            self.acknowledge(conn, reference, key, now);
        }
        self.say(conn, &NodeFrame::Bye);
        self.close(conn, CloseCode::Normal.code(), CloseCode::Normal.reason(), now);
    }
}
