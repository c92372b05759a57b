//! What everybody sent, and what they were told of it.

use std::collections::BTreeMap;

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
    /// It was sent more than once.
    pub(crate) repeated: bool,
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
        let Some(at) = position.filter(|_| !send.repeated) else { return Ok(()) };
        let key = (connection, send.topics[0].clone());
        // Answers come in any order: what was sent earlier must have a lower place.
        let number = number as u64;
        if let Some((last, place)) = self.last.get(&key).copied().filter(|(_, place)| place.epoch == at.epoch)
        {
            if (number > last) != (at.offset > place.offset) {
                return Err(format!(
                    "{number} at {at:?} changed places with {last} at {place:?} in {}",
                    key.1
                ));
            }
            if number < last {
                return Ok(());
            }
        }
        self.last.insert(key, (number, at));
        Ok(())
    }
}
