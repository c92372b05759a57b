//! Frames between processes: what the user of a home asks of it, and what the home answers.
//!
//! Both travel on the link that the asking process dialled. Encoded with postcard; bytes and strings are borrowed from
//! the frame they came in. The link beneath carries the ring version, heartbeats and ring records itself.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::log::Position;

/// From a process to a home.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHome<'a> {
    /// Pass everything of these topics to me from now on.
    Interest {
        /// Names this request.
        call: u64,
        /// The topics.
        #[serde(borrow)]
        topics: Vec<Interest<'a>>,
    },
    /// A message for each of these topics, or for every session of the node.
    #[serde(borrow)]
    Publish(Publish<'a>),
    /// What follows is sent again, in order. After it answered `NotHome` a home refuses every message on the link
    /// until this comes: otherwise a later message could be taken while an earlier one is on its way back.
    Again,
    /// Who of a group is here.
    #[serde(borrow)]
    Members(Members<'a>),
    /// Something that only the home knows or can do.
    Ask {
        /// Names this request.
        call: u64,
        /// What is asked.
        #[serde(borrow)]
        question: Question<'a>,
    },
}

/// A node's wish to receive a topic, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interest<'a> {
    /// The topic.
    pub topic: &'a str,
    /// My sessions that follow it: 0 ends the interest.
    pub sessions: u32,
    /// The newest entry of it that this node has seen.
    pub known: Option<Position>,
    /// What the log says and what the home said do not agree: look at the log before you answer.
    pub verify: bool,
}

/// A message for one or more topics of a home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publish<'a> {
    /// Names this request.
    pub call: u64,
    /// Whom it is for.
    #[serde(borrow)]
    pub to: Audience<'a>,
    /// The process the message entered the cluster at.
    pub node: &'a str,
    /// That process's generation.
    pub generation: u64,
    /// The message's number there: higher than any before.
    pub counter: u64,
    /// The user who sent it.
    pub from: &'a str,
    /// What makes the message the same one however often it comes.
    pub key: &'a str,
    /// Passed on only, never stored.
    pub ephemeral: bool,
    /// Any JSON.
    pub data: &'a str,
}

/// Whom a message on a link is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Audience<'a> {
    /// Topics, all of which the receiver should be home of.
    #[serde(borrow)]
    Topics(Vec<&'a str>),
    /// Every session of the receiver, or those whose attributes match this JSON object. Ephemeral always.
    Everyone {
        /// Attributes and the values they must have.
        matching: Option<&'a str>,
    },
}

/// A part of the users that a node has in a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Members<'a> {
    /// The group's topic.
    pub topic: &'a str,
    /// A whole list begins with this frame: whoever is not in it or in what follows is gone.
    pub begins: bool,
    /// Users who are there now and were not before.
    #[serde(borrow)]
    pub joined: Vec<&'a str>,
    /// Users who are there no longer, and whether their socket was lost rather than that they left.
    #[serde(borrow)]
    pub left: Vec<(&'a str, bool)>,
    /// Sessions there want to be told who comes and goes: from the first frame that says so on, until one does not.
    pub watching: bool,
}

