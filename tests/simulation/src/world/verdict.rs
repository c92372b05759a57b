//! What must be right: promises that hold at any time, and how everything stands in the end.

use ::cluster::log::{Cursor, Read, ReadRequest, Topic};
use ::cluster::ring::Ring;
use serde_json::Value;
use ws_node::core::Rebalance;

use super::World;
use super::process::id_of;
use crate::client::is_ephemeral;
use crate::logbook::number_of;
use crate::plan::{HEALED_MS, LOOKUPS};

impl World {
    /// While nothing fails, and nothing failed lately, no send does.
    pub(super) fn check_promise(&mut self, client: usize, frame: &Value) {
        let quiet = self.plan.faults.is_empty();
        let Some(number) = frame["ref"].as_u64() else { return };
        let failed = frame["op"] == "error" || frame["failed"].as_array().is_some_and(|all| !all.is_empty());
        let at_ms = usize::try_from(number).ok().and_then(|n| self.book.sends.get(n)).map(|send| send.at_ms);
        if failed && at_ms.is_some_and(|at_ms| at_ms >= HEALED_MS || quiet) {
            self.shared.fail(format_args!("a send of c{client} failed although all is well: {frame}"));
        }
    }

    /// How everything stands in the end.
    ///
    /// # Errors
    /// What is not right.
    pub(super) async fn check_end(&mut self) -> Result<(), String> {
        let ring = self.check_views()?;
        self.check_clients(&ring)?;
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
                if core.ring().version() != ring.version() {
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
            for number in &client.open {
                return Err(format!("{number} of {} was never answered", client.user));
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
