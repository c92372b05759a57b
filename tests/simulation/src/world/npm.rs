//! What npm clients do in a run: their lookups, sockets and timers are carried out, their applications send, join, leave,
//! close and come back, and everything is told to the judges.

use std::collections::BTreeMap;

use ::cluster::grant::Grant;
use ::cluster::wire::codes::CloseCode;
use serde_json::{Value, json};

use super::World;
use super::event::Event;
use super::process::place_of_url;
use crate::client::{Facts, watched};
use crate::npm::{Act, Application, Engine, Judge, Program};
use crate::plan::{LOOKUPS, QUIET_MS};
use crate::shared::UNIX_MS;

/// A client's back-off, milliseconds: what others here have.
const RETRY_MS: (u64, u64) = (200, 2_000);
/// No application closes its client any more.
const STAY_MS: u64 = QUIET_MS - 10_000;

/// What happens to an npm client.
#[derive(Debug)]
pub(super) enum NpmEvent {
    /// It is made, and connects.
    Begin(usize),
    /// Its application has it connect again.
    Connect(usize),
    /// A timer's time has come.
    Timer(u64),
    /// A socket that it closed is closed.
    Closed(u64),
}

/// The npm clients of a run.
pub(super) struct Crew {
    engine: Engine,
    applications: BTreeMap<usize, Application>,
    /// Whose lookup it is.
    lookups: BTreeMap<u64, usize>,
    wires: BTreeMap<u64, Wire>,
    /// Each client's sends, by what it calls them.
    pub(super) sends: BTreeMap<usize, BTreeMap<String, usize>>,
}

/// A socket as the engine knows it.
struct Wire {
    client: usize,
    place: usize,
    /// What it is called here, once it is open.
    socket: Option<u64>,
    /// The client has not closed it.
    open: bool,
}

// === impl Crew ===

impl Crew {
    /// The clients that do as they are told; the others are as the simulation has them.
    pub(super) fn new(program: &Program, clients: &[crate::client::Client]) -> Result<Self, String> {
        let chosen = clients.iter().enumerate().filter(|(_, client)| !client.stays);
        Ok(Self {
            engine: Engine::new(program)?,
            applications: chosen.map(|(at, client)| (at, Application::new(&client.user))).collect(),
            lookups: BTreeMap::new(),
            wires: BTreeMap::new(),
            sends: BTreeMap::new(),
        })
    }

    fn wire_of(&self, socket: u64) -> Option<u64> {
        self.wires.iter().find(|(_, wire)| wire.socket == Some(socket)).map(|(id, _)| *id)
    }
}

impl World {
    /// Whether a client is the npm client.
    pub(super) fn is_npm(&self, client: usize) -> bool {
        self.npm.as_ref().is_some_and(|crew| crew.applications.contains_key(&client))
    }

    pub(super) fn npm_event(&mut self, event: NpmEvent) {
        match event {
            NpmEvent::Begin(client) => {
                let lookup: Vec<String> =
                    LOOKUPS.take(self.plan.lookups).map(|place| format!("http://l{place}/lookup")).collect();
                let retry = json!({ "baseMs": RETRY_MS.0, "maxMs": RETRY_MS.1 });
                let more = json!({ "seed": self.whims.below(1 << 31), "lookup": lookup, "retry": retry });
                let user = self.clients[client].user.clone();
                self.npm_tell(("begin", client as u64), &user, &more);
            }
            NpmEvent::Connect(client) => {
                if let Some(application) = self.application(client) {
                    application.closed = false;
                }
                self.npm_tell(("connect", client as u64), "", &Value::Null);
            }
            NpmEvent::Timer(timer) => self.npm_tell(("timer", timer), "", &Value::Null),
            NpmEvent::Closed(wire) => {
                if let Some(crew) = &mut self.npm {
                    crew.wires.remove(&wire);
                }
                self.npm_tell(("closed", wire), "", &json!(1_000));
            }
        }
    }

