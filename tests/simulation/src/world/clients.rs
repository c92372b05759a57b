//! What clients do: connect, send, join, move; and come back after an end.

use ::cluster::wire::codes::CloseCode;
use serde_json::{Value, json};

use super::World;
use super::event::Event;
use super::process::place_of_url;
use crate::book::Send;
use crate::client::{Act, Facts};
use crate::plan::QUIET_MS;

/// How long a client waits for an answer, or for a connection.
pub(super) const PATIENCE_MS: u64 = 3_000;
/// A client's back-off.
const PAUSES_MS: (u64, u64) = (200, 2_000);
/// How long a client bears silence: two heartbeats and some.
const SILENCE_MS: u64 = 2 * super::cluster::HEARTBEAT_MS + 3_000;
/// The groups.
pub(super) const GROUPS: [&str; 3] = ["g:x", "g:y", "g:none"];

impl World {
    pub(super) fn dial_node(&mut self, client: usize, url: &str, ticket: String) {
        let Some(place) = place_of_url(url) else { return };
        let this = &mut self.clients[client];
        this.serial += 1;
        let (serial, delay) = (this.serial, self.latency());
        self.after(delay, Event::Connect { client, serial, place, ticket });
        self.after(PATIENCE_MS, Event::Unreached { client, serial, node: Some(place) });
    }

    /// A client does what `moved` asked.
    pub(super) fn go_move(&mut self, client: usize, serial: u64, url: &str, ticket: &str) {
        let this = &mut self.clients[client];
        if this.serial == serial && this.may_move() {
            this.opening = true;
            self.dial_node(client, url, ticket.to_owned());
        }
    }

    /// A client learns that its connection is open.
    pub(super) fn opened(&mut self, client: usize, serial: u64, socket: u64) {
        if self.is_npm(client) {
            return self.npm_opened(serial, socket);
        }
        if self.clients[client].serial != serial {
            return self.abandon(socket);
        }
        let Some(place) = self.sockets.get(&socket).map(|socket| socket.life.place) else { return };
        let now_ms = self.shared.now_ms();
        let this = &mut self.clients[client];
        this.serial += 1;
        (this.opening, this.failures) = (false, 0);
        this.avoid.clear();
        let hello = this.hello(socket, place, now_ms);
        self.say(socket, hello);
    }

    /// A client could not reach what it tried, or not in time.
    pub(super) fn unreached(&mut self, client: usize, serial: u64, node: Option<usize>) {
        if self.is_npm(client) {
            return self.npm_unreached(serial);
        }
        let this = &mut self.clients[client];
        if this.serial != serial {
            return;
        }
        this.opening = false;
        this.serial += 1;
        if !this.connections.is_empty() {
            return;
        }
        this.failures += 1;
        if let Some(place) = node.filter(|_| this.avoid.len() < 4) {
            this.avoid.push(super::process::id_of(place));
        } else if node.is_none() {
            this.avoid.clear();
        }
        self.seek_later(client, 0);
    }

    fn seek_later(&mut self, client: usize, at_least_ms: u64) {
        let this = &mut self.clients[client];
        let most = (PAUSES_MS.0 << this.failures.min(6)).min(PAUSES_MS.1);
        let serial = this.serial;
        let pause_ms = at_least_ms + self.whims.below(most + 1);
        self.after(pause_ms, Event::Seek { client, serial });
    }

