//! What can happen, and when.

use std::cmp::Ordering;

use ::cluster::grant::Grant;

use super::World;
use super::npm::NpmEvent;
use crate::plan::Fault;
use crate::shared::Life;

/// Something that happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A node does what fell due.
    Tick(Life),
    /// A node that drains looks whether that is over.
    DrainLook(Life),
    /// A node that has left the ring is gone.
    Gone(Life),
    /// A node works off what a new ring left to do.
    Work(Life),
    /// A process opens a link to a node.
    Dial { life: Life, target: String },
    /// An end of a link writes what waits.
    LinkFlush(u64, usize),
    /// What was written arrives at an end.
    LinkArrive(u64, usize),
    /// An end looks whether it has to say something, and whether it heard something.
    LinkBeat(u64, usize),
    /// An end waits for a ring.
    LinkLook(u64, usize),
    /// A client's frame arrives at its node.
    SocketUp { socket: u64, text: String },
    /// A node's frames arrive at the client.
    SocketDown(u64),
    /// A node looks after a connection.
    SocketTime(u64),
    /// A client learns that its connection is gone.
    SocketLost(u64),
    /// A node learns it.
    ClientGone(u64),
    /// A lookup arrives.
    Ask { client: usize, serial: u64, place: usize },
    /// Its answer does.
    Answer { client: usize, serial: u64, grant: Box<Option<Grant>> },
    /// It is not its turn yet.
    ComeAgain { client: usize, serial: u64, ms: u64 },
    /// A client's connection arrives at a node.
    Connect { client: usize, serial: u64, place: usize, ticket: String },
    /// The client learns that it is open.
    Opened { client: usize, serial: u64, socket: u64 },
    /// The client could not reach what it tried; the node, if it was one.
    Unreached { client: usize, serial: u64, node: Option<usize> },
    /// A client wants a connection.
    Seek { client: usize, serial: u64 },
    /// A client does what `moved` asked.
    GoMove { client: usize, serial: u64, url: String, ticket: String },
    /// A client does something.
    Whim(usize),
    /// Something happens to an npm client.
    Npm(NpmEvent),
    /// Something fails, or works again.
    Fault(Fault),
    /// From here on everything works.
    Calm,
    /// From here on all have the same view.
    Settled,
}

/// An event and its time.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) at_ms: u64,
    pub(super) serial: u64,
    pub(super) event: Event,
}

impl World {
    /// The process that has to run for this to happen.
    pub(super) fn place_of(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Tick(life)
            | Event::Work(life)
            | Event::DrainLook(life)
            | Event::Gone(life)
            | Event::Dial { life, .. } => Some(life.place),
            Event::LinkFlush(link, end)
            | Event::LinkArrive(link, end)
            | Event::LinkBeat(link, end)
            | Event::LinkLook(link, end) => Some(self.links.get(link)?.ends[*end].life.place),
            Event::SocketUp { socket, .. }
            | Event::SocketDown(socket)
            | Event::SocketTime(socket)
            | Event::ClientGone(socket) => Some(self.sockets.get(socket)?.life.place),
            Event::Ask { place, .. } | Event::Connect { place, .. } => Some(*place),
            _ => None,
        }
    }
}

// === impl Scheduled ===

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest, as that is what the heap gives first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ms, other.serial).cmp(&(self.at_ms, self.serial))
    }
}
