//! What a client makes of each frame.

use cluster::log::Position;
use serde_json::Value;

use super::connection::{Request, position_of};
use super::{Act, Client, Told, is_ephemeral};
use crate::book::Book;
use crate::logbook::LogBook;

/// What the judges know while a frame is taken.
pub(crate) struct Facts<'a> {
    /// All sends.
    pub(crate) book: &'a mut Book,
    /// What the log holds.
    pub(crate) log: &'a LogBook,
    /// The log keeps all: nothing is ever trimmed.
    pub(crate) keeps_all: bool,
}

impl Facts<'_> {
    /// Whether nothing can be missing of a topic behind a place, or from its beginning.
    fn complete(&self, topic: &str, at: Option<Position>) -> bool {
        self.keeps_all && self.log.keeps(topic, at)
    }
}

impl Client {
    /// Takes a frame that came over a socket.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take(
        &mut self,
        socket: u64,
        frame: &Value,
        facts: &mut Facts<'_>,
    ) -> Result<Vec<Act>, String> {
        let Some(at) = self.connections.iter().position(|connection| connection.socket == socket) else {
            return Ok(Vec::new());
        };
        let topic = frame["topic"].as_str().unwrap_or_default().to_owned();
        let mut acts = Vec::new();
        match frame["op"].as_str().unwrap_or_default() {
            "welcome" => {
                self.welcomed(at, frame, facts)?;
                acts.push(Act::Repeat(socket));
            }
            "recovered" => {
                let stand = self.connections[at].stands.get(&topic);
                if stand.is_none_or(|stand| stand.told != Some(Told::Pending)) {
                    return Err(format!("{frame} {stand:?}"));
                }
                self.told(at, &topic, frame, facts)?;
            }
            "message" if frame.get("id").is_some() => self.ephemeral(at, &topic, frame, facts)?,
            "message" => self.entry(at, &topic, frame, facts)?,
            "gap" => {
                let place = self.connections[at].stands.get(&topic).and_then(|stand| stand.at);
                if facts.complete(&topic, place) {
                    return Err(format!("nothing was lost: {frame}"));
                }
                self.connections[at].gap(&topic, frame)?;
                self.jumped(at, &topic, frame);
            }
            "ack" => self.acked(at, frame, facts)?,
            "error" => self.failed(at, frame, facts)?,
            "moved" => acts.extend(self.moved(at, frame)),
            "ping" => acts.push(Act::Say(socket, "{\"op\":\"pong\"}".to_owned())),
            "presence" => self.connections[at].presence(frame)?,
            "bye" => {}
            _ => return Err(format!("unexpected {frame}")),
        }
        acts.extend(self.watch_more(socket));
        acts.extend(self.leave_old());
        Ok(acts)
    }

    /// Once the latest connection stands in every topic the other one is left.
    fn leave_old(&mut self) -> Option<Act> {
        let [old, new] = &mut self.connections[..] else { return None };
        if old.detached || old.name.is_none() || !new.is_whole() {
            return None;
        }
        old.detached = true;
        Some(Act::Say(old.socket, "{\"op\":\"detach\"}".to_owned()))
    }

    fn welcomed(&mut self, at: usize, frame: &Value, facts: &Facts<'_>) -> Result<(), String> {
        let connection = &mut self.connections[at];
        let (Some(name), Some(topics)) = (frame["session"].as_str(), frame["topics"].as_object()) else {
            return Err(format!("a welcome without a session: {frame}"));
        };
        if connection.name.replace(name.to_owned()).is_some() || frame["user"] != self.user.as_str() {
            return Err(format!("not the welcome of {}: {frame}", self.user));
        }
        let missing = |topic: &&String| !topics.contains_key(*topic) && !connection.is_asked(topic);
        if let Some(topic) = connection.stands.keys().find(missing) {
            return Err(format!("{topic} is not in {frame}"));
        }
        for (topic, standing) in topics {
            self.told(at, topic, standing, facts)?;
        }
        Ok(())
    }

    fn told(&mut self, at: usize, topic: &str, standing: &Value, facts: &Facts<'_>) -> Result<(), String> {
        let Some(stand) = self.connections[at].stands.get_mut(topic) else {
            return Err(format!("{topic} is not followed: {standing}"));
        };
        if let Some(begin) = stand.told(standing, facts.complete(topic, stand.begins()))?
            && !self.positions.contains_key(topic)
        {
            self.stand(at, topic, begin);
        }
        Ok(())
    }

    /// A connection brought a topic into an epoch.
    fn stand(&mut self, at: usize, topic: &str, position: Position) {
        let brought = self.connections[at].socket;
        let sockets = self.connections.iter().map(|connection| connection.socket);
        self.behind.insert(topic.to_owned(), sockets.filter(|socket| *socket != brought).collect());
        self.positions.insert(topic.to_owned(), position);
    }

    fn entry(&mut self, at: usize, topic: &str, frame: &Value, facts: &mut Facts<'_>) -> Result<(), String> {
        let (Some(position), Some(number)) = (position_of(frame), frame["data"].as_u64()) else {
            return Err(format!("no entry: {frame}"));
        };
        self.theirs(topic, number, frame, facts)?;
        if !facts.log.holds(topic, position, number) {
            return Err(format!("the log does not hold what {} was sent: {frame}", self.user));
        }
        let live = frame.get("replayed").is_none();
        self.connections[at].entry(topic, position, live, facts.complete(topic, Some(position)))?;
        let before = self.positions.get(topic).copied();
        if before.is_some_and(|before| before.epoch != position.epoch || before.offset >= position.offset) {
            return Ok(());
        }
        if let Some(before) = before.filter(|before| before.offset + 1 != position.offset) {
            return Err(format!("{} had {before:?} of {topic} and got {position:?}", self.user));
        }
        match before {
            None => self.stand(at, topic, position),
            Some(_) => _ = self.positions.insert(topic.to_owned(), position),
        }
        facts.book.delivered += 1;
        if !self.taken.entry(topic.to_owned()).or_default().insert(number) {
            return Err(format!("{} got {number} of {topic} twice", self.user));
        }
        Ok(())
    }

    /// Whether a message is for this client at all.
    fn theirs(&self, topic: &str, number: u64, frame: &Value, facts: &Facts<'_>) -> Result<(), String> {
        let send = usize::try_from(number).ok().and_then(|number| facts.book.sends.get(number));
        let own = topic.strip_prefix("u:").is_none_or(|user| user == self.user);
        let sent = send.is_some_and(|send| send.topics.iter().any(|name| name == topic));
        let from = send.is_some_and(|send| frame["from"] == send.user.as_str());
        if own && sent && from { Ok(()) } else { Err(format!("not for {}: {frame}", self.user)) }
    }

    fn ephemeral(
        &mut self,
        at: usize,
        topic: &str,
        frame: &Value,
        facts: &mut Facts<'_>,
    ) -> Result<(), String> {
        let id = frame["id"].as_str().and_then(|id| id.rsplit_once('-'));
        let parsed = id.and_then(|(origin, counter)| Some((origin.to_owned(), counter.parse::<u64>().ok()?)));
        let (Some((origin, counter)), Some(number)) = (parsed, frame["data"].as_u64()) else {
            return Err(format!("no ephemeral message: {frame}"));
        };
        self.theirs(topic, number, frame, facts)?;
        self.connections[at].ephemeral(topic, &origin, counter)?;
        let last = self.counters.entry((topic.to_owned(), origin)).or_insert(0);
        if *last >= counter {
            return Ok(());
        }
        *last = counter;
        facts.book.delivered += 1;
        if !self.taken.entry(format!("~{topic}")).or_default().insert(number) {
            return Err(format!("{} got the ephemeral {number} of {topic} twice", self.user));
        }
        Ok(())
    }

    fn jumped(&mut self, at: usize, topic: &str, frame: &Value) {
        let epoch = frame["epoch"].as_str().and_then(crate::logbook::epoch_of);
        let (Some(epoch), Some(before)) = (epoch, frame["before"].as_u64()) else { return };
        let next = Position { epoch, offset: before.saturating_sub(1) };
        let position = self.positions.get(topic).copied();
        let same = position.filter(|position| position.epoch == next.epoch);
        if frame["reason"] != "log_lost" {
            if same.is_some_and(|position| position.offset < next.offset) {
                self.positions.insert(topic.to_owned(), next);
            }
            return;
        }
        let socket = self.connections[at].socket;
        let late = self.behind.get_mut(topic).is_some_and(|behind| behind.remove(&socket));
        if same.is_none() || !late {
            self.stand(at, topic, next);
            self.taken.remove(topic);
        }
    }

    fn acked(&mut self, at: usize, frame: &Value, facts: &mut Facts<'_>) -> Result<(), String> {
        let Some(reference) = frame["ref"].as_u64() else { return Err(format!("whose answer? {frame}")) };
        match self.connections[at].answered(reference) {
            Some(Request::Join(topic)) => return self.told(at, &topic, frame, facts),
            Some(Request::Leave(topic)) => {
                self.connections[at].stands.remove(&topic);
                self.connections[at].rosters.remove(&topic);
                return Ok(());
            }
            Some(Request::Watch) => return Ok(()),
            None => {}
        }
        let number = self.answered(at, reference, frame)?;
        let position = position_of(frame);
        let whole = frame["failed"].as_array().is_none_or(Vec::is_empty);
        if let (Some(position), Some(send)) = (position, facts.book.sends.get(number))
            && !facts.log.holds(&send.topics[0], position, reference)
        {
            return Err(format!("the log does not hold what was acknowledged: {frame}"));
        }
        facts.book.acked(number, self.connections[at].socket, position, (whole, facts.log.losses))
    }

    fn failed(&mut self, at: usize, frame: &Value, facts: &mut Facts<'_>) -> Result<(), String> {
        let Some(reference) = frame["ref"].as_u64() else {
            // It concerns the session, which is closed.
            return if frame["temporary"] == true { Ok(()) } else { Err(format!("refused: {frame}")) };
        };
        if frame["temporary"] != true {
            return Err(format!("refused: {frame}"));
        }
        if self.connections[at].answered(reference).is_some() {
            return Err(format!("about a group: {frame}"));
        }
        let number = self.answered(at, reference, frame)?;
        facts.book.failed += 1;
        if let Some(send) = facts.book.sends.get_mut(number) {
            (send.settled, send.failed) = (true, true);
        }
        Ok(())
    }

    fn answered(&mut self, at: usize, reference: u64, frame: &Value) -> Result<usize, String> {
        let number = usize::try_from(reference).unwrap_or(usize::MAX);
        if !self.connections[at].awaiting.remove(&number) {
            return Err(format!("a second answer, or nobody's: {frame}"));
        }
        self.open.remove(&number);
        Ok(number)
    }

    fn moved(&mut self, at: usize, frame: &Value) -> Option<Act> {
        if self.stays || at + 1 != self.connections.len() || !self.may_move() {
            return None;
        }
        let ticket = frame["protocols"][1].as_str()?.strip_prefix("ticket.")?.to_owned();
        let url = frame["url"].as_str()?.to_owned();
        Some(Act::Move { url, ticket, spread_ms: frame["spread_ms"].as_u64()? })
    }

    /// Whether it has what was stored by a time of the store's clock.
    ///
    /// # Errors
    /// What it lacks.
    pub(crate) fn is_late(&self, log: &LogBook, unix_ms: u64) -> Result<(), String> {
        let user = &self.user;
        let Some(connection) = self.main().filter(|connection| connection.is_whole()) else {
            return Err(format!("{user} was not told where it stands: {:?}", self.connections));
        };
        for topic in self.topics.iter().filter(|topic| !is_ephemeral(topic)) {
            let Some(head) = log.head_at(topic, unix_ms).filter(|head| head.offset > 0) else { continue };
            let at = connection.stands.get(topic).and_then(|stand| stand.at);
            if at.is_none_or(|at| at.epoch != head.epoch || at.offset < head.offset) {
                return Err(format!("{user} is at {at:?} in {topic}, which was at {head:?} seconds ago"));
            }
        }
        Ok(())
    }

    /// What would not be right in the end: it must stand at the end of each of its topics.
    ///
    /// # Errors
    /// What is not right.
    pub(crate) fn check_end(&self, log: &LogBook) -> Result<(), String> {
        let user = &self.user;
        let Some(connection) = self.main() else { return Err(format!("{user} has no socket")) };
        if !connection.is_whole() {
            return Err(format!("{user} was not told where it stands: {connection:?}"));
        }
        for topic in self.topics.iter().filter(|topic| !is_ephemeral(topic)) {
            let Some(head) = log.head(topic) else { continue };
            let at = connection.stands.get(topic).and_then(|stand| stand.at);
            let at = at.or((head.offset == 0).then_some(head));
            if at != Some(head) {
                return Err(format!("{user} is at {at:?} in {topic}, which is at {head:?}"));
            }
        }
        Ok(())
    }
}
