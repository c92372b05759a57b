//! The rules that are judged: what docs/PROTOCOL.md says, where, and what to do about a breach. docs/CONFORMANCE.md has
//! them as a table; a test compares the two.

use super::scene::Scene;

/// Whether a client must keep a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It must.
    Must,
    /// It should.
    Should,
}

macro_rules! rules {
    ($($name:ident = $text:literal, $level:ident, $scene:ident, $section:literal, $says:literal, $remedy:literal;)+) => {
        /// A rule for clients.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Rule { $($name,)+ }

        impl Rule {
            /// Every rule, in the order of the report.
            pub(super) const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its stable name.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether it is mandatory.
            pub(super) fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }

            /// The scene that brings it up; those of the first are looked at all along.
            pub(super) fn scene(self) -> Scene {
                match self { $(Self::$name => Scene::$scene,)+ }
            }

            /// The section of docs/PROTOCOL.md, as an anchor.
            pub(super) fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)+ }
            }

            /// What it says there, in short.
            pub(super) fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)+ }
            }

            /// What to do about a breach.
            pub(super) fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

rules! {
    Ticket = "ticket", Must, Begin, "step-2-connect",
        "the ticket comes as a subprotocol beside ringdial.v1, as a bearer token, or in the query",
        "hand the answer's `protocols` to the WebSocket as they are, both of them";
    OneLookup = "one-lookup", Must, Begin, "the-answer",
        "a ticket opens one connection: a client looks up again for each attempt",
        "keep no answer of a lookup: look up inside the loop that connects, each time";
    Hello = "hello-first", Must, Begin, "a-session-from-beginning-to-end",
        "the first frame is `hello`, within 10 s, and there is one in a connection",
        "send `hello` as soon as the socket is open, before anything else";
    Frames = "frames", Must, Begin, "frames",
        "a frame is one text message with one JSON object with an `op`, and has its fields",
        "compare what was sent with the table of frames from client to node";
    Sockets = "two-sockets", Must, Begin, "moves",
        "one connection, and during a move a second one",
        "keep one loop: before it opens a socket, the last one is closed or a move's old one";
    Ping = "ping", Must, Begin, "a-session-from-beginning-to-end",
        "`ping` is answered within 10 s",
        "answer {\"op\":\"pong\"} inside the handler of messages, whatever else goes on";
    Unknown = "unknown", Must, Begin, "unknown-things-and-later-versions",
        "unknown ops and fields are ignored",
        "ignore what you do not know: no strict schemas, no `else throw`";
    Once = "once", Must, Begin, "what-a-client-does",
        "each durable message is given to the application once, by epoch and offset; each ephemeral one by its id",
        "drop an offset that is not higher than the topic's position, and an id's counter that is not higher than its origin's last";
    Order = "order", Must, Begin, "order",
        "a topic's durable messages are given to the application in the order of their offsets",
        "hand messages over in the order in which they come, and take a replay before what follows it";
    Arrives = "arrives", Must, Begin, "what-follows",
        "what a connection brings is given to the application",
        "look at what is dropped: only what is not above the topic's position may be";
    AtOnce = "at-once", Must, AtOnce, "close-codes",
        "4000-4099: look up again at once, for codes that are not known too",
        "go by the hundreds of the code, and do not wait where nothing failed before";
    BackOff = "back-off", Must, BackOff, "close-codes",
        "4100-4199 and codes that are not ours: look up again after a random back-off",
        "wait a random time between 0 and min(max_ms, base_ms * 2^n) before the lookup";
    Lost = "lost", Must, BackOff, "after-a-close",
        "after an end without a close code: wait a random part of `retry_spread_ms`, then look up",
        "take an end without a code (1006) for one, and wait random() * retry_spread_ms";
    Jitter = "jitter", Must, BackOff, "after-a-close",
        "waits are random, so that a crowd does not come at once",
        "multiply the whole window with a random number; a fixed wait with a little noise is none";
    RetryAfter = "retry-after", Must, Refused, "what-a-client-does-with-a-refusal",
        "a refused lookup is repeated no sooner than its `retry_after_ms`",
        "read the problem's `retry_after_ms`, and wait at least that";
    RetryHeader = "retry-after-header", Should, Refused, "problems",
        "a proxy's refusal has only `Retry-After`, in seconds, and is respected too",
        "without a problem document read the header `Retry-After`";
    Avoid = "avoid", Must, Unreachable, "after-a-close",
        "a node that could not be reached is named as `avoid` in the next lookup",
        "remember the answer's `node` when its socket does not open, and send avoid=<node>";
    Stops = "stops", Must, Stopped, "close-codes",
        "4400-4499: stop until the application acts, for codes that are not known too",
        "go by the hundreds of the code: no lookup, no timer, and tell the application";
    TokenOnce = "token-once", Must, Token, "close-codes",
        "4401: look up again once; the second time in a row stop",
        "count it: a second 4401 without a session that held in between is the end";
    NewerToken = "newer-token", Should, Token, "close-codes",
        "4401: a client that can get a newer token of the application does so, and looks up",
        "let the application give a function for the token, and call it before each lookup";
    MoveFollowed = "move-followed", Should, Move, "moves",
        "after `moved` the client connects to its `url` within its time",
        "open a second socket to `url` with `protocols`, after random() * spread_ms";
    MoveSocket = "move-socket", Must, Move, "moves",
        "at no moment of a move is the client without a socket",
        "leave the old socket alone until the new one has its `welcome`";
    MoveReplaces = "move-replaces", Must, Move, "moves",
        "the new connection's `hello` has `replaces`, the `session` of the old one's `welcome`",
        "keep `welcome.session` and send it as `hello.replaces` when moving";
    MoveRepeats = "move-repeats", Must, Move, "moves",
        "durable sends without an answer are repeated on the new connection, in order and with their keys, before `detach`",
        "keep each send until its answer, as the text that it was, and write them all again after `welcome`";
    MoveDetach = "move-detach", Must, Move, "moves",
        "`detach` is sent on the old connection, once no topic of the new one is `pending`",
        "wait for the `recovered` of each pending topic, then say `detach` and let `bye` come";
    FailedMove = "failed-move", Must, FailedMove, "moves",
        "a move that fails changes nothing: the client stays, without a lookup",
        "when the new socket does not open, forget the move and nothing else";
    Resume = "resume", Must, Resume, "what-a-client-does",
        "`hello.resume` names every topic with its position: epoch, and the offset last taken over",
        "keep {epoch, offset} of each topic from `welcome`, `message` and `gap`, and send them all";
    Gap = "gap", Must, Resume, "gaps",
        "a `gap` is told to the application, and the position becomes before - 1 of its epoch",
        "give the application an event, and set the topic's position from the gap";
    Pending = "pending", Must, Resume, "what-follows",
        "if a connection ends while a topic is `pending`, the client asks again for what it asked for",
        "let `pending` change no position: it stays what it was until `recovered`";
    SameKey = "same-key", Must, Repeat, "acknowledgements-and-keys",
        "whoever repeats a durable send gives it the same key",
        "make the key when the message is made, not when it is written";
    SlowDown = "slow-down", Must, Repeat, "from-node-to-client",
        "a send that is refused with `retry_after_ms` is not repeated before that",
        "wait at least the error's `retry_after_ms`";
    Quiet = "quiet", Must, Close, "after-a-close",
        "a client that its application closed neither looks up nor connects",
        "closing ends the loop: cancel its timers, and let nothing that comes late begin it anew";
    CloseFrame = "close-frame", Should, Close, "close-codes",
        "a client that ends says so with a close frame, 1000 or 1001",
        "close the WebSocket with its own handshake instead of cutting the connection";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows after the table's mark: rule, level, scene, anchor.
    fn documented() -> Vec<Vec<String>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFORMANCE.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, table) = text.split_once("<!-- checked: conformance rules -->\n").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let cells =
            |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        rows.map(cells).collect()
    }

    #[test]
    fn the_document_has_these_rules() {
        let level = |rule: &Rule| if rule.level() == Level::Must { "must" } else { "should" };
        let row =
            |rule: &Rule| [rule.name(), level(rule), rule.scene().name(), rule.section()].map(str::to_owned);
        let anchor = |cell: &str| {
            let (_, link) = cell.rsplit_once("(PROTOCOL.md#").unwrap();
            link.trim_end_matches(')').to_owned()
        };
        let told: Vec<_> = documented()
            .iter()
            .map(|cells| [cells[0].clone(), cells[1].clone(), cells[2].clone(), anchor(&cells[3])])
            .collect();
        assert_eq!(told, Rule::ALL.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn every_scene_brings_up_a_rule() {
        for scene in Scene::ALL {
            assert!(Rule::ALL.iter().any(|rule| rule.scene() == *scene), "{}", scene.name());
        }
    }
}
