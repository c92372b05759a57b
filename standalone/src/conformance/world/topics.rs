//! Topics of the checker's log, and how what is in it reaches sessions.

use cluster::log::{Epoch, Position};
use cluster::wire::client::Since;
use cluster::wire::node::{
    Gap, GapReason, Message, MessageId, Name, NodeFrame, Recovered, Recovery, Standing,
};

use super::{GROUP, Item, World, epoch};
use crate::conformance::heard::CHECKER;
use crate::conformance::record::{ConnId, Ms, Said, What};

/// A topic's log.
pub(super) struct Topic {
    epoch: Epoch,
    /// How many epochs there were before.
    lives: u64,
    /// The offset of the newest entry.
    head: u64,
    /// Entries from `first` on; what is before is gone.
    first: u64,
    entries: Vec<u64>,
}

impl Default for Topic {
    fn default() -> Self {
        Self { epoch: epoch(0), lives: 0, head: 0, first: 1, entries: Vec::new() }
    }
}

// === impl Topic ===

impl Topic {
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head }
    }

    /// All that it holds is gone, without a word to anybody.
    pub(super) fn forget(&mut self) {
        self.first = self.head + 1;
        self.entries.clear();
    }
}

// === impl World ===

impl World {
    /// The topic of the client's own inbox.
    pub(in crate::conformance) fn inbox(&self) -> String {
        format!("u:{}", self.user)
    }

    /// Stores a message that asks for an echo and passes it on. Gives its number.
    pub(in crate::conformance) fn publish(&mut self, topic: &str, now: Ms) -> u64 {
        self.n += 1;
        let n = self.n;
        let entry = self.topics.entry(topic.to_owned()).or_default();
        entry.head += 1;
        entry.entries.push(n);
        let position = entry.position();
        self.record.add(now, What::Published { topic: topic.to_owned(), n, durable: true });
        for conn in self.followers(topic) {
            self.message(conn, topic, Name::Entry(position), n, now);
        }
        n
    }

    /// Passes on an ephemeral message that asks for an echo, to each session twice if it has two connections. Gives its number.
    pub(in crate::conformance) fn publish_ephemeral(&mut self, topic: &str, now: Ms) -> u64 {
        self.n += 1;
        // One is left out, for `overtaken`.
        self.ephemerals += 2;
        self.overtaken = self.ephemerals - 1;
        let (n, counter) = (self.n, self.ephemerals);
        self.record.add(now, What::Published { topic: topic.to_owned(), n, durable: false });
        for conn in self.followers(topic) {
            let id = MessageId { node: "n9", generation: 7, counter };
            self.message(conn, topic, Name::Origin(id), n, now);
        }
        n
    }

    /// Passes on, on this connection, the ephemeral message that the last one overtook.
    pub(in crate::conformance) fn publish_late(&mut self, conn: ConnId, topic: &str, now: Ms) {
        self.n += 1;
        let n = self.n;
        self.record.add(now, What::Late { n });
        let id = MessageId { node: "n9", generation: 7, counter: self.overtaken };
        self.message(conn, topic, Name::Origin(id), n, now);
    }

