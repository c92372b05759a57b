//! What everybody sent, and what they were told of it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use cluster::log::Position;

/// All sends, by the number that is their data.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// In the order in which they were sent.
    pub(crate) sends: Vec<Send>,
    /// Answered sends, and those that failed.
    pub(crate) acked: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// Messages that clients took over.
    pub(crate) delivered: u64,
    /// How often the log had lost something when the last answer came.
    losses: u64,
    /// For each connection and topic the last offset that was acknowledged there.
    last: BTreeMap<(u64, String), (u64, Position)>,
    /// The same for each user and topic, of sends with keys that never failed: they are repeated in order, and so keep it over
    /// however many connections.
    keyed: BTreeMap<(String, String), (u64, Position)>,
}

/// Something that a client sent.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    /// Who.
    pub(crate) user: String,
    /// Where to.
    pub(crate) topics: Vec<String>,
    /// What makes it the same one however often it is repeated.
    pub(crate) key: Option<String>,
    /// It is to be stored.
    pub(crate) durable: bool,
    /// When.
    pub(crate) at_ms: u64,
    /// All was well then, and had been for long.
    pub(crate) calm: bool,
    /// How often the log had lost something: what was stored before is not, when it comes again.
    pub(crate) losses: u64,
    /// It was sent more than once.
    pub(crate) repeated: bool,
    /// It was refused for now.
    pub(crate) failed: bool,
    /// An `ack` or a final error came, or the client gave it up.
    pub(crate) settled: bool,
    /// Where it is.
    pub(crate) position: Option<Position>,
    /// It was acknowledged for all its topics.
    pub(crate) acked: bool,
}

impl Book {
    /// A send was acknowledged on a connection.
    ///
    /// # Errors
    /// What is wrong with that.
    pub(crate) fn acked(
        &mut self,
        number: usize,
        connection: u64,
        position: Option<Position>,
        (whole, losses): (bool, u64),
    ) -> Result<(), String> {
        if std::mem::replace(&mut self.losses, losses) != losses {
            // What nobody knew of any more may have made room for others.
            self.last.clear();
            self.keyed.clear();
        }
        let Some(send) = self.sends.get_mut(number) else { return Err(format!("ack of {number}")) };
        if position.is_some() != (send.durable && send.topics.len() == 1) {
            return Err(format!("the ack of {number} has {position:?}: {send:?}"));
        }
        if let (Some(before), Some(now)) = (send.position, position)
            && before.epoch == now.epoch
            && before != now
        {
            return Err(format!("{number} was acknowledged at {before:?} and at {now:?}"));
        }
        send.settled = true;
        send.acked |= whole;
        send.position = position.or(send.position);
        self.acked += 1;
        let Some(at) = position else { return Ok(()) };
        if send.losses != losses {
            // It may have been stored before, and lost: its place is that of a repetition.
            return Ok(());
        }
        let topic = send.topics[0].clone();
        if send.key.is_some() && !send.failed {
            let user = send.user.clone();
            in_order(&mut self.keyed, (user, topic.clone()), (number as u64, at))?;
        }
        if send.repeated {
            return Ok(());
        }
        in_order(&mut self.last, (connection, topic), (number as u64, at))
    }
}

/// Answers come in any order: what was sent earlier must have a lower place.
fn in_order<K: Ord + Debug>(
    line: &mut BTreeMap<K, (u64, Position)>,
    key: K,
    (number, at): (u64, Position),
) -> Result<(), String> {
    if let Some((last, place)) = line.get(&key).copied().filter(|(_, place)| place.epoch == at.epoch) {
        if number != last && (number > last) != (at.offset > place.offset) {
            return Err(format!("{number} at {at:?} changed places with {last} at {place:?} in {key:?}"));
        }
        if number < last {
            return Ok(());
        }
    }
    line.insert(key, (number, at));
    Ok(())
}
