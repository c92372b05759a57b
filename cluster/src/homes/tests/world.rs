//! Homes on links that remember what was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::super::*;
use crate::ring::{Member, MemberState, Policy, RingKey};
use crate::wire::peer::{Question, decode};

/// The process that uses the homes, unless a test makes it a node.
pub(super) const ME: &str = "me";

/// What was sent on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// A message with its number, its counter where it entered the cluster, and its topics; none: to everyone.
    Message(u64, u64, Vec<String>),
    Again,
    /// A question with its number, and the users or the group it is about.
    Question(u64, Vec<String>),
}

/// A link that takes so many more frames.
#[derive(Debug, Clone)]
pub(super) struct Pipe(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Bytes>,
    room: usize,
    ended: bool,
}

pub(super) struct World {
    pub(super) homes: Homes<Pipe, u32>,
    pub(super) ring: Ring,
    counter: u64,
    links: u64,
}

/// A ring of the nodes n0 to n`count - 1`.
pub(super) fn ring_of(count: usize) -> Ring {
    let genesis = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    (0..count).fold(genesis, |ring, number| ring.join(member(number)).unwrap())
}

pub(super) fn member(number: usize) -> Member {
    Member {
        id: format!("n{number}"),
        generation: number as u64,
        url: format!("wss://n{number}.test/ws"),
        peer: format!("10.0.0.{number}:1"),
        weight: 100,
        state: MemberState::Active,
    }
}

/// An inbox at home at `node` by the one ring and at `then` by the other; another one for another number.
pub(super) fn inbox_from_to((node, old): (&str, &Ring), (then, new): (&str, &Ring), number: usize) -> String {
    let home = |ring: &Ring, topic: &str| ring.home(ring.key().slot(topic)).unwrap().id.clone();
    let fits = |topic: &String| home(old, topic) == node && home(new, topic) == then;
    (0..).map(|number| format!("u:user{number}")).filter(fits).nth(number).unwrap()
}

impl World {
    /// So many nodes, without links.
    pub(super) fn new(nodes: usize) -> Self {
        Self { homes: Homes::default(), ring: ring_of(nodes), counter: 0, links: 0 }
    }

    /// Opens a link and lets out what waits for it.
    pub(super) fn open(&mut self, node: &str) -> Pipe {
        self.links += 1;
        let pipe =
            Pipe(Arc::new(Mutex::new(Queue { frames: VecDeque::new(), room: usize::MAX, ended: false })));
        self.homes.opened(node, self.links, pipe.clone());
        self.homes.pump_home(node);
        pipe
    }

    /// The last link is gone.
    pub(super) fn cut(&mut self, node: &str) {
        assert!(self.homes.closed(node, self.links));
    }

    /// Sends a message for these topics; the waiter is its counter.
    pub(super) fn send(&mut self, node: &str, topics: &[&str]) -> Result<u32, NotTaken> {
        self.send_due(node, topics, CALL_WAIT_MS)
    }

    /// The same where there is room.
    pub(super) fn say(&mut self, node: &str, topics: &[&str]) {
        self.send(node, topics).unwrap();
    }

    pub(super) fn send_due(&mut self, node: &str, topics: &[&str], due_ms: u64) -> Result<u32, NotTaken> {
        let to = if topics.is_empty() {
            Audience::Everyone { matching: None }
        } else {
            Audience::Topics(topics.to_vec())
        };
        self.counter += 1;
        let waiter = u32::try_from(self.counter).unwrap();
        self.homes.publish(node, &outgoing(self.counter, "{}"), to, waiter, due_ms).map(|()| waiter)
    }

    /// Sends a message with so many bytes of data.
    pub(super) fn send_bytes(&mut self, node: &str, topic: &str, bytes: usize) -> Result<(), NotTaken> {
        let data = format!("\"{}\"", "x".repeat(bytes - 2));
        let to = Audience::Topics(vec![topic]);
        self.homes.publish(node, &outgoing(0, &data), to, 0, CALL_WAIT_MS)
    }

    /// Goes by another ring as a process of this id.
    pub(super) fn follow_as(&mut self, me: &str, ring: &Ring) -> Vec<Event<u32>> {
        self.ring = ring.clone();
        self.homes.reroute(View { ring, me })
    }

    pub(super) fn follow(&mut self, ring: &Ring) -> Vec<Event<u32>> {
        self.follow_as(ME, ring)
    }
}

fn outgoing(counter: u64, data: &str) -> Outgoing<'_> {
    let origin = Origin { node: ME, generation: 1, counter };
    Outgoing { origin, from: "alice", key: "k", ephemeral: false, data }
}

impl Pipe {
    /// What was sent since the last look.
    pub(super) fn take(&self) -> Vec<Seen> {
        let frames: Vec<Bytes> = self.0.lock().unwrap().frames.drain(..).collect();
        frames.iter().map(Seen::of).collect()
    }

    /// The numbers of the messages among it.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let number = |seen| if let Seen::Message(number, ..) = seen { Some(number) } else { None };
        self.take().into_iter().filter_map(number).collect()
    }

    /// The counters of the messages among it, 0 for `Again`.
    pub(super) fn counters(&self) -> Vec<u64> {
        let counter = |seen| match seen {
            Seen::Message(_, counter, _) => Some(counter),
            Seen::Again => Some(0),
            Seen::Question(..) => None,
        };
        self.take().into_iter().filter_map(counter).collect()
    }

    /// Lets it take so many more frames.
    pub(super) fn set_room(&self, frames: usize) {
        self.0.lock().unwrap().room = frames;
    }

    /// It has ended, and nobody was told yet.
    pub(super) fn end(&self) {
        self.0.lock().unwrap().ended = true;
    }
}

impl LinkSink for Pipe {
    fn send(&self, frame: Bytes) -> bool {
        let mut pipe = self.0.lock().unwrap();
        if pipe.ended || pipe.room == 0 {
            return false;
        }
        pipe.room -= 1;
        pipe.frames.push_back(frame);
        true
    }

    fn has_ended(&self) -> bool {
        self.0.lock().unwrap().ended
    }
}

impl Seen {
    fn of(frame: &Bytes) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match decode(frame) {
            Some(ToHome::Publish(publish)) => match &publish.to {
                Audience::Topics(topics) => Self::Message(publish.call, publish.counter, owned(topics)),
                Audience::Everyone { .. } => Self::Message(publish.call, publish.counter, vec![]),
            },
            Some(ToHome::Again) => Self::Again,
            Some(ToHome::Ask { call, question: Question::Online(users) }) => {
                Self::Question(call, owned(&users))
            }
            Some(ToHome::Ask { call, question: Question::User(name) | Question::Presence(name) }) => {
                Self::Question(call, owned(&[name]))
            }
            other => panic!("{other:?}"),
        }
    }
}
