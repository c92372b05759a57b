//! What can happen in a storm.

use serde_json::json;

use super::super::sinks::Memory;
use super::book::{Answer, Send};
use super::{GROUPS, NODES, Storm};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Send,
    Carry,
    CarryOut,
    Tell,
    Tick,
    Connect,
    Lose,
    Join,
    Leave,
    Move,
    Ring,
    Show,
    Work,
    Cut,
    Open,
    Reach,
    Squeeze,
    Slow,
    Full,
    Fail,
    Rob,
}

/// How often each of them comes.
pub(super) const EVENTS: [(u64, Event); 21] = [
    (30, Event::Send),
    (60, Event::Carry),
    (25, Event::CarryOut),
    (25, Event::Tell),
    (8, Event::Tick),
    (6, Event::Connect),
    (3, Event::Lose),
    (3, Event::Join),
    (3, Event::Leave),
    (2, Event::Move),
    (2, Event::Ring),
    (5, Event::Show),
    (15, Event::Work),
    (2, Event::Cut),
    (5, Event::Open),
    (2, Event::Reach),
    (2, Event::Squeeze),
    (2, Event::Slow),
    (2, Event::Full),
    (2, Event::Fail),
    (4, Event::Rob),
];

impl Storm {
    pub(super) fn happen(&mut self, event: Event) {
        let (node, at) = (self.dice.below(NODES as u64) as usize, self.dice.below(3) as usize);
        match event {
            Event::Send => self.send(at),
            Event::Carry => self.carry(),
            Event::CarryOut => self.carry_out(node),
            Event::Tell => {
                let count = self.world.done[node].len() as u64;
                if count > 0 {
                    let which = self.dice.below(count) as usize;
                    self.world.tell(node, which);
                }
            }
            Event::Tick => self.world.pass(100),
            Event::Connect if self.clients[at].connections.is_empty() => self.connect(at),
            Event::Move if self.clients[at].may_move() => self.connect(at),
            Event::Lose => self.lose(at, 0),
            Event::Join => self.join(at),
            Event::Leave => self.leave(at),
            Event::Ring => self.change_ring(),
            Event::Show => {
                let which = self.dice.below(self.rings.len() as u64) as usize;
                let ring = self.rings[which].clone();
                self.world.show(node, &ring);
            }
            Event::Work => {
                let now = self.world.now();
                self.world.nodes[node].work_off(now);
            }
            Event::Cut | Event::Open => self.link(matches!(event, Event::Open)),
            Event::Reach => self.reach(),
            Event::Squeeze => self.squeeze(),
            Event::Slow => {
                let waiting = if self.dice.one_in(2) { 1_000_000 } else { 0 };
                self.memories(at).iter().for_each(|memory| memory.set_waiting(waiting));
            }
            Event::Full => {
                let full = self.dice.one_in(3);
                self.world.asked[node].set_full(full);
            }
            Event::Fail => self.answers_lost = self.dice.one_in(2),
            Event::Rob => self.rob(),
            Event::Connect | Event::Move => {}
        }
    }

    pub(super) fn memories(&self, at: usize) -> Vec<Memory> {
        self.clients[at].connections.iter().map(|connection| connection.memory.clone()).collect()
    }

    pub(super) fn read(&mut self) {
        for client in &mut self.clients {
            for ended in client.read(&mut self.book) {
                self.world.nodes[ended.node].closed(ended.key);
            }
        }
    }

    pub(super) fn connect(&mut self, at: usize) {
        let node = self.dice.below(NODES as u64) as usize;
        let client = &mut self.clients[at];
        let (key, memory) = self.world.admit(node, &client.user, &[]);
        self.connections += 1;
        let hello = client.hello(self.connections, node, key, memory, self.dice.one_in(2));
        self.world.say(node, key, &hello);
        // Whoever gives keys says again what was not answered.
        for number in 0..self.book.sends.len() {
            let send = &mut self.book.sends[number];
            let own = send.key.as_ref().is_some_and(|key| key.starts_with(&self.clients[at].user));
            if own && send.answer == Answer::Never {
                (send.answer, send.repeated) = (Answer::Open, true);
                self.say_send(at, number);
            }
        }
    }

    /// A connection breaks.
    pub(super) fn lose(&mut self, at: usize, which: usize) {
        let client = &mut self.clients[at];
        if client.connections.len() <= which {
            return;
        }
        let connection = client.connections.remove(which);
        self.world.nodes[connection.node].closed(connection.key);
        for send in &mut self.book.sends {
            if send.connection == connection.number && send.answer == Answer::Open {
                send.answer = Answer::Never;
            }
        }
    }