    /// An answer of a lookup service arrives.
    pub(super) fn npm_answer(&mut self, lookup: u64, grant: Result<&Grant, Option<u64>>) {
        let refused = |code, ms| json!({ "code": code, "temporary": true, "retry_after_ms": ms }).to_string();
        let (status, body) = match grant.map(serde_json::to_string) {
            Ok(Ok(body)) => (200, body),
            Err(Some(ms)) => (429, refused("slow_down", ms)),
            Ok(Err(_)) | Err(None) => (503, refused("unavailable", 500)),
        };
        if let Some(crew) = &mut self.npm {
            crew.lookups.remove(&lookup);
        }
        self.npm_tell(("answer", lookup), &body, &json!(status));
    }

    /// A lookup service, or a node, could not be reached.
    pub(super) fn npm_unreached(&mut self, serial: u64) {
        let Some(crew) = &mut self.npm else { return };
        if crew.lookups.remove(&serial).is_some() {
            self.npm_tell(("unreached", serial), "", &Value::Null);
        } else if crew.wires.get(&serial).is_some_and(|wire| wire.open) {
            crew.wires.remove(&serial);
            self.npm_tell(("closed", serial), "", &json!(1_006));
        }
    }

    /// A connection is open.
    pub(super) fn npm_opened(&mut self, serial: u64, socket: u64) {
        let alive = self.sockets.get(&socket).is_some_and(|socket| socket.client_open);
        let Some(crew) = &mut self.npm else { return };
        match crew.wires.get_mut(&serial).filter(|wire| wire.open) {
            Some(wire) if alive => {
                wire.socket = Some(socket);
                self.npm_tell(("opened", serial), "", &Value::Null);
            }
            // Its node closed it meanwhile.
            Some(_) => self.npm_unreached(serial),
            None => self.abandon(socket),
        }
    }

    /// A connection was closed by its node, or broke.
    pub(super) fn npm_closed(&mut self, client: usize, socket: u64, code: Option<CloseCode>) {
        self.clients[client].connections.retain(|connection| connection.socket != socket);
        let Some(crew) = &mut self.npm else { return };
        let Some(wire) = crew.wire_of(socket) else { return };
        crew.wires.remove(&wire);
        let code = code.map_or(1_006, |code| code as u16);
        self.npm_tell(("closed", wire), "", &json!(code));
    }

    /// A frame reached a client. First it is judged as any other client's, then the client is told.
    pub(super) fn npm_hears(&mut self, client: usize, socket: u64, text: &str, frame: &Value) {
        let Some(crew) = &self.npm else { return };
        let Some(wire) = crew.wire_of(socket) else { return };
        let none = BTreeMap::new();
        if let Some(frame) = watched(frame, crew.sends.get(&client).unwrap_or(&none)) {
            self.check_promise(client, &frame);
            let mut state = self.shared.state();
            let mut facts = Facts { book: &mut self.book, log: &mut state.log, keeps_all: !self.plan.trims };
            let this = &mut self.clients[client];
            let taken = match this.is_out(socket, &frame) {
                true => Ok(Vec::new()),
                false => this.take(socket, &frame, &mut facts),
            };
            drop(state);
            if let Err(wrong) = taken {
                self.shared.fail(format_args!("c{client} on {socket}: {wrong}"));
            }
            let positions = self.clients[client].positions.clone();
            let news = frame["op"] != "message" && frame["op"] != "gap";
            if let Some(application) = self.application(client).filter(|_| news) {
                application.begins(&positions);
            }
        }
        self.npm_tell(("frame", wire), text, &Value::Null);
    }

    /// Now and then an application does something.
    pub(super) fn npm_whim(&mut self, client: usize) {
        self.check_calm(client);
        let now_ms = self.shared.now_ms();
        let closed = self.application(client).is_none_or(|application| application.closed);
        if closed || now_ms >= QUIET_MS {
            return;
        }
        match self.whims.below(48) {
            0..4 => self.npm_changes_group(client),
            4..8 => (0..4).for_each(|_| self.npm_sends(client, true)),
            8 => self.npm_tell(("wake", client as u64), "", &Value::Null),
            9 if now_ms < STAY_MS => {
                if let Some(application) = self.application(client) {
                    application.closed = true;
                }
                self.shared.note(format_args!("c{client} closes"));
                self.npm_tell(("close", client as u64), "", &Value::Null);
                let pause_ms = self.whims.below(4_000);
                self.after(pause_ms, Event::Npm(NpmEvent::Connect(client)));
            }
            _ => self.npm_sends(client, false),
        }
    }

