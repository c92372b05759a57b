//! Close codes and error codes: one table each, from which nodes act and the documentation is checked.

use serde::{Serialize, Serializer};

/// What a client does after a close, told by the code's hundreds, so that an old client handles new codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosePolicy {
    /// 4000-4099: look up again at once.
    LookUpNow,
    /// 4100-4199, and every code that isn't ours: look up again after a back-off.
    BackOff,
    /// 4400-4499: stop until the application acts.
    Stop,
}

macro_rules! close_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// Why a node closes a connection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum CloseCode { $($(#[doc = $doc])+ $name = $code,)+ }

        impl CloseCode {
            /// Every code, ascending.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The reason sent with it: a few words, stable.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

close_codes! {
    /// The client detached or closed.
    Normal = 1000, "done";
    /// The session's new node has it, or the deadline of a move passed.
    Moved = 4001, "moved";
    /// The node is going away.
    Draining = 4002, "draining";
    /// More waited for the client than it took.
    SlowConsumer = 4101, "slow consumer";
    /// No frame came for too long, or no `hello`.
    HeartbeatLost = 4102, "heartbeat lost";
    /// The node has too much to do.
    Overloaded = 4103, "overloaded";
    /// Far too many sends.
    RateLimit = 4104, "rate limit";
    /// The ticket is expired, used, or for another node, generation or service.
    Ticket = 4105, "ticket";
    /// The client broke the protocol.
    Protocol = 4400, "protocol";
    /// The application's token was refused, ended or was revoked.
    Token = 4401, "token";
    /// The session may not do this.
    Forbidden = 4403, "forbidden";
    /// The user has too many sessions, and this was the oldest.
    Replaced = 4409, "replaced";
    /// A message over the limit.
    TooLarge = 4413, "too large";
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $temporary:literal, $close:expr, $message:literal;)+) => {
        /// What an `error` frame says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The code of this name, if it is one.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.code() == name)
            }

            /// Cause and remedy in a sentence.
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)+ }
            }

            /// Whether the same request may succeed later.
            pub fn temporary(self) -> bool {
                match self { $(Self::$name => $temporary,)+ }
            }

            /// The code with which the connection closes after this error, if it closes.
            pub fn close(self) -> Option<CloseCode> {
                match self { $(Self::$name => $close,)+ }
            }
        }
    };
}

