//! The cluster that a client under test meets: a lookup service, two nodes, a log. Pure: what came and the time go in,
//! what is to be sent comes out, and all of it goes into the record. Scenes change its [`Script`].

mod sessions;
mod topics;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use cluster::log::Epoch;
use cluster::ring::Version;
use cluster::secret::Secrets;
use cluster::tokens::{Grants, Ticket, TicketTarget, Tickets, random_id};
use lookup_service::{DEFAULT_SERVICE, LookupRequest};

use self::sessions::Session;
use self::topics::Topic;
use super::record::{Answer, ConnId, Ms, Record, TicketUse, What};
use super::scene::Scene;

/// The nodes that serve.
pub(super) const NODES: [&str; 2] = ["n1", "n2"];

/// A node that nobody can connect to.
pub(super) const UNREACHABLE: &str = "n3";

/// The group that the client's token is said to name.
pub(super) const GROUP: &str = "g:conformance";

/// The user, if the client names none.
const USER: &str = "client";

/// Seconds that a ticket lives.
const TICKET_LIFE_S: u64 = 30;

/// What a client is told that looks up without an end.
const FLOOD_MS: Ms = 60_000;

/// What scenes set. What is used up falls back to the first of each.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// How the next lookups are answered; then with a ticket for `node`.
    pub(super) lookups: VecDeque<Reply>,
    /// The node of ordinary answers.
    pub(super) node: &'static str,
    /// `retry.base_ms`, `retry.max_ms` and `retry_spread_ms`.
    pub(super) pace: (Ms, Ms, Ms),
    /// At this node sends get no answer before `detach`.
    pub(super) silent: Option<&'static str>,
    /// The next so many sends fail for the time being.
    pub(super) refusals: VecDeque<Option<Ms>>,
    /// In each `welcome` of this node the user's inbox is pending.
    pub(super) pending: Option<&'static str>,
}

/// How a lookup is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// With a ticket for this node.
    Grant(&'static str),
    /// 429 with a problem document that says when to come again.
    SlowDown(Ms),
    /// 503 by a proxy, with nothing but `Retry-After`, in seconds.
    Proxy(u64),
}

/// A lookup's answer in words that the edge writes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// 200 with this; the url is the edge's to fill in.
    Granted { body: serde_json::Value, node: &'static str },
    /// [`Reply::SlowDown`].
    SlowDown(Ms),
    /// [`Reply::Proxy`].
    Proxy(u64),
}

/// Something for a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A text frame.
    Text(String),
    /// The close frame, and after the client's the end.
    Close(u16, &'static str),
    /// The end, without a word.
    Cut,
}

/// A ticket that was given out.
struct Grant {
    node: &'static str,
    used: bool,
}

/// All of it.
pub(super) struct World {
    pub(super) record: Record,
    pub(super) script: Script,
    user: String,
    tickets: Tickets,
    grants: HashMap<String, Grant>,
    sessions: BTreeMap<ConnId, Session>,
    topics: BTreeMap<String, Topic>,
    /// The offset of each key that the client's sends had.
    keys: HashMap<String, u64>,
    sends: u64,
    ephemerals: u64,
    /// The counter of an ephemeral message that was never passed on.
    overtaken: u64,
    /// Of the message published last.
    n: u64,
    last: ConnId,
    out: Vec<(ConnId, Item)>,
}

// === impl Script ===

impl Default for Script {
    fn default() -> Self {
        Self {
            lookups: VecDeque::new(),
            node: NODES[0],
            pace: (400, 800, 400),
            silent: None,
            refusals: VecDeque::new(),
            pending: None,
        }
    }
}

// === impl World ===

impl World {
    /// A world in which nothing has happened; `secrets` sign its tickets.
    pub(super) fn new(secrets: &Secrets) -> Self {
        Self {
            record: Record::default(),
            script: Script::default(),
            user: USER.to_owned(),
            tickets: Tickets::new(secrets.ticket_keys()),
            grants: HashMap::new(),
            sessions: BTreeMap::new(),
            topics: BTreeMap::new(),
            keys: HashMap::new(),
            sends: 0,
            ephemerals: 0,
            overtaken: 0,
            n: 0,
            last: 0,
            out: Vec::new(),
        }
    }

    /// What is to be sent since the last call.
    pub(super) fn take_output(&mut self) -> Vec<(ConnId, Item)> {
        std::mem::take(&mut self.out)
    }

    /// Whether a client has come at all.
    pub(super) fn has_looked_up(&self) -> bool {
        self.record.events().iter().any(|event| matches!(event.what, What::Lookup { .. }))
    }

    /// A scene begins: what connections there are belong to the client before, and so does what the log holds. A client
    /// that asks for everything has nothing of that.
    pub(super) fn begin(&mut self, scene: Scene, script: Script, now: Ms) {
        self.script = script;
        self.record.add(now, What::Scene { scene, first: self.last + 1 });
        self.topics.values_mut().for_each(Topic::forget);
    }

