//! A client that is the npm client: what it says is noted, so that what nodes answer can be judged as for any other client.

use std::collections::BTreeMap;

use cluster::log::Position;
use serde_json::Value;

use super::connection::{Connection, Request, position_of};
use super::{Client, Wish};

/// What its references of joins and leaves are called here: above all numbers of sends.
const JOINS: u64 = 1_000_000_000;

impl Client {
    /// It says something over a socket to the node at `place`. Answers the number of the send, if it is one.
    ///
    /// # Errors
    /// The frame is none of the protocol's.
    pub(crate) fn says(
        &mut self,
        (socket, place): (u64, usize),
        frame: &Value,
        now_ms: u64,
    ) -> Result<Option<usize>, String> {
        let group = || frame["group"].as_str().map(|group| format!("g:{group}"));
        let reference = watched_ref(&frame["ref"], &BTreeMap::new());
        let op = frame["op"].as_str().unwrap_or_default();
        if op == "hello" {
            let wishes = self.wishes_of(frame);
            self.connections.push(Connection::new(socket, place, wishes, now_ms));
            return Ok(None);
        }
        let Some(at) = self.connections.iter().position(|connection| connection.socket == socket) else {
            return Err(format!("{frame} before hello"));
        };
        match (op, group(), reference) {
            ("join", Some(topic), Some(reference)) => {
                let wish = wish_of(&frame["since"]);
                self.anew(&topic, wish);
                self.connections[at].joins(reference, &topic, wish);
            }
            ("leave", Some(topic), Some(reference)) => self.connections[at].leaves(reference, &topic),
            ("detach", ..) => self.connections[at].detached = true,
            ("pong", ..) => {}
            ("send", ..) if frame["ref"] == "probe" => {}
            ("send", ..) => {
                let number = frame["data"].as_u64().and_then(|number| usize::try_from(number).ok());
                let Some(number) = number else { return Err(format!("what is sent? {frame}")) };
                self.connections[at].awaiting.insert(number);
                return Ok(Some(number));
            }
            _ => return Err(format!("a client says {frame}")),
        }
        Ok(None)
    }

    /// Takes a node's answer to a join or leave over a socket that the session is not in the group; whether it is one. It left
    /// before the join was answered, or what its new connection had not joined: either is as good as left.
    pub(crate) fn is_out(&mut self, socket: u64, frame: &Value) -> bool {
        let reference = frame["ref"].as_u64().filter(|_| frame["code"] == "not_joined");
        let (Some(reference), Some(connection)) = (reference, self.on(socket)) else { return false };
        match connection.answered(reference) {
            Some(Request::Leave(topic)) => {
                connection.stands.remove(&topic);
                true
            }
            Some(Request::Join(_) | Request::Watch) => true,
            None => false,
        }
    }

    fn wishes_of(&mut self, hello: &Value) -> Vec<(String, Wish)> {
        let mut wishes = BTreeMap::from([(format!("u:{}", self.user), Wish::Nothing)]);
        let groups = hello["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
        wishes.extend(groups.map(|group| (format!("g:{group}"), Wish::Nothing)));
        let resume = hello["resume"].as_object().into_iter().flatten();
        wishes.extend(resume.map(|(topic, since)| (topic.clone(), wish_of(since))));
        wishes.into_iter().collect()
    }

    /// It joins a topic: without a position it knows nothing of what was there before.
    fn anew(&mut self, topic: &str, wish: Wish) {
        if wish.position().is_none() {
            self.positions.remove(topic);
            self.taken.remove(topic);
        }
    }
}

/// A node's frame with numbers for references, as clients here have them; `None` if it answers a probe.
pub(crate) fn watched(frame: &Value, sends: &BTreeMap<String, usize>) -> Option<Value> {
    let mut frame = frame.clone();
    if frame["ref"] == "probe" {
        return None;
    }
    if let Some(reference) = watched_ref(&frame["ref"], sends) {
        frame["ref"] = reference.into();
    }
    Some(frame)
}

fn watched_ref(reference: &Value, sends: &BTreeMap<String, usize>) -> Option<u64> {
    let text = reference.as_str()?;
    let send = sends.get(text).map(|number| *number as u64);
    send.or_else(|| Some(JOINS + text.strip_prefix('t')?.parse::<u64>().ok()?))
}

fn wish_of(since: &Value) -> Wish {
    match position_of(since) {
        Some(Position { epoch, offset }) => Wish::At(Position { epoch, offset }),
        None if since.is_null() => Wish::Nothing,
        None => Wish::All,
    }
}