error_codes! {
    /// A text frame that is not a JSON object with an `op`.
    BadJson = "bad_json", false, Some(CloseCode::Protocol), "the frame is not a JSON object with an \"op\": send one object a frame";
    /// A binary frame.
    BinaryFrame = "binary_frame", false, Some(CloseCode::Protocol), "binary frames are not spoken here: send JSON text";
    /// A frame that RFC 6455 forbids.
    BadFrame = "bad_frame", false, Some(CloseCode::Protocol), "the WebSocket framing is wrong (RFC 6455): use a WebSocket library";
    /// Subprotocols were offered, but not ours.
    SubprotocolExpected = "subprotocol_expected", false, Some(CloseCode::Protocol), "offer the subprotocol ringdial.v1, as the lookup's \"protocols\" does";
    /// A frame before `hello`, or a second `hello`.
    HelloExpected = "hello_expected", false, Some(CloseCode::Protocol), "the first frame, and only the first, is \"hello\"";
    /// No `hello` in time.
    HelloTimeout = "hello_timeout", true, Some(CloseCode::HeartbeatLost), "no \"hello\" came in time: send it as soon as the socket is open";
    /// A field is missing or has the wrong type.
    BadRequest = "bad_request", false, None, "a field is missing or has the wrong type: see the protocol's table of frames";
    /// An id or name outside the limits.
    BadId = "bad_id", false, None, "an id has 1 to 256 bytes of UTF-8 without control characters";
    /// More users than one send may name.
    TooManyUsers = "too_many_users", false, None, "one send names at most 1000 users: split it";
    /// The session would be in too many groups.
    TooManyGroups = "too_many_groups", false, None, "the session may be in no more groups: leave some first";
    /// A group that the session has not joined.
    NotJoined = "not_joined", false, None, "the session is not in this group: join it first";
    /// The session may not do this.
    Forbidden = "forbidden", false, None, "the application's token does not allow this";
    /// Not spoken by this version.
    NotSupported = "not_supported", false, None, "this version of the node does not do this";
    /// Over the message limit.
    TooLarge = "too_large", false, Some(CloseCode::TooLarge), "the message is over the limit told in \"welcome\"";
    /// Too many sends for now.
    RateLimited = "rate_limited", true, None, "too many sends: wait retry_after_ms";
    /// Too many sends, although told so, or far too many frames.
    RateExceeded = "rate_exceeded", true, Some(CloseCode::RateLimit), "far more came than the limits told in \"welcome\" allow";
    /// The home could not be reached in time.
    Unavailable = "unavailable", true, None, "the recipient's home did not answer in time: it may still be delivered; try again";
    /// The log did not confirm.
    LogUnavailable = "log_unavailable", true, None, "the log did not confirm in time: it may still be delivered; repeat it with its key";
    /// The key was used for another message.
    KeyReused = "key_reused", false, None, "this key was used for another message: give each message its own";
    /// Too much is under way already.
    Overloaded = "overloaded", true, None, "too much is waiting already: try again later";
    /// Not a ticket of this cluster.
    TicketInvalid = "ticket_invalid", true, Some(CloseCode::Ticket), "the ticket is not one that this cluster signed: look up again";
    /// The ticket has ended.
    TicketExpired = "ticket_expired", true, Some(CloseCode::Ticket), "the ticket has expired: look up again";
    /// The ticket was used.
    TicketUsed = "ticket_used", true, Some(CloseCode::Ticket), "the ticket was used before: look up again for each connection";
    /// The ticket is for another node or generation.
    TicketOtherNode = "ticket_other_node", true, Some(CloseCode::Ticket), "the ticket is for another node: look up again";
    /// The ticket is for another service.
    TicketOtherService = "ticket_other_service", true, Some(CloseCode::Ticket), "the ticket is for another service: look up again";
    /// The node is going away.
    Draining = "draining", true, Some(CloseCode::Draining), "the node is going away: look up again";
    /// The user has too many connections here, and this is the oldest.
    SessionReplaced = "session_replaced", false, Some(CloseCode::Replaced), "the user opened more connections than one may have, and this was the oldest";
    /// The application's back end ended the user's sessions.
    SessionRevoked = "session_revoked", false, Some(CloseCode::Token), "the application ended this user's sessions: sign in again";
    /// The application's token has ended.
    TokenExpired = "token_expired", false, Some(CloseCode::Token), "the application's token has ended: get a new one and look up again";
}

// === impl CloseCode ===

impl CloseCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// What the client does next.
    pub fn policy(self) -> ClosePolicy {
        policy(self.code())
    }
}

/// What a client does after a close with any `code`, known or not.
pub fn policy(code: u16) -> ClosePolicy {
    match code {
        4000..=4099 => ClosePolicy::LookUpNow,
        4400..=4499 => ClosePolicy::Stop,
        _ => ClosePolicy::BackOff,
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl From<crate::tokens::TicketError> for ErrorCode {
    fn from(error: crate::tokens::TicketError) -> Self {
        use crate::tokens::TicketError as E;
        match error {
            E::Invalid | E::TooLarge => Self::TicketInvalid,
            E::Expired => Self::TicketExpired,
            E::OtherNode => Self::TicketOtherNode,
            E::OtherService => Self::TicketOtherService,
            E::Used => Self::TicketUsed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hundreds_carry_the_policy() {
        for code in CloseCode::ALL {
            let expected = match code.code() / 100 {
                40 => ClosePolicy::LookUpNow,
                44 => ClosePolicy::Stop,
                _ => ClosePolicy::BackOff,
            };
            assert_eq!(code.policy(), expected, "{code:?}");
        }
        assert_eq!(policy(1006), ClosePolicy::BackOff);
        assert_eq!(policy(4499), ClosePolicy::Stop);
    }

    #[test]
    fn an_error_that_can_pass_never_closes_for_good() {
        for code in ErrorCode::ALL {
            if let Some(close) = code.close() {
                assert_eq!(code.temporary(), close.policy() != ClosePolicy::Stop, "{code:?}");
            }
            assert!(code.message().len() < 110, "{code:?} must fit a close frame's neighbourhood");
        }
    }
}