/// What a home can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question<'a> {
    /// Which of these users are online? All are at home here.
    #[serde(borrow)]
    Online(Vec<&'a str>),
    /// Who is in the group of this name?
    Presence(&'a str),
    /// How many sessions has this user?
    User(&'a str),
    /// Have this done with all sessions of a user.
    Control {
        /// Whose sessions.
        user: &'a str,
        /// What.
        #[serde(borrow)]
        control: Control<'a>,
    },
    /// How many sessions has the node of this id itself? It alone knows.
    Sessions(&'a str),
}

/// What a back end can have done with a user's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Control<'a> {
    /// Close them.
    End,
    /// Let them join a group.
    Join(&'a str),
    /// Let them leave a group.
    Leave(&'a str),
}

/// From a home to a process that uses it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum FromHome<'a> {
    /// The interest stands: everything that is passed on from now on reaches you.
    Interested {
        /// Which request.
        call: u64,
        /// Where its topics stand, in its order. `None`: there is no log, or a `Head` will follow.
        positions: Vec<Option<Position>>,
    },
    /// The message was stored and passed on.
    Published {
        /// Which request.
        call: u64,
        /// Interested sessions, over all its topics.
        online: u32,
        /// Where it is in the log, if it was for one topic and is durable.
        position: Option<Position>,
        /// The topics it failed for, by their index in the request, with an error code.
        #[serde(borrow)]
        failed: Vec<(u32, &'a str)>,
    },
    /// Nothing was done that repeating would do twice: I am not the home of every topic named, by this version of the
    /// ring, or I refused an earlier message and wait for `Again`.
    NotHome {
        /// Which request.
        call: u64,
        /// The version I went by.
        version: u64,
    },
    /// A message of a topic you are interested in.
    #[serde(borrow)]
    Deliver(Deliver<'a>),
    /// A topic stands here, and what you have not seen of it is in the log.
    Head {
        /// The topic.
        topic: &'a str,
        /// Its newest entry.
        position: Position,
    },
    /// Who came to a group and who left it.
    #[serde(borrow)]
    Presence(Presence<'a>),
    /// Do this with your sessions of the user whose inbox this is.
    Control {
        /// The inbox.
        topic: &'a str,
        /// What.
        #[serde(borrow)]
        control: Control<'a>,
    },
    /// The answer to a question.
    Answered {
        /// Which request.
        call: u64,
        /// What is known.
        #[serde(borrow)]
        answer: Answer<'a>,
    },
}

/// A message on its way to the sessions of one node.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Deliver<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Which of its messages.
    #[serde(borrow)]
    pub name: MessageName<'a>,
    /// The WebSocket frame, ready to be written to every client.
    pub frame: &'a [u8],
}

/// What tells a topic's messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum MessageName<'a> {
    /// A durable one: its place in the log.
    Entry(Position),
    /// An ephemeral one: where it entered the cluster, and its number there.
    Origin {
        /// The process.
        node: &'a str,
        /// That process's generation.
        generation: u64,
        /// The message's number there.
        counter: u64,
    },
}

/// A change of a group's members, or all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presence<'a> {
    /// The group's topic.
    pub topic: &'a str,
    /// Users in the group now.
    pub count: u32,
    /// `joined` is everybody: the roster of a new home, or the first one that you get.
    pub whole: bool,
    /// Users who came; nobody if there are too many to tell.
    #[serde(borrow)]
    pub joined: Vec<&'a str>,
    /// Users who left; nobody if there are too many to tell.
    #[serde(borrow)]
    pub left: Vec<&'a str>,
}

/// What a home answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer<'a> {
    /// To `Online`, in its order.
    Online {
        /// Whether each is online.
        online: Vec<bool>,
        /// The home is new: who is not online may still come back from the old one.
        settling: bool,
    },
    /// To `Presence`.
    Presence {
        /// Users in the group.
        count: u32,
        /// Who they are, unless there are too many.
        #[serde(borrow)]
        users: Option<Vec<&'a str>>,
        /// The home is new and does not know of everybody yet.
        settling: bool,
    },
    /// To `User`.
    User {
        /// Whether they are online.
        online: bool,
        /// Their sessions.
        sessions: u32,
        /// As in `Online`.
        settling: bool,
    },
    /// To `Control`.
    Done {
        /// Sessions that it was done with, and those of other nodes, which were told.
        sessions: u32,
        /// Sessions of the home's own that can be in no more groups.
        refused: u32,
    },
    /// To `Sessions`: how many there are.
    Sessions(u32),
}

/// Encodes a frame for a link.
pub fn encode<T: Serialize>(frame: &T) -> Bytes {
    // Serialising plain values into memory cannot fail.
    postcard::to_stdvec(frame).map(Bytes::from).unwrap_or_default()
}

/// Decodes a frame from a link; `None` if it is not one, which only a process of another version sends.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Epoch;

    #[test]
    fn frames_come_back_borrowed_and_equal() {
        let publish = ToHome::Publish(Publish {
            call: 1,
            to: Audience::Topics(vec!["u:bob"]),
            node: "n1",
            generation: 2,
            counter: 3,
            from: "alice",
            key: "k",
            ephemeral: false,
            data: "{}",
        });
        assert_eq!(decode::<ToHome<'_>>(&encode(&publish)), Some(publish));
        let name = MessageName::Entry(Position { epoch: Epoch::new(u64::MAX), offset: 7 });
        let deliver = FromHome::Deliver(Deliver { topic: "u:bob", name, frame: b"\x81\x02{}" });
        assert_eq!(decode::<FromHome<'_>>(&encode(&deliver)), Some(deliver));
    }

    #[test]
    fn junk_is_no_frame() {
        assert_eq!(decode::<ToHome<'_>>(b"\xff\xff\xff"), None);
        assert_eq!(decode::<FromHome<'_>>(b""), None);
    }
}
