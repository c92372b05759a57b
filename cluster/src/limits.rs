//! Limits that every process applies alike, and the form of ids. Defaults; what is configurable says so.

/// Bytes of a user id or a group name, at most.
pub const ID_BYTES_MAX: usize = 256;

/// Bytes of a client's message, at most. Configurable.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Users that one `send` may name.
pub const USERS_PER_SEND_MAX: usize = 1_000;

/// Connections that one user may have on a node. Configurable.
pub const SESSIONS_PER_USER_MAX: usize = 16;

/// Sends a second that a session may make, and how many at once. Configurable.
pub const SENDS_PER_SECOND: u32 = 32;

/// See [`SENDS_PER_SECOND`].
pub const SENDS_BURST: u32 = 64;

/// Frames of any kind a second that a connection may send whose session may send so often. Pongs, requests that are
/// refused and pings are frames, too.
pub const fn frames_per_second(sends_per_second: u32) -> u32 {
    sends_per_second.saturating_mul(4)
}

/// Frames at once that a connection may send whose session may send so many at once.
pub const fn frames_burst(sends_burst: u32) -> u32 {
    sends_burst.saturating_mul(4).saturating_add(64)
}

/// Bytes of copies that count as one send: a large message to many users counts as several.
pub const SEND_COST_BYTES: usize = 64 * 1024;

/// Users that count as one send: each is a message of its own.
pub const SEND_COST_USERS: usize = 50;

/// Bytes that may wait for a slow client, at most. Configurable.
pub const OUTBOUND_BYTES_MAX: usize = 1024 * 1024;

/// Groups that one session may be in. Configurable.
pub const GROUPS_PER_SESSION_MAX: usize = 128;

/// Topics that one `hello` may name, groups to join and topics to resume together.
pub const TOPICS_PER_HELLO_MAX: usize = 2 * GROUPS_PER_SESSION_MAX + 1;

/// Entries in a page of history, unless the client says how many.
pub const HISTORY_LIMIT: usize = 50;

/// Entries in a page of history, at most.
pub const HISTORY_LIMIT_MAX: usize = 1_000;

/// Bytes of data in a page of history, at most, unless a single entry is larger.
pub const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// Attributes that a `match` may name.
pub const MATCH_ATTRIBUTES_MAX: usize = 16;

/// Bytes of a `match`, at most.
pub const MATCH_BYTES_MAX: usize = 4 * 1024;

/// Users of a group up to whom it is told who they are. Above only their number is.
pub const ROSTER_MAX: usize = 1_000;

/// Whether `text` can be a user id or a group name: 1 to 256 bytes without control characters. Nodes' ids and names of
/// services are narrower, see [`crate::ring::is_valid_service`].
pub fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_length_and_no_control_characters() {
        assert!(is_id("a") && is_id("grüße 用户一") && is_id(&"x".repeat(256)));
        for bad in ["", "a\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(257)] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
