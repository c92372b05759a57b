//! Clients' sockets, and a node's end of them as its shell has it: the ticket, the first frame, heartbeats, what waits, the
//! close.

use ::cluster::grant::Holder;
use ::cluster::ring::{Member, MemberState, Slot};
use ::cluster::tokens::TicketTarget;
use ::cluster::wire::client::ClientFrame;
use ::cluster::wire::codes::{CloseCode, ErrorCode};
use ::cluster::wire::node::{Error, NodeFrame};
use ws_node::core::{Admission, Rebalance, SessionKey, SessionSink};

use super::cluster::{HEARTBEAT_MS, OUTBOUND_BYTES};
use super::event::Event;
use super::{SERVICE, World};
use crate::shared::{Life, UNIX_MS};
use crate::sinks::{Outbox, frame_of, text_of};

/// How long an answer to `ping` may take.
const PONG_MS: u64 = 10_000;
/// How long a client may take nothing.
const STALL_MS: u64 = 10_000;
/// How long at least until a session is asked to move again.
const PAUSE_MS: u64 = 10_000;
/// How long until a node that drains has asked everybody.
const ASKED_MS: u64 = 5_000;
/// How long until the first frame.
const HELLO_MS: u64 = 10_000;

/// A connection of a client.
pub(super) struct Socket {
    pub(super) client: usize,
    /// Whom the ticket was for.
    pub(super) user: String,
    pub(super) life: Life,
    /// The node's session, as long as its end is open.
    pub(super) key: Option<SessionKey>,
    pub(super) outbox: Outbox,
    /// The client's end is open.
    pub(super) client_open: bool,
    /// Nothing gets through any more, and nobody is told.
    pub(super) mute: bool,
    greeted: bool,
    begun_ms: u64,
    heard_ms: u64,
    pinged_ms: Option<u64>,
    /// Since when something waits that is not taken.
    stalled_ms: Option<u64>,
    carrying: bool,
    /// When the last frame of the client arrives.
    up_ms: u64,
    /// The client said `detach`, or said so with another connection's `hello`.
    pub(super) leaves: bool,
    /// It was slow, or mute, at some time.
    pub(super) was_slow: bool,
    pub(super) offers: u32,
    /// When it was first asked to leave a node that drains, and when it was asked to move last, whyever.
    asked_ms: Option<u64>,
    offered_ms: Option<u64>,
    /// Whom the ticket says that the client could not reach.
    pub(super) avoid: Vec<String>,
}

impl Socket {
    /// Whether a node that has drained for long should have asked it to move: it was there, and was not asked lately.
    pub(super) fn was_forgotten(&self, began_ms: u64, now_ms: u64) -> bool {
        let lately = self.offered_ms.is_some_and(|at_ms| now_ms < at_ms + PAUSE_MS);
        let there = self.key.is_some() && self.greeted && self.client_open && !self.mute && !self.leaves;
        there && self.asked_ms.is_none() && !lately && self.begun_ms.max(began_ms) + ASKED_MS <= now_ms
    }
}