    fn npm_sends(&mut self, client: usize, burst: bool) {
        let number = self.compose(client, burst);
        let send = &mut self.book.sends[number];
        // To a group without a log it says that nothing is to be stored: it repeats what is.
        let ephemeral = !send.durable;
        let to = super::clients::target(&send.topics);
        let options = json!({ "key": send.key, "ephemeral": ephemeral });
        let options = if send.key.is_some() { options } else { json!({ "ephemeral": ephemeral }) };
        if let Some(application) = self.application(client) {
            application.open.insert(number);
        }
        let more = json!({ "number": number, "to": to, "options": options });
        self.npm_tell(("send", client as u64), "", &more);
    }

    fn npm_changes_group(&mut self, client: usize) {
        let topic = super::clients::GROUPS[self.whims.index(super::clients::GROUPS.len())];
        let now_ms = self.shared.now_ms();
        let this = &mut self.clients[client];
        this.changed_ms = now_ms;
        let all = this.all;
        let joins = !this.topics.remove(topic);
        if joins {
            this.topics.insert(topic.to_owned());
        }
        let Some(application) = self.application(client) else { return };
        let name = topic.trim_start_matches("g:");
        if !joins {
            // Where it was is told in between.
            return self.npm_tell(("leave", client as u64), name, &Value::Null);
        }
        let since = application.joins(topic, all);
        let more = if since.is_null() { json!({}) } else { json!({ "since": since }) };
        self.npm_tell(("join", client as u64), name, &more);
    }

    pub(super) fn application(&mut self, client: usize) -> Option<&mut Application> {
        self.npm.as_mut()?.applications.get_mut(&client)
    }

    /// Whether all applications have what they were promised.
    ///
    /// # Errors
    /// What is not right.
    pub(super) fn check_applications(&self) -> Result<(), String> {
        let Some(crew) = &self.npm else { return Ok(()) };
        let state = self.shared.state();
        crew.applications.values().try_for_each(|application| application.check_end(&state.log))
    }

    /// Messages that applications were given.
    pub(super) fn given(&self) -> u64 {
        self.npm.iter().flat_map(|crew| crew.applications.values()).map(|application| application.given).sum()
    }

    fn npm_tell(&mut self, what: (&str, u64), text: &str, more: &Value) {
        let Some(crew) = &self.npm else { return };
        match crew.engine.tell(UNIX_MS + self.shared.now_ms(), what, text, more) {
            Ok(acts) => acts.into_iter().for_each(|act| self.npm_act(act)),
            Err(wrong) => self.shared.fail(wrong),
        }
    }

    fn npm_act(&mut self, act: Act) {
        match act {
            Act::Ask { client, lookup, url } => self.npm_asks(client, lookup, &url),
            Act::Open { client, socket, url, protocols } => self.npm_opens(client, socket, &url, &protocols),
            Act::Write { socket, text } => self.npm_writes(socket, text),
            Act::Close { socket } => {
                let delay = self.latency();
                self.after(2 * delay + 1, Event::Npm(NpmEvent::Closed(socket)));
                let Some(wire) = self.npm.as_mut().and_then(|crew| crew.wires.get_mut(&socket)) else {
                    return;
                };
                wire.open = false;
                if let (client, Some(socket)) = (wire.client, wire.socket) {
                    self.shared.note(format_args!("c{client} closes {socket}"));
                    self.clients[client].connections.retain(|connection| connection.socket != socket);
                    self.abandon(socket);
                }
            }
            Act::Timer { timer, ms } => self.after(ms, Event::Npm(NpmEvent::Timer(timer))),
            Act::Told { client, what } => self.shared.note(format_args!("c{client}: {what}")),
            Act::Wrong { text } => self.shared.fail(format_args!("thrown: {text}")),
            Act::Done { .. }
            | Act::Failed { .. }
            | Act::Message { .. }
            | Act::Gap { .. }
            | Act::Status { .. }
            | Act::Left { .. } => {
                if let Err(wrong) = self.npm_judge(act) {
                    self.shared.fail(wrong);
                }
            }
        }
    }