    pub(super) fn send(&mut self, at: usize) {
        let Some(connection) = self.clients[at].connections.last() else { return };
        let number = self.book.sends.len();
        let users: Vec<String> = self.clients.iter().map(|client| format!("u:{}", client.user)).collect();
        let topics = match self.dice.below(8) {
            0..3 => vec![users[self.dice.below(3) as usize].clone()],
            3..7 => vec![GROUPS[self.dice.below(3) as usize].to_owned()],
            _ => users,
        };
        let ephemeral = self.dice.one_in(8);
        let key = self.dice.one_in(3).then(|| format!("{} {number}", self.clients[at].user));
        self.book.sends.push(Send {
            durable: !ephemeral && topics[0] != "g:none",
            topics,
            key,
            connection: connection.number,
            repeated: false,
            answer: Answer::Open,
        });
        self.say_send(at, number);
    }

    pub(super) fn say_send(&mut self, at: usize, number: usize) {
        let connection = self.clients[at].connections.last().unwrap();
        let send = &mut self.book.sends[number];
        send.connection = connection.number;
        let user = |topic: &String| topic[2..].to_owned();
        let to = match &send.topics[..] {
            [topic] if topic.starts_with("g:") => json!({ "group": user(topic) }),
            [topic] => json!({ "user": user(topic) }),
            topics => json!({ "users": topics.iter().map(user).collect::<Vec<_>>() }),
        };
        let ephemeral = !send.durable && send.topics[0] != "g:none";
        let frame = json!({ "op": "send", "ref": number, "to": to, "data": number,
            "key": send.key, "ephemeral": ephemeral });
        self.world.say(connection.node, connection.key, &frame.to_string());
    }

    pub(super) fn join(&mut self, at: usize) {
        let topic = GROUPS[self.dice.below(3) as usize];
        if !self.clients[at].may_join(topic) {
            return;
        }
        let reference = 1_000_000 + self.dice.below(1_000_000);
        let frame = self.clients[at].join(topic, reference, self.dice.one_in(2));
        self.say_last(at, &frame);
    }

    pub(super) fn leave(&mut self, at: usize) {
        let topic = GROUPS[self.dice.below(3) as usize];
        if !self.clients[at].may_leave(topic) {
            return;
        }
        let reference = 1_000_000 + self.dice.below(1_000_000);
        let frame = self.clients[at].leave(topic, reference);
        self.say_last(at, &frame);
    }

    pub(super) fn say_last(&mut self, at: usize, frame: &str) {
        let connection = self.clients[at].connections.last().unwrap();
        let (node, key) = (connection.node, connection.key);
        self.world.say(node, key, frame);
    }

    pub(super) fn carry(&mut self) {
        let (from, to) = self.pair();
        if !self.world.is_linked(from, to) {
            return;
        }
        for _ in 0..=self.dice.below(3) {
            if self.dice.one_in(2) {
                self.world.carry_one_there(from, to);
            } else {
                self.world.carry_one_back(from, to);
            }
        }
    }

    pub(super) fn pair(&mut self) -> (usize, usize) {
        let from = self.dice.below(NODES as u64) as usize;
        let other = self.dice.below(NODES as u64 - 1) as usize;
        (from, (from + 1 + other) % NODES)
    }

    pub(super) fn carry_out(&mut self, node: usize) {
        let count = self.world.asked[node].len() as u64;
        if count > 0 {
            let which = self.dice.below(count) as usize;
            let lost = self.answers_lost && self.dice.one_in(2);
            self.world.store.set_answers_lost(lost);
            self.world.carry_out(node, which);
            self.world.store.set_answers_lost(false);
        }
    }

    pub(super) fn change_ring(&mut self) {
        if let Some(next) = self.next_rings.pop() {
            self.rings.push(next);
        }
    }

    pub(super) fn link(&mut self, open: bool) {
        let (from, to) = self.pair();
        match (self.world.is_linked(from, to), open) {
            (true, false) => self.world.cut(from, to),
            (false, true) => self.world.open(from, to),
            (true, true) | (false, false) => {}
        }
    }

    pub(super) fn reach(&mut self) {
        let reachable = self.dice.one_in(2);
        self.world.store.set_reachable(reachable);
        if reachable {
            self.interrupted = [true; NODES];
        }
        let node = self.dice.below(NODES as u64) as usize;
        if std::mem::take(&mut self.interrupted[node]) {
            self.world.nodes[node].log_interrupted();
        }
    }

    pub(super) fn squeeze(&mut self) {
        let (from, to) = self.pair();
        let capacity = if self.dice.one_in(2) { self.dice.below(3) as usize } else { usize::MAX };
        if self.world.is_linked(from, to) {
            self.world.pipe_back(from, to).set_capacity(capacity);
        }
    }

    /// The log loses something.
    pub(super) fn rob(&mut self) {
        match (self.dice.below(3), &self.copy) {
            (0, _) => self.copy = Some(self.world.store.copy_log("default")),
            (1, Some(copy)) => {
                self.world.store.restore_log("default", copy);
                // What it lost twice nobody can know.
                self.copy = None;
                self.interrupted = [true; NODES];
            }
            (2, _) => {
                self.world.store.flush();
                self.copy = None;
                self.interrupted = [true; NODES];
            }
            _ => {}
        }
    }
}