impl World {
    /// A client's connection arrives at a node.
    pub(super) fn connect(&mut self, client: usize, serial: u64, place: usize, ticket: &str) {
        let delay = self.latency();
        let now = self.now();
        let open = |process: &&mut super::process::Process| process.core.is_some() && !process.leaving;
        let Some(process) = self.processes[place].as_mut().filter(open) else {
            return self.after(delay, Event::Unreached { client, serial, node: Some(place) });
        };
        let (Some(keeper), life) = (process.keeper.clone(), process.life) else { return };
        let generations = keeper.incarnations();
        let node = super::process::id_of(place);
        let target = TicketTarget { node: &node, generations: &generations, service: SERVICE };
        let ticket = match self.tickets.verify(ticket, target, now.unix_ms / 1_000) {
            Ok(ticket) => ticket,
            Err(error) => {
                self.shared.note(format_args!("{life} refuses c{client}: {}", error.code()));
                return self.after(delay, Event::Unreached { client, serial, node: None });
            }
        };
        let id = self.new_id();
        let outbox = Outbox::new(id, OUTBOUND_BYTES, self.marks.clone());
        let (user, avoid) = (ticket.sub.clone(), ticket.avoid.clone());
        let holder = Holder {
            user: ticket.sub,
            avoid: ticket.avoid,
            token_expires_s: ticket.tok_exp,
            grants: ticket.grants,
        };
        let admission = Admission { holder, jti: ticket.jti, expires_s: ticket.exp, ring: ticket.ring };
        let Some(core) = self.core(life) else { return };
        let Ok(key) = core.admit(admission, outbox.clone(), now) else {
            self.shared.note(format_args!("{life} admits no c{client}"));
            return self.after(delay, Event::Unreached { client, serial, node: None });
        };
        self.shared.note(format_args!("socket {id}: {user} at {life}"));
        let now_ms = now.tick_ms;
        let socket = Socket {
            client,
            user,
            life,
            key: Some(key),
            outbox,
            client_open: true,
            mute: false,
            greeted: false,
            begun_ms: now_ms,
            heard_ms: now_ms,
            pinged_ms: None,
            stalled_ms: None,
            carrying: false,
            up_ms: 0,
            leaves: false,
            was_slow: false,
            offers: 0,
            asked_ms: None,
            offered_ms: None,
            avoid,
        };
        self.sockets.insert(id, socket);
        self.tally.sockets += 1;
        self.after(delay, Event::Opened { client, serial, socket: id });
        self.after(1_000, Event::SocketTime(id));
    }

    /// A client says something.
    pub(super) fn say(&mut self, id: u64, text: String) {
        let (now_ms, delay) = (self.shared.now_ms(), self.latency());
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.leaves |= text.contains("\"op\":\"detach\"");
        let at_ms = socket.up_ms.max(now_ms + delay);
        socket.up_ms = at_ms;
        self.schedule(at_ms, Event::SocketUp { socket: id, text });
    }

