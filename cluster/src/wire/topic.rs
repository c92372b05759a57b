//! Names of topics, which are also the keys that the ring places: `u:<user>` and `g:<group>`.

/// The topic of a user's inbox.
pub fn inbox(user: &str) -> String {
    format!("u:{user}")
}

/// The user whose inbox `topic` is, if it is one.
pub fn inbox_owner(topic: &str) -> Option<&str> {
    topic.strip_prefix("u:")
}

/// The topic of a group.
pub fn group(name: &str) -> String {
    format!("g:{name}")
}

/// The group whose topic `topic` is, if it is one.
pub fn group_name(topic: &str) -> Option<&str> {
    topic.strip_prefix("g:")
}

/// What stands for the topic in messages to everyone, or to all whose attributes match.
pub const EVERYONE: &str = "*";
