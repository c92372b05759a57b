//! What must be right: promises that hold at any time, and how everything stands in the end.

use std::collections::BTreeSet;

use ::cluster::log::{Cursor, Read, ReadRequest, Topic};
use ::cluster::ring::{Member, Ring};
use serde_json::Value;
use ws_node::core::Rebalance;

use super::World;
use super::process::{Process, id_of, place_of_id};
use crate::client::is_ephemeral;
use crate::logbook::number_of;
use crate::plan::LOOKUPS;
use crate::shared::{Life, UNIX_MS};

/// How long after the last fault everybody has recovered.
const RECOVERY_MS: u64 = 10_000;
/// How long a message may take from the log to whoever follows its topic.
const LATE_MS: u64 = 3_000;
/// How long after the store and a node are gone whoever is left goes by that.
const BYPASS_MS: u64 = 6_000;

impl World {
    /// Whether all is well, and has been for so long that everybody has recovered.
    pub(super) fn is_calm(&self) -> bool {
        self.shared.now_ms() >= self.calm_from_ms
    }

    /// Something is amiss now.
    pub(super) fn troubled(&mut self) {
        self.trouble_ms = self.shared.now_ms();
        self.calm_from_ms = self.trouble_ms + RECOVERY_MS;
    }

    /// Looks whether something is amiss. While all is well and has been for long, what was stored some seconds ago has
    /// reached whoever follows it.
    pub(super) fn check_calm(&mut self, client: usize) {
        let now_ms = self.shared.now_ms();
        let busy = |process: &Process| process.paused || process.draining.is_some() || !process.is_up();
        let gone = (0..self.processes.len()).any(|at| self.lives[at] > 0 && self.processes[at].is_none());
        if gone || self.processes.iter().flatten().any(busy) || !self.shared.state().net.is_well() {
            self.troubled();
        }
        let this = &self.clients[client];
        let [connection] = &this.connections[..] else { return };
        let mute = self.sockets.get(&connection.socket).is_none_or(|socket| socket.mute);
        if !self.is_calm()
            || this.slow
            || mute
            || now_ms < connection.begun_ms + LATE_MS
            || this.changed_lately(now_ms)
        {
            return;
        }
        self.tally.calm += 1;
        let unix_ms = UNIX_MS + now_ms - LATE_MS;
        let mut late = this.is_late(&self.shared.state().log, unix_ms);
        let shared = self.shared();
        if let (Ok(()), Some(application)) = (&late, self.application(client)) {
            late = application.is_late(&shared.state().log, unix_ms);
        }
        let late = late.and_then(|()| self.check_rosters(client, now_ms));
        if let Err(late) = late {
            self.shared.fail(format_args!("although all is well: {late}"));
        }
    }

    /// While all is well, and no group changed lately, whoever wants to know is told who is there.
    fn check_rosters(&mut self, client: usize, now_ms: u64) -> Result<(), String> {
        let lately = |at_ms: u64| now_ms < at_ms + LATE_MS;
        let moves = self.clients.iter().any(|client| match &client.connections[..] {
            [only] => lately(only.begun_ms),
            _ => true,
        });
        // Whose connection is dead counts as there until that is noticed.
        let deaf =
            self.clients.iter().any(|client| client.slow) || self.sockets.values().any(|socket| socket.mute);
        let this = &self.clients[client];
        let changes = |topic: &String| self.changed_ms.get(topic).is_some_and(|at_ms| lately(*at_ms));
        if self.npm.is_some() || moves || deaf || !this.watches || this.topics.iter().any(changes) {
            return Ok(());
        }
        self.tally.rosters += 1;
        this.check_rosters(|topic| self.members_of(topic))
    }

    /// Who is in a group.
    fn members_of(&self, topic: &str) -> BTreeSet<String> {
        let members = self.clients.iter().filter(|client| client.topics.contains(topic));
        members.map(|client| client.user.clone()).collect()
    }

