//! Frames between processes: what the user of a home asks of it, and what the home answers.
//!
//! Both travel on the link that the asking process dialled. Encoded with postcard; bytes and strings are borrowed from
//! the frame they came in. The link beneath carries the ring version, heartbeats and ring records itself.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// From a process to a home.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHome<'a> {
    /// Pass everything of these topics to me from now on.
    Interest {
        /// Names this request.
        call: u64,
        /// The topics, each with how many of my sessions follow it: 0 ends the interest.
        #[serde(borrow)]
        topics: Vec<(&'a str, u32)>,
    },
    /// A message for each of these topics.
    #[serde(borrow)]
    Publish(Publish<'a>),
    /// What follows is sent again, in order. After it answered `NotHome` a home refuses every message on the link
    /// until this comes: otherwise a later message could be taken while an earlier one is on its way back.
    Again,
}

/// A message for one or more topics of a home.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Publish<'a> {
    /// Names this request.
    pub call: u64,
    /// The topics, all of which the receiver should be home of.
    #[serde(borrow)]
    pub topics: Vec<&'a str>,
    /// The node the message entered the cluster at.
    pub node: &'a str,
    /// That node's generation.
    pub generation: u64,
    /// The message's number there: higher than any before.
    pub counter: u64,
    /// The user who sent it.
    pub from: &'a str,
    /// Any JSON.
    pub data: &'a str,
}

/// From a home to a process that uses it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum FromHome<'a> {
    /// The interest stands: everything that is passed on from now on reaches you.
    Interested {
        /// Which request.
        call: u64,
    },
    /// The message was passed on.
    Published {
        /// Which request.
        call: u64,
        /// Interested sessions, over all its topics.
        online: u32,
    },
    /// Nothing was done: I am not the home of every topic named, by this version of the ring, or I refused an earlier
    /// message and wait for `Again`.
    NotHome {
        /// Which request.
        call: u64,
        /// The version I went by.
        version: u64,
    },
    /// A message of a topic you are interested in.
    #[serde(borrow)]
    Deliver(Deliver<'a>),
}

/// A message on its way to the sessions of one node.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Deliver<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The node the message entered the cluster at.
    pub node: &'a str,
    /// That node's generation.
    pub generation: u64,
    /// The message's number there.
    pub counter: u64,
    /// The WebSocket frame, ready to be written to every client.
    pub frame: &'a [u8],
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

    #[test]
    fn frames_come_back_borrowed_and_equal() {
        let publish = Publish {
            call: 1,
            topics: vec!["u:bob"],
            node: "n1",
            generation: 2,
            counter: 3,
            from: "alice",
            data: "{}",
        };
        let bytes = encode(&ToHome::Publish(publish));
        let Some(ToHome::Publish(read)) = decode(&bytes) else { panic!("not a publish") };
        assert_eq!((read.topics[0], read.counter, read.data), ("u:bob", 3, "{}"));
        let deliver = FromHome::Deliver(Deliver {
            topic: "u:bob",
            node: "n1",
            generation: 2,
            counter: 3,
            frame: b"\x81\x02{}",
        });
        assert_eq!(decode::<FromHome<'_>>(&encode(&deliver)), Some(deliver));
    }

    #[test]
    fn junk_is_no_frame() {
        assert_eq!(decode::<ToHome<'_>>(b"\xff\xff\xff"), None);
        assert_eq!(decode::<FromHome<'_>>(b""), None);
    }
}