    /// A frame reached a client.
    pub(super) fn heard_by_client(&mut self, client: usize, socket: u64, text: &str) {
        self.shared.note(format_args!("c{client} on {socket} hears {text}"));
        let now_ms = self.shared.now_ms();
        let frame: Value = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => return self.shared.fail(format_args!("{error}: {text}")),
        };
        if self.is_npm(client) {
            return self.npm_hears(client, socket, text, &frame);
        }
        self.check_promise(client, &frame);
        self.check_left(client, &frame);
        let this = &mut self.clients[client];
        if let Some(connection) = this.on(socket) {
            connection.heard_ms = now_ms;
        }
        let mut state = self.shared.state();
        let mut facts = Facts { book: &mut self.book, log: &mut state.log, keeps_all: !self.plan.trims };
        let acts = this.take(socket, &frame, &mut facts);
        drop(state);
        match acts {
            Ok(acts) => acts.into_iter().for_each(|act| self.act(client, act)),
            Err(wrong) => self.shared.fail(format_args!("c{client} on {socket}: {wrong}")),
        }
    }

    fn act(&mut self, client: usize, act: Act) {
        match act {
            Act::Say(socket, text) => self.say(socket, text),
            Act::Repeat(socket) => self.repeat(client, socket),
            Act::Move { url, ticket, spread_ms } => {
                self.check_url(&url);
                let (serial, ms) = (self.clients[client].serial, self.whims.below(spread_ms + 1));
                self.after(ms, Event::GoMove { client, serial, url, ticket });
            }
        }
    }

    /// On a new connection a client says again what has a key and no answer.
    fn repeat(&mut self, client: usize, socket: u64) {
        let open: Vec<usize> = self.clients[client].open.iter().copied().collect();
        for number in open {
            let alive = |awaits: &crate::client::Connection| awaits.awaiting.contains(&number);
            if self.book.sends[number].key.is_some() && self.book.sends[number].durable {
                self.book.sends[number].repeated = true;
                self.say_send(client, socket, number);
            } else if !self.clients[client].connections.iter().any(alive) {
                self.clients[client].open.remove(&number);
                self.book.sends[number].settled = true;
            }
        }
    }

    /// A connection is gone: what was to be answered there is said again on the other one, or given up without a key.
    fn reclaim(&mut self, client: usize) {
        let this = &self.clients[client];
        let main = this.main().map(|connection| connection.socket);
        let awaited = |number: &usize| this.connections.iter().any(|other| other.awaiting.contains(number));
        let lost: Vec<usize> = this.open.iter().copied().filter(|number| !awaited(number)).collect();
        for number in lost {
            let send = &mut self.book.sends[number];
            match (send.key.is_some() && send.durable, main) {
                (true, Some(socket)) => {
                    send.repeated = true;
                    self.say_send(client, socket, number);
                }
                (true, None) => {}
                (false, _) => {
                    send.settled = true;
                    self.clients[client].open.remove(&number);
                }
            }
        }
    }

    /// A client's connection was closed by its node, in good order.
    pub(super) fn closed_for_client(&mut self, socket: u64, code: Option<CloseCode>) {
        let Some(open) = self.sockets.get_mut(&socket) else { return };
        let (client, was_open) = (open.client, std::mem::replace(&mut open.client_open, false));
        self.tidy_socket(socket);
        if !was_open {
            return;
        }
        self.shared.note(format_args!("c{client} on {socket} is closed: {code:?}"));
        if self.is_npm(client) {
            return self.npm_closed(client, socket, code);
        }
        let this = &mut self.clients[client];
        this.connections.retain(|connection| connection.socket != socket);
        self.reclaim(client);
        let this = &mut self.clients[client];
        if this.connections.is_empty() && !this.opening {
            this.serial += 1;
            let now = code.is_some_and(|code| (4000..4100).contains(&(code as u16)));
            if now { self.seek_at_once(client) } else { self.seek_later(client, 0) }
        }
    }

    fn seek_at_once(&mut self, client: usize) {
        let serial = self.clients[client].serial;
        self.after(1, Event::Seek { client, serial });
    }

    /// It just ended.
    pub(super) fn socket_lost(&mut self, socket: u64) {
        self.closed_for_client(socket, None);
    }

    /// Now and then a client does something.
    pub(super) fn whim(&mut self, client: usize) {
        let now_ms = self.shared.now_ms();
        if self.is_npm(client) {
            self.npm_whim(client);
        } else {
            self.bear_silence(client, now_ms);
            self.check_calm(client);
        }
        if now_ms < QUIET_MS && !self.is_npm(client) {
            match self.whims.below(12) {
                0 => self.change_groups(client),
                1 => (0..4).for_each(|_| self.send(client, true)),
                _ => self.send(client, false),
            }
        }
        let pause_ms = self.whims.between(200, 1_400);
        self.after(pause_ms, Event::Whim(client));
    }

    fn bear_silence(&mut self, client: usize, now_ms: u64) {
        let this = &self.clients[client];
        if this.slow {
            return;
        }
        let silent = |connection: &&crate::client::Connection| now_ms >= connection.heard_ms + SILENCE_MS;
        let lost: Vec<u64> =
            this.connections.iter().filter(silent).map(|connection| connection.socket).collect();
        for socket in lost {
            self.shared.note(format_args!("c{client} hears nothing on {socket}"));
            self.drop_connection(client, socket);
        }
    }

    /// A client gives a connection up.
    pub(super) fn drop_connection(&mut self, client: usize, socket: u64) {
        self.abandon(socket);
        let this = &mut self.clients[client];
        this.connections.retain(|connection| connection.socket != socket);
        self.reclaim(client);
        let this = &mut self.clients[client];
        if this.connections.is_empty() && !this.opening {
            this.serial += 1;
            self.seek_later(client, 0);
        }
    }

    fn change_groups(&mut self, client: usize) {
        let topic = GROUPS[self.whims.index(GROUPS.len())];
        let reference = 1_000_000 + self.whims.below(1_000_000);
        let now_ms = self.shared.now_ms();
        let this = &mut self.clients[client];
        this.changed_ms = now_ms;
        self.changed_ms.insert(topic.to_owned(), now_ms);
        let said = match this.topics.contains(topic) {
            true => this.leave(topic, reference),
            false => this.join(topic, reference),
        };
        if let Some((socket, text)) = said {
            self.say(socket, text);
        }
    }

    /// A client sends something; in a burst all goes to one group.
    fn send(&mut self, client: usize, burst: bool) {
        let Some(socket) = self.clients[client].main().map(|connection| connection.socket) else { return };
        let number = self.compose(client, burst);
        self.say_send(client, socket, number);
    }

    /// Something to send; answers its number.
    pub(super) fn compose(&mut self, client: usize, burst: bool) -> usize {
        let count = self.clients.len();
        let user = |number: usize| format!("u:c{number}");
        let topics = match self.whims.below(8) {
            _ if burst => vec![GROUPS[0].to_owned()],
            0..4 => vec![user(self.whims.index(count))],
            4..7 => vec![GROUPS[self.whims.index(3)].to_owned()],
            _ => vec![user(0), user(1), user(2)],
        };
        let ephemeral = self.whims.one_in(7);
        let number = self.book.sends.len();
        let key = self.whims.one_in(2).then(|| format!("c{client} {number}"));
        self.book.sends.push(Send {
            user: self.clients[client].user.clone(),
            durable: !ephemeral && topics[0] != "g:none",
            topics,
            key,
            at_ms: self.shared.now_ms(),
            calm: self.is_calm(),
            losses: self.shared.state().log.losses,
            repeated: false,
            failed: false,
            settled: false,
            position: None,
            acked: false,
        });
        self.clients[client].open.insert(number);
        number
    }

    fn say_send(&mut self, client: usize, socket: u64, number: usize) {
        let send = &self.book.sends[number];
        let to = target(&send.topics);
        let ephemeral = !send.durable && send.topics[0] != "g:none";
        let frame = json!({ "op": "send", "ref": number, "to": to, "data": number, "key": send.key,
            "ephemeral": ephemeral });
        if let Some(connection) = self.clients[client].on(socket) {
            connection.awaiting.insert(number);
        }
        self.say(socket, frame.to_string());
    }
}

/// What stands in a send for these topics.
pub(super) fn target(topics: &[String]) -> Value {
    let name = |topic: &String| topic[2..].to_owned();
    match topics {
        [topic] if topic.starts_with("g:") => json!({ "group": name(topic) }),
        [topic] => json!({ "user": name(topic) }),
        topics => json!({ "users": topics.iter().map(name).collect::<Vec<_>>() }),
    }
}