    /// Tells the application to begin anew with another client in so many milliseconds. Gives the time of that.
    pub(in crate::conformance) fn restart(&mut self, conn: ConnId, after_ms: Ms, now: Ms) -> Ms {
        let due = now + after_ms;
        self.record.add(now, What::Restart { due });
        self.tell(conn, &format!(r#"{{"do":"restart","after_ms":{after_ms}}}"#), now);
        due
    }

    /// Tells the application to close its client, for good.
    pub(in crate::conformance) fn stop(&mut self, conn: ConnId, now: Ms) {
        self.record.add(now, What::Stop);
        self.tell(conn, r#"{"do":"stop"}"#, now);
    }

    /// Tells a session what the application is to do, as an ephemeral message.
    fn tell(&mut self, conn: ConnId, data: &str, now: Ms) {
        self.ephemerals += 1;
        let id = MessageId { node: "n9", generation: 8, counter: self.ephemerals };
        let topic = self.inbox();
        let message = Message { topic: &topic, name: Name::Origin(id), from: CHECKER, data, time: now };
        self.out.push((conn, Item::Text(message.to_json())));
    }

    /// The log loses entries: `count` offsets that nobody has had are trimmed.
    pub(in crate::conformance) fn trim(&mut self, topic: &str, count: u64, now: Ms) {
        let entry = self.topics.entry(topic.to_owned()).or_default();
        let after = entry.head;
        entry.head += count;
        entry.first = entry.head + 1;
        entry.entries.clear();
        let gap = (entry.epoch, after, entry.head + 1, GapReason::Trimmed);
        self.tell_gap(topic, gap, now);
    }

    /// The log loses the topic, which begins anew in another epoch.
    pub(in crate::conformance) fn lose(&mut self, topic: &str, now: Ms) {
        let entry = self.topics.entry(topic.to_owned()).or_default();
        let after = entry.head;
        let lives = entry.lives + 1;
        *entry = Topic { epoch: epoch(lives), lives, ..Topic::default() };
        let gap = (entry.epoch, after, 1, GapReason::LogLost);
        self.tell_gap(topic, gap, now);
    }

    /// The log has answered for a topic that was pending: what was missed follows.
    pub(in crate::conformance) fn recover(&mut self, conn: ConnId, topic: &str, now: Ms) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(since) = session.pending.remove(topic) else { return };
        session.topics.insert(topic.to_owned());
        let (standing, _) = self.standing(topic, since);
        let frame = NodeFrame::Recovered(Recovered { topic, standing });
        self.record.add(now, What::Said { conn, said: Said::Recovered { topic: topic.to_owned() } });
        self.say(conn, &frame);
        self.replay(conn, topic, since, now);
    }

    /// Where a topic stands for who has had everything up to `since`, and whether all follows.
    pub(super) fn standing(&mut self, topic: &str, since: Option<Since>) -> (Standing, bool) {
        let entry = self.topics.entry(topic.to_owned()).or_default();
        let whole = since.and_then(Since::position).is_none_or(|at| {
            at.epoch == entry.epoch && at.offset + 1 >= entry.first && at.offset <= entry.head
        });
        let recovered = if whole { Recovery::Whole } else { Recovery::Partly };
        (Standing::In { position: Some(entry.position()), recovered }, whole)
    }

    /// Sends what was missed, with the gap before it if not all is there.
    pub(super) fn replay(&mut self, conn: ConnId, topic: &str, since: Option<Since>, now: Ms) {
        let Some(since) = since else { return };
        let (_, whole) = self.standing(topic, Some(since));
        let Some(entry) = self.topics.get(topic) else { return };
        let (epoch, first, head, same) =
            (entry.epoch, entry.first, entry.head, since.epoch.is_none_or(|epoch| epoch == entry.epoch));
        let from = if same { since.offset.max(first - 1) } else { first - 1 };
        let skipped = usize::try_from(from + 1 - first).unwrap_or(usize::MAX);
        let missed: Vec<(u64, u64)> =
            (from + 1..=head).zip(entry.entries.iter().copied().skip(skipped)).collect();
        if !whole {
            let reason = if same { GapReason::Trimmed } else { GapReason::LogLost };
            self.gap(conn, topic, (epoch, since.offset, from + 1, reason), now);
        }
        for (offset, n) in missed {
            self.message(conn, topic, Name::Replayed(Position { epoch, offset }), n, now);
        }
    }

    fn tell_gap(&mut self, topic: &str, gap: (Epoch, u64, u64, GapReason), now: Ms) {
        for conn in self.followers(topic) {
            self.gap(conn, topic, gap, now);
        }
    }

    fn gap(&mut self, conn: ConnId, topic: &str, gap: (Epoch, u64, u64, GapReason), now: Ms) {
        let (epoch, after, before, reason) = gap;
        let position = Position { epoch, offset: before - 1 };
        let said = Said::Gap { topic: topic.to_owned(), position };
        self.record.add(now, What::Said { conn, said });
        self.say(conn, &NodeFrame::Gap(Gap { topic, epoch, after, before, reason }));
    }

    fn message(&mut self, conn: ConnId, topic: &str, name: Name<'_>, n: u64, now: Ms) {
        // With a field of a later version.
        let data = format!(r#"{{"do":"echo","n":{n},"later":null}}"#);
        let text = Message { topic, name, from: CHECKER, data: &data, time: now }.to_json();
        let text = text.replacen('{', r#"{"later":{"a":[true]},"#, 1);
        if let Name::Entry(position) | Name::Replayed(position) = name {
            let said = Said::Message { topic: topic.to_owned(), position };
            self.record.add(now, What::Said { conn, said });
        }
        self.out.push((conn, Item::Text(text)));
    }

    /// The connections that bring a topic.
    fn followers(&self, topic: &str) -> Vec<ConnId> {
        let follows = |(conn, session): (&ConnId, &super::Session)| {
            (session.is_live() && session.topics.contains(topic)).then_some(*conn)
        };
        self.sessions.iter().filter_map(follows).collect()
    }

    /// The topics that every session of the client follows.
    pub(super) fn own_topics(&self) -> [String; 2] {
        [self.inbox(), GROUP.to_owned()]
    }
}