    fn npm_asks(&mut self, client: usize, lookup: u64, url: &str) {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let place = address.strip_prefix("http://l").and_then(|rest| rest.strip_suffix("/lookup"));
        let Some(place) = place.and_then(|place| place.parse::<usize>().ok()) else {
            return self.shared.fail(format_args!("c{client} asks {url}"));
        };
        let avoid = query.split('&').filter_map(|pair| pair.strip_prefix("avoid="));
        self.clients[client].avoid = avoid.map(str::to_owned).collect();
        if let Some(crew) = &mut self.npm {
            crew.lookups.insert(lookup, client);
        }
        let delay = self.latency();
        self.after(delay, Event::Ask { client, serial: lookup, place });
    }

    fn npm_opens(&mut self, client: usize, wire: u64, url: &str, protocols: &[String]) {
        self.check_url(url);
        let ticket = protocols.get(1).and_then(|protocol| protocol.strip_prefix("ticket."));
        let (Some(place), Some(ticket), Some(crew)) = (place_of_url(url), ticket, &mut self.npm) else {
            return self.shared.fail(format_args!("c{client} opens {url} with {protocols:?}"));
        };
        let open = crew.wires.values().filter(|wire| wire.client == client && wire.open).count();
        if open >= 2 {
            return self.shared.fail(format_args!("c{client} opens a third socket"));
        }
        crew.wires.insert(wire, Wire { client, place, socket: None, open: true });
        let (ticket, delay) = (ticket.to_owned(), self.latency());
        self.after(delay, Event::Connect { client, serial: wire, place, ticket });
    }

    fn npm_writes(&mut self, wire: u64, text: String) {
        let now_ms = self.shared.now_ms();
        let Some(crew) = &mut self.npm else { return };
        let Some(Wire { client, place, socket: Some(socket), .. }) = crew.wires.get(&wire) else {
            return self.shared.fail(format_args!("{text} is said on a socket that is not open"));
        };
        let (client, place, socket) = (*client, *place, *socket);
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        match self.clients[client].says((socket, place), &frame, now_ms) {
            Ok(Some(number)) => {
                let name = frame["ref"].as_str().unwrap_or_default().to_owned();
                let known = crew.sends.entry(client).or_default().insert(name, number);
                if let Some(send) = self.book.sends.get_mut(number) {
                    send.repeated |= known.is_some();
                }
            }
            Ok(None) => {}
            Err(wrong) => self.shared.fail(format_args!("c{client}: {wrong}")),
        }
        self.say(socket, text);
    }

    /// What an application is told.
    fn npm_judge(&mut self, act: Act) -> Result<(), String> {
        let calm = self.is_calm();
        let state = self.shared.state();
        let judge = Judge { book: &self.book, log: &state.log, keeps_all: !self.plan.trims, calm };
        let Some(crew) = &mut self.npm else { return Ok(()) };
        let (Act::Done { client, .. }
        | Act::Failed { client, .. }
        | Act::Message { client, .. }
        | Act::Gap { client, .. }
        | Act::Status { client, .. }
        | Act::Left { client, .. }) = &act
        else {
            return Ok(());
        };
        let client = *client;
        let Some(application) = crew.applications.get_mut(&client) else { return Ok(()) };
        match act {
            Act::Message { message, .. } => application.given(&message, &judge)?,
            Act::Gap { gap, .. } => application.gap(&gap, &judge)?,
            Act::Left { topic, at, .. } => application.leaves(&topic, at)?,
            Act::Status { state: now, code, .. } => application.is(&now, &code)?,
            Act::Done { what, number, value, .. } if what == "send" => {
                application.kept(number, &value, &judge)?;
                self.clients[client].open.remove(&number);
            }
            Act::Failed { what, number, code, .. } if what == "send" => {
                application.failed(number, &code, &judge)?;
                self.clients[client].open.remove(&number);
            }
            Act::Failed { what, code, .. } if !(what == "connect" && application.closed) => {
                return Err(format!("c{client} could not {what}: {code}"));
            }
            _ => {}
        }
        Ok(())
    }
}