    /// A client's frame arrives at its node.
    pub(super) fn say_up(&mut self, id: u64, text: &str) {
        let now = self.now();
        let Some(socket) = self.sockets.get_mut(&id).filter(|socket| !socket.mute) else { return };
        let (Some(key), life) = (socket.key, socket.life) else { return };
        if socket.outbox.closing().is_some() {
            return;
        }
        (socket.heard_ms, socket.pinged_ms) = (now.tick_ms, None);
        let greeted = socket.greeted;
        socket.greeted |= text.contains("\"op\":\"hello\"");
        self.shared.note(format_args!("socket {id} says {text}"));
        let Some(core) = self.core(life) else { return };
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Hello(hello)) => core.hello(key, &hello, now),
            Ok(ClientFrame::Pong | ClientFrame::Unknown) => {}
            Ok(_) if !greeted => core.fail(key, None, ErrorCode::HelloExpected),
            Ok(ClientFrame::Send(send)) => core.send(key, &send, now),
            Ok(ClientFrame::Detach) => core.detach(key),
            Ok(ClientFrame::Join(join)) => core.join(key, &join, now),
            Ok(ClientFrame::Leave(leave)) => core.leave(key, &leave, now),
            other => self.shared.fail(format_args!("a client said {text}: {other:?}")),
        }
    }

    /// Something waits for a client.
    pub(super) fn mark_socket(&mut self, id: u64) {
        let delay = self.latency();
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if !std::mem::replace(&mut socket.carrying, true) {
            self.after(delay, Event::SocketDown(id));
        }
    }

    /// What waits for a client reaches it, unless it takes nothing.
    pub(super) fn carry_down(&mut self, id: u64) {
        let now_ms = self.shared.now_ms();
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.carrying = false;
        if socket.key.is_none() {
            return;
        }
        let slow = self.clients[socket.client].slow || socket.mute;
        if slow && socket.client_open {
            socket.was_slow = true;
            if socket.outbox.is_waiting() {
                socket.stalled_ms.get_or_insert(now_ms);
            }
            return;
        }
        socket.stalled_ms = None;
        let (frames, closing) = socket.outbox.take();
        let client = socket.client;
        if socket.client_open {
            frames.iter().for_each(|frame| self.heard_by_client(client, id, text_of(frame)));
        }
        if let Some(code) = closing {
            self.end_at_node(id);
            self.closed_for_client(id, Some(code));
        }
    }

    /// A node looks after a connection, each second.
    pub(super) fn socket_time(&mut self, id: u64) {
        let now_ms = self.shared.now_ms();
        let Some(socket) = self.sockets.get_mut(&id).filter(|socket| socket.key.is_some()) else { return };
        let error = |code| frame_of(&NodeFrame::Error(Error::new(None, code)).to_json());
        if socket.stalled_ms.is_some_and(|since_ms| now_ms >= since_ms + STALL_MS) {
            self.shared.note(format_args!("socket {id} takes nothing"));
            return self.cut_at_node(id);
        }
        if !socket.greeted && now_ms >= socket.begun_ms + HELLO_MS {
            socket.outbox.push(error(ErrorCode::HelloTimeout));
            socket.outbox.close(CloseCode::HeartbeatLost);
        }
        match socket.pinged_ms {
            Some(pinged_ms) if now_ms >= pinged_ms + PONG_MS => {
                socket.was_slow = true;
                socket.outbox.close(CloseCode::HeartbeatLost);
                if now_ms >= pinged_ms + PONG_MS + 2_000 {
                    return self.cut_at_node(id);
                }
            }
            None if now_ms >= socket.heard_ms + HEARTBEAT_MS => {
                socket.pinged_ms = Some(now_ms);
                socket.outbox.push(frame_of(&NodeFrame::Ping.to_json()));
            }
            _ => {}
        }
        self.after(1_000, Event::SocketTime(id));
    }

    /// The node gives a connection up without a word.
    fn cut_at_node(&mut self, id: u64) {
        self.end_at_node(id);
        let delay = self.latency();
        if self.sockets.get(&id).is_some_and(|socket| !socket.mute) {
            self.after(delay, Event::SocketLost(id));
        }
    }

    /// The node's end is closed.
    pub(super) fn end_at_node(&mut self, id: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let life = socket.life;
        if let Some(key) = socket.key.take()
            && let Some(core) = self.core(life)
        {
            core.closed(key);
        }
        self.tidy_socket(id);
    }

    /// The node learns that the client is gone.
    pub(super) fn client_gone(&mut self, id: u64) {
        if self.sockets.get(&id).is_some_and(|socket| !socket.mute) {
            self.end_at_node(id);
        }
    }

    /// The client's end is closed by itself, and the node hears of it if it can.
    pub(super) fn abandon(&mut self, id: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.client_open = false;
        let at_ms = socket.up_ms.max(self.shared.now_ms());
        self.schedule(at_ms + 1, Event::ClientGone(id));
        self.tidy_socket(id);
    }

    pub(super) fn tidy_socket(&mut self, id: u64) {
        if self.sockets.get(&id).is_some_and(|socket| socket.key.is_none() && !socket.client_open) {
            self.sockets.remove(&id);
        }
    }

    /// A node's process is gone: its machine resets its connections.
    pub(super) fn sockets_of_dead(&mut self, life: Life) {
        let of = |socket: &Socket| socket.life == life && socket.key.is_some();
        let ids: Vec<u64> = self.sockets.iter().filter(|(_, socket)| of(socket)).map(|(id, _)| *id).collect();
        for id in ids {
            let delay = self.latency();
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            socket.key = None;
            if !socket.mute {
                self.after(delay, Event::SocketLost(id));
            }
            self.tidy_socket(id);
        }
    }

    /// A session was asked to move: its user must be at home there, by the ring of the node that asks.
    pub(super) fn check_moved(&mut self, id: u64, frame: &bytes::Bytes) {
        let now_ms = self.shared.now_ms();
        self.tally.moved += 1;
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.offers += 1;
        socket.offered_ms = Some(now_ms);
        let (life, user, avoid) = (socket.life, socket.user.clone(), socket.avoid.clone());
        let moved: serde_json::Value = serde_json::from_str(text_of(frame)).unwrap_or_default();
        if moved["reason"] == "draining" {
            socket.asked_ms.get_or_insert(now_ms);
        }
        self.check_url(moved["url"].as_str().unwrap_or_default());
        let Some(process) = self.process(life) else { return };
        let Some(core) = &process.core else { return };
        let ring = core.ring();
        let home = ring.home(ring.key().slot(&format!("u:{user}"))).map(|member| member.id.clone());
        let me = core.me().id.clone();
        let to = moved["node"].as_str().and_then(|node| ring.member(node));
        let right = match moved["reason"].as_str() {
            // From a node that goes away to the next one that does not, and lives.
            Some("draining") => {
                let serves = |member: &Member| {
                    let suspect = process.suspects.contains(member);
                    member.id != me && member.state == MemberState::Active && !suspect
                };
                let slot = ring.key().slot(&format!("u:{user}")).number();
                let clockwise = (0..=u16::MAX).map(|step| Slot::new(slot.wrapping_add(step)));
                let homes =
                    || clockwise.clone().filter_map(|slot| ring.home(slot)).filter(|member| serves(member));
                // Where all are avoided nobody is.
                let next = homes().find(|member| !avoid.contains(&member.id)).or_else(|| homes().next());
                core.is_draining() && to.is_some_and(|to| next.is_some_and(|next| next.id == to.id))
            }
            _ => home.as_deref() != Some(&me) && to.is_some_and(|to| home.as_deref() == Some(&to.id)),
        };
        let never = self.plan.rebalance == Rebalance::None && moved["reason"] == "home";
        if !right || never {
            self.shared.fail(format_args!("{life} sends {user}, at home at {home:?}, to {}", moved["node"]));
        }
    }

    /// A send was refused for now, whether its client will hear of that or not: what comes again has the place of its
    /// repetition.
    pub(super) fn refused(&mut self, id: u64, frame: &bytes::Bytes) {
        let Some(client) = self.sockets.get(&id).map(|socket| socket.client) else { return };
        let frame: serde_json::Value = serde_json::from_str(text_of(frame)).unwrap_or_default();
        let number = match frame["ref"].as_str() {
            Some(name) => self.npm.as_ref().and_then(|crew| crew.sends.get(&client)?.get(name).copied()),
            None => frame["ref"].as_u64().and_then(|number| usize::try_from(number).ok()),
        };
        if let Some(send) = number.and_then(|number| self.book.sends.get_mut(number)) {
            send.failed = true;
        }
    }

    /// A node closed a session: there must be a reason that has nothing to do with the ring.
    pub(super) fn check_closed(&mut self, id: u64, code: CloseCode) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let (life, user) = (socket.life, socket.user.clone());
        let latest = self.clients[socket.client].connections.last().map(|connection| connection.socket);
        let fair = match code {
            CloseCode::Normal => socket.leaves || latest != Some(id),
            CloseCode::Draining => self.may_close(life, socket.asked_ms),
            CloseCode::Moved => self.plan.rebalance == Rebalance::All,
            CloseCode::SlowConsumer | CloseCode::HeartbeatLost => {
                socket.was_slow || !socket.client_open || socket.pinged_ms.is_some()
            }
            _ => false,
        };
        if !fair {
            self.shared.fail(format_args!("{life} closes socket {id} of {user} for no reason: {code:?}"));
        }
    }

    /// Nobody is ever sent to a stranger's address.
    pub(super) fn check_url(&mut self, url: &str) {
        if super::process::place_of_url(url).is_none() {
            self.shared.fail(format_args!("a client was sent to {url:?}"));
        }
    }

    /// The wall clock.
    pub(super) fn unix_s(&self) -> u64 {
        (UNIX_MS + self.shared.now_ms()) / 1_000
    }
}