    /// Whoever left a group, or was lost, did so: while all is well nobody who stays is said to have gone.
    pub(super) fn check_left(&self, client: usize, frame: &Value) {
        if frame["op"] != "presence" || !self.is_calm() || self.npm.is_some() {
            return;
        }
        let now_ms = self.shared.now_ms();
        let topic = format!("g:{}", frame["group"].as_str().unwrap_or_default());
        let changed = self.changed_ms.get(&topic).is_some_and(|at_ms| now_ms < at_ms + LATE_MS);
        // Whose connection is dead is gone once that is noticed.
        let live = |socket: u64| self.sockets.get(&socket).is_some_and(|socket| !socket.mute);
        let stays = |user: &Value| {
            let user = self.clients.iter().find(|client| *user == client.user.as_str());
            user.is_some_and(|user| {
                let mut connections = user.connections.iter();
                user.topics.contains(&topic) && connections.any(|connection| live(connection.socket))
            })
        };
        let left = frame["left"].as_array().into_iter().flatten().find(|user| stays(user));
        if let Some(user) = left.filter(|_| !changed) {
            self.shared.fail(format_args!("c{client} is told that {user} left, who did not: {frame}"));
        }
    }

    /// A node that has been without a store for long reads the ring past those that have been dead for long, if nothing
    /// else is amiss.
    pub(super) fn check_bypass(&mut self, life: Life) {
        let now_ms = self.shared.now_ms();
        let long = |since_ms: u64| now_ms >= since_ms + BYPASS_MS;
        if !self.store_away_ms.is_some_and(long)
            || !long(self.healed_ms)
            || self.shared.state().net.cut.iter().flatten().any(|cut| *cut)
        {
            return;
        }
        let Some(process) = self.processes[life.place].as_ref().filter(|process| long(process.awake_ms))
        else {
            return;
        };
        let Some(core) = &process.core else { return };
        // Who never was linked to it knows of its death from the store only.
        let begun_ms = process.awake_ms;
        let knows = |at_ms: u64| long(at_ms) && begun_ms <= at_ms;
        let ring = core.ring();
        let dead = |member: &Member| {
            place_of_id(&member.id).is_some_and(|place| self.ended_ms[place].is_some_and(knows))
                && process.diallers.get(&member.id).is_some_and(|dialler| dialler.had_link(member.generation))
        };
        let holders: Vec<&Member> = ring.members().filter(|member| ring.slot_count(&member.id) > 0).collect();
        let stuck = holders.iter().find(|member| dead(member)).map(|member| member.id.clone());
        let others = holders.iter().any(|member| !dead(member));
        self.tally.bypass_looks += u64::from(ring.members().any(dead));
        if let Some(stuck) = stuck.filter(|_| others) {
            self.shared.fail(format_args!("{life} has no store and goes by {stuck}, which is dead"));
        }
    }

    /// While nothing fails, and nothing failed lately, no send does.
    pub(super) fn check_promise(&mut self, client: usize, frame: &Value) {
        let Some(number) = frame["ref"].as_u64() else { return };
        let failed = frame["op"] == "error" || frame["failed"].as_array().is_some_and(|all| !all.is_empty());
        let send = usize::try_from(number).ok().and_then(|number| self.book.sends.get(number));
        if failed && send.is_some_and(|send| send.calm && send.at_ms > self.trouble_ms) {
            self.shared.fail(format_args!("a send of c{client} failed although all is well: {frame}"));
        }
    }

    /// All have the same view, of all who are there, soon after the last fault.
    pub(super) fn check_settled(&mut self) {
        if let Err(wrong) = self.check_views() {
            self.shared.fail(format_args!("although nothing fails any more: {wrong}"));
        }
    }

    /// How everything stands in the end.
    ///
    /// # Errors
    /// What is not right.
    pub(super) async fn check_end(&mut self) -> Result<(), String> {
        let ring = self.check_views()?;
        self.check_clients(&ring)?;
        self.check_applications()?;
        self.check_everywhere()?;
        self.check_log(&ring).await
    }