    /// The client looks up. `now_s` is the clock's, for tickets.
    pub(super) fn look_up(
        &mut self,
        asked: &LookupRequest,
        token: Option<&str>,
        now: Ms,
        now_s: u64,
    ) -> Told {
        if self.record.is_full() {
            return Told::SlowDown(FLOOD_MS);
        }
        self.user = asked.id.clone().unwrap_or_else(|| USER.to_owned());
        let token = token.map(hash);
        let avoid = asked.avoid.clone();
        let reply = self.script.lookups.pop_front().unwrap_or(Reply::Grant(self.script.node));
        let (answer, told) = match reply {
            Reply::Grant(node) => (Answer::Granted { node }, self.granted(node, asked, now_s)),
            Reply::SlowDown(ms) => (Answer::Refused { retry_ms: ms, by_header: false }, Told::SlowDown(ms)),
            Reply::Proxy(s) => (Answer::Refused { retry_ms: s * 1_000, by_header: true }, Told::Proxy(s)),
        };
        self.record.add(now, What::Lookup { answer, token, avoid });
        told
    }

    /// A connection to `node`, with the ticket that it came with; the second of the pair says whether other
    /// subprotocols were offered than ours.
    pub(super) fn opened(
        &mut self,
        node: &'static str,
        ticket: Option<&str>,
        strange: bool,
        now: Ms,
        now_s: u64,
    ) -> ConnId {
        self.last += 1;
        let conn = self.last;
        let ticket = if strange { TicketUse::NoSubprotocol } else { self.admit(node, ticket, now_s) };
        self.record.add(now, What::Opened { conn, node, ticket });
        self.sessions.insert(conn, Session::new(node));
        match ticket {
            TicketUse::Fresh => {}
            TicketUse::Used => self.refuse(conn, "ticket_used", now),
            TicketUse::Wrong | TicketUse::Missing => self.refuse(conn, "ticket_invalid", now),
            TicketUse::NoSubprotocol => self.refuse(conn, "subprotocol_expected", now),
        }
        conn
    }

    /// The connection is over.
    pub(super) fn ended(&mut self, conn: ConnId, code: Option<u16>, now: Ms) {
        if self.sessions.remove(&conn).is_some() {
            self.record.add(now, What::Ended { conn, code });
        }
    }

    /// Closes a connection with a code.
    pub(super) fn close(&mut self, conn: ConnId, code: u16, reason: &'static str, now: Ms) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.closing = true;
            self.record.add(now, What::Closing { conn, code });
            self.out.push((conn, Item::Close(code, reason)));
        }
    }

    /// Ends a connection without a word.
    pub(super) fn cut(&mut self, conn: ConnId, now: Ms) {
        if self.sessions.remove(&conn).is_some() {
            self.record.add(now, What::Cut { conn });
            self.record.add(now, What::Ended { conn, code: None });
            self.out.push((conn, Item::Cut));
        }
    }

    /// A ticket for `node` as the node in the answer, and in `moved`.
    fn ticket(&mut self, node: &'static str, avoid: &[String], now_s: u64) -> String {
        let jti = random_id();
        let ticket = Ticket {
            sub: self.user.clone(),
            aud: Ticket::audience(node, 1),
            svc: DEFAULT_SERVICE.to_owned(),
            exp: now_s + TICKET_LIFE_S,
            jti: jti.clone(),
            ring: Version { term: 1, number: 1 },
            avoid: avoid.to_vec(),
            tok_exp: None,
            grants: Grants { groups: vec![GROUP[2..].to_owned()], ..Grants::default() },
        };
        self.grants.insert(jti, Grant { node, used: false });
        self.tickets.sign(&ticket).unwrap_or_default()
    }

    fn granted(&mut self, node: &'static str, asked: &LookupRequest, now_s: u64) -> Told {
        let ticket = self.ticket(node, &asked.avoid, now_s);
        let (base_ms, max_ms, _) = self.script.pace;
        let body = serde_json::json!({
            "id": self.user, "service": asked.service(), "node": node, "protocols": protocols(&ticket), "ticket": ticket,
            "expires_in_ms": TICKET_LIFE_S * 1_000,
            "ring": { "version": 4_294_967_297_u64, "signature": "0000000000000001", "later": [1] },
            "retry": { "base_ms": base_ms, "max_ms": max_ms }, "later": { "a field": "of another version" },
        });
        Told::Granted { body, node }
    }

    fn admit(&mut self, node: &'static str, ticket: Option<&str>, now_s: u64) -> TicketUse {
        let Some(text) = ticket else { return TicketUse::Missing };
        let target = TicketTarget { node, generations: &[1], service: DEFAULT_SERVICE };
        let Ok(ticket) = self.tickets.verify(text, target, now_s) else { return TicketUse::Wrong };
        match self.grants.get_mut(&ticket.jti) {
            Some(grant) if grant.used => TicketUse::Used,
            Some(grant) if grant.node == node => {
                grant.used = true;
                TicketUse::Fresh
            }
            _ => TicketUse::Wrong,
        }
    }
}

/// What is offered as subprotocols.
fn protocols(ticket: &str) -> [String; 2] {
    use cluster::wire::{SUBPROTOCOL, TICKET_PROTOCOL_PREFIX};
    [SUBPROTOCOL.to_owned(), format!("{TICKET_PROTOCOL_PREFIX}{ticket}")]
}

/// What stands for a token in the record.
fn hash(token: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

/// An epoch that follows `n` others.
fn epoch(n: u64) -> Epoch {
    Epoch::new(0x00c0_f0a0_0000_0000 + n)
}

#[cfg(test)]
mod tests;
