//! The rules of the log that need no store: when a topic begins anew, who is refused, what tells messages apart, and what
//! is too much to ask.

use aws_lc_rs::digest;

use crate::maps::{HashSet, Keyed};

use super::contract::{
    Append, CALL_BYTES_MAX, ENTRY_BYTES_MAX, MESSAGES_PER_APPEND_MAX, Message, TOPICS_PER_CALL_MAX,
};
use super::error::LogError;
use super::types::{Fence, Position, Topic};
use crate::limits::ID_BYTES_MAX;
use crate::planted::{self, Bug};

/// A topic's name: an id and its prefix.
const TOPIC_BYTES_MAX: usize = ID_BYTES_MAX + 2;

/// Sixteen bytes that stand for more: a collision would take more work than anybody has.
pub(crate) type Digest = [u8; 16];

/// How a caller stands to a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// An older home: refused.
    Stale,
    /// The topic goes on.
    Goes,
    /// The topic begins anew.
    Anew,
}

/// Decides for a topic that stands at `head`, and whose highest fence is `highest`, what a caller may do.
pub(crate) fn judge(head: Position, highest: Fence, fence: Fence, known: Option<Position>) -> Standing {
    if fence.version < highest.version && !planted::is(Bug::StaleAppend) {
        return Standing::Stale;
    }
    let rolled_back = known.is_some_and(|known| known.epoch == head.epoch && known.offset > head.offset);
    if fence.generation > highest.generation || rolled_back { Standing::Anew } else { Standing::Goes }
}

/// Stands for a key in the scope of its sender.
pub(crate) fn key_digest(from: &str, key: &str) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(from.len() as u64).to_le_bytes());
    context.update(from.as_bytes());
    context.update(key.as_bytes());
    truncated(context.finish().as_ref())
}

/// Stands for a message's data.
pub(crate) fn data_digest(data: &[u8]) -> Digest {
    truncated(digest::digest(&digest::SHA256, data).as_ref())
}

fn truncated(hash: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&hash[..16]);
    digest
}

/// Whether a call may name these topics.
pub(crate) fn check_topics<'a>(topics: impl ExactSizeIterator<Item = Topic<'a>>) -> Result<(), LogError> {
    let size = topics.len();
    if size > TOPICS_PER_CALL_MAX {
        return Err(LogError::TooLarge { what: "topics in a call", size, max: TOPICS_PER_CALL_MAX });
    }
    let mut seen = HashSet::with_capacity_and_hasher(size, Keyed::default());
    for topic in topics {
        check_topic(topic)?;
        if !seen.insert(topic) {
            return Err(LogError::Invalid { cause: "a topic is named twice in one call" });
        }
    }
    Ok(())
}

/// Whether a topic's name can be one.
pub(crate) fn check_topic(topic: Topic<'_>) -> Result<(), LogError> {
    let fits = (1..=TOPIC_BYTES_MAX).contains(&topic.name.len());
    if fits && !topic.name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(LogError::Invalid { cause: "a topic's name has 1 to 258 bytes without control characters" })
}

/// Whether a call may bring these messages; each message is checked for itself, too.
pub(crate) fn check_appends(appends: &[Append<'_>]) -> Result<(), LogError> {
    check_topics(appends.iter().map(|append| append.open.topic))?;
    let most = appends.iter().map(|append| append.messages.len()).max().unwrap_or(0);
    if most > MESSAGES_PER_APPEND_MAX {
        let (what, max) = ("messages of a topic in a call", MESSAGES_PER_APPEND_MAX);
        return Err(LogError::TooLarge { what, size: most, max });
    }
    let data = |append: &Append<'_>| append.messages.iter().map(|message| message.data.len()).sum::<usize>();
    let size = appends.iter().map(data).sum();
    if size > CALL_BYTES_MAX {
        return Err(LogError::TooLarge { what: "bytes of data in a call", size, max: CALL_BYTES_MAX });
    }
    Ok(())
}

/// Whether the log takes this message.
pub(crate) fn check_message(message: &Message<'_>) -> Result<(), LogError> {
    if message.data.len() > ENTRY_BYTES_MAX {
        let (size, max) = (message.data.len(), ENTRY_BYTES_MAX);
        return Err(LogError::TooLarge { what: "bytes of data in a message", size, max });
    }
    if message.from.len() > ID_BYTES_MAX {
        return Err(LogError::Invalid { cause: "a sender has at most 256 bytes" });
    }
    if message.key.is_some_and(|key| !(1..=ID_BYTES_MAX).contains(&key.len())) {
        return Err(LogError::Invalid { cause: "a key has 1 to 256 bytes" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::types::Epoch;
    use super::*;
    use crate::ring::{Slot, Version};

    fn fence(version: u64, generation: u64) -> Fence {
        Fence { version: Version::from_u64(version), generation }
    }

    fn at(epoch: u64, offset: u64) -> Position {
        Position { epoch: Epoch::new(epoch), offset }
    }

    #[test]
    fn an_older_home_is_refused_before_anything_else() {
        assert_eq!(judge(at(1, 5), fence(7, 1), fence(6, 2), Some(at(1, 9))), Standing::Stale);
        assert_eq!(judge(at(1, 5), fence(7, 1), fence(7, 1), None), Standing::Goes);
        assert_eq!(judge(at(1, 5), fence(7, 1), fence(8, 1), None), Standing::Goes);
    }

    #[test]
    fn a_topic_begins_anew_by_generation_and_by_what_is_known() {
        assert_eq!(judge(at(1, 5), fence(7, 1), fence(8, 2), None), Standing::Anew);
        assert_eq!(judge(at(1, 5), fence(7, 2), fence(8, 1), None), Standing::Goes);
        assert_eq!(judge(at(1, 5), fence(7, 1), fence(7, 1), Some(at(1, 6))), Standing::Anew);
        assert_eq!(judge(at(1, 5), fence(7, 1), fence(7, 1), Some(at(1, 5))), Standing::Goes);
        assert_eq!(
            judge(at(1, 5), fence(7, 1), fence(7, 1), Some(at(2, 9))),
            Standing::Goes,
            "another epoch"
        );
    }

    #[test]
    fn senders_do_not_share_keys() {
        assert_ne!(key_digest("ab", "c"), key_digest("a", "bc"));
        assert_eq!(key_digest("a", "b"), key_digest("a", "b"));
        assert_ne!(data_digest(b"a"), data_digest(b"b"));
    }

    #[test]
    fn calls_have_limits() {
        let topic = |name| Topic { name, slot: Slot::new(1) };
        let code = |names: &[&'static str]| {
            check_topics(names.iter().map(|name| topic(name))).map_err(|error| error.code())
        };
        assert_eq!(code(&["u:a", "u:b"]), Ok(()));
        assert_eq!(code(&["u:a", "u:a"]), Err("log_request_invalid"));
        assert_eq!(code(&["u:a\n"]), Err("log_request_invalid"));
        assert_eq!(code(&[""]), Err("log_request_invalid"));
        let names: Vec<String> = (0..=TOPICS_PER_CALL_MAX).map(|number| format!("g:{number}")).collect();
        let many = check_topics(names.iter().map(|name| Topic { name, slot: Slot::new(1) }));
        assert_eq!(many.map_err(|error| error.code()), Err("too_large"));
    }
}