    /// Everybody has the same view, of exactly those who run.
    fn check_views(&mut self) -> Result<std::sync::Arc<Ring>, String> {
        let mut common: Option<std::sync::Arc<Ring>> = None;
        let mut nodes = Vec::new();
        for process in self.processes.iter().flatten() {
            let Some(ring) = process.keeper.as_ref().and_then(|keeper| keeper.ring()) else {
                return Err(format!("{} has no view", process.life));
            };
            let version = (ring.version(), ring.signature());
            let first = common.get_or_insert_with(|| ring.clone());
            if (first.version(), first.signature()) != version {
                return Err(format!("{} sees {version:?} and others see {first:?}", process.life));
            }
            if let Some(core) = &process.core {
                if core.ring().version() != ring.version() || !core.ring().changed(&ring).is_empty() {
                    return Err(format!("{} goes by {:?} and has {version:?}", process.life, core.ring()));
                }
                nodes.push((id_of(process.life.place), core.me().generation));
            } else if !LOOKUPS.contains(&process.life.place) {
                return Err(format!("{} never started", process.life));
            }
        }
        let ring = common.ok_or("nobody has a view")?;
        let mut members: Vec<_> =
            ring.members().map(|member| (member.id.clone(), member.generation)).collect();
        members.sort();
        if members != nodes {
            return Err(format!("the ring has {members:?} and there are {nodes:?}"));
        }
        Ok(ring)
    }

    /// Everybody has a socket and everything that was sent there; whoever is not at home was asked to go.
    fn check_clients(&mut self, ring: &Ring) -> Result<(), String> {
        let state = self.shared.state();
        for client in &self.clients {
            client.check_end(&state.log)?;
            let Some(main) = client.main() else { continue };
            let Some(socket) = self.sockets.get(&main.socket) else {
                return Err(format!("{} has a socket that nobody else knows of", client.user));
            };
            let home = ring.home(ring.key().slot(&format!("u:{}", client.user)));
            let away = home.is_some_and(|home| home.id != id_of(main.place));
            let asked = socket.offers > 0 || self.plan.rebalance == Rebalance::None;
            let avoided = home.is_some_and(|home| socket.avoid.contains(&home.id));
            if away && !asked && !avoided {
                return Err(format!(
                    "{} is at n{}, not at home, and was never asked to move",
                    client.user, main.place
                ));
            }
            if self.npm.is_none() {
                client.check_rosters(|topic| self.members_of(topic))?;
            }
            if let Some(number) = client.open.first() {
                return Err(format!("{number} of {} was never answered", client.user));
            }
        }
        Ok(())
    }

    /// What was acknowledged to several users reached the log of each.
    fn check_everywhere(&self) -> Result<(), String> {
        let state = self.shared.state();
        let sends = self.book.sends.iter().enumerate();
        for (number, send) in sends.filter(|(_, send)| send.acked && send.durable && send.topics.len() > 1) {
            let held = |topic: &&String| !state.log.ever_held(topic, number as u64);
            if let Some(topic) = send.topics.iter().find(held) {
                return Err(format!("{number} was acknowledged and never was in {topic}: {send:?}"));
            }
        }
        Ok(())
    }

    /// Whatever was acknowledged and not lost by the log is in it, once; the log is what its book says.
    async fn check_log(&mut self, ring: &Ring) -> Result<(), String> {
        let mut topics: Vec<String> =
            self.clients.iter().map(|client| format!("u:{}", client.user)).collect();
        topics.extend(["g:x".to_owned(), "g:y".to_owned()]);
        for name in topics.iter().filter(|name| !is_ephemeral(name)) {
            let topic = Topic { name, slot: ring.key().slot(name) };
            let cursor = Cursor::Before(u64::MAX);
            let request = ReadRequest { topic, epoch: None, cursor, count_max: 1_000, bytes_max: 1_000_000 };
            let read = self.log.read(&request).await.map_err(|error| error.to_string())?;
            let Read::Page(page) = read else { continue };
            let state = self.shared.state();
            for entry in &page.entries {
                let at = ::cluster::log::Position { offset: entry.offset, ..page.position };
                if !state.log.holds(name, at, number_of(&entry.data)) {
                    return Err(format!("{name} holds {entry:?}, which nobody appended"));
                }
            }
            for (number, send) in self.book.sends.iter().enumerate() {
                let Some(at) =
                    send.position.filter(|at| send.topics[0] == *name && at.epoch == page.position.epoch)
                else {
                    continue;
                };
                let kept = page
                    .entries
                    .iter()
                    .any(|entry| entry.offset == at.offset && number_of(&entry.data) == number as u64);
                if !kept && !state.log.was_lost(name, at) && at.offset >= page.first {
                    return Err(format!("{number} was acknowledged at {at:?} in {name} and is not there"));
                }
            }
        }
        Ok(())
    }
}
