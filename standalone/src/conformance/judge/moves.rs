//! Moves: the new connection before the old one goes, what is repeated there, and a move that fails.

use super::{Finding, broken, found};
use crate::conformance::record::{ConnId, Echo, Event, Heard, Ms, Said, What};
use crate::conformance::rules::Rule;

/// How long a client may take beyond the spread.
const MOVES_MS: Ms = 5_000;

/// The places of a move's steps among the events of its scene.
struct Move<'a> {
    events: &'a [Event],
    old: ConnId,
    asked: usize,
    spread_ms: Ms,
    /// The new connection, if there is one.
    new: Option<ConnId>,
}

/// `moved` and `failed` are the events of the two scenes.
pub(super) fn judge(moved: &[Event], failed: &[Event]) -> Vec<Finding> {
    let mut findings = Move::of(moved).map(|it| it.judge()).unwrap_or_default();
    findings.extend(Move::of(failed).map(|it| it.judge_failed()));
    findings
}

// === impl Move ===

impl<'a> Move<'a> {
    fn of(events: &'a [Event]) -> Option<Self> {
        let (asked, old, spread_ms, to) =
            events.iter().enumerate().find_map(|(at, event)| match &event.what {
                What::Said { conn, said: Said::Moved { node, spread_ms } } => {
                    Some((at, *conn, *spread_ms, *node))
                }
                _ => None,
            })?;
        // A client that looks up instead of moving may come to any node.
        let new = events.iter().skip(asked).find_map(|event| match event.what {
            What::Opened { conn, node, .. } if node == to => Some(conn),
            _ => None,
        });
        Some(Self { events, old, asked, spread_ms, new })
    }

    /// The place of the first event after the `moved`, if `is` holds of it.
    fn place(&self, is: impl Fn(&What) -> bool) -> Option<usize> {
        let after = |(at, event): (usize, &Event)| (at > self.asked && is(&event.what)).then_some(at);
        self.events.iter().enumerate().find_map(after)
    }

    fn at(&self, place: usize) -> Ms {
        self.events.get(place).map_or(0, |event| event.at)
    }

    fn judge(&self) -> Vec<Finding> {
        let old = self.old;
        let hello = self.place(|what| {
            matches!(what, What::Heard { conn, heard: Heard::Hello { .. } } if Some(*conn) == self.new)
        });
        let took = hello.map(|hello| self.at(hello) - self.at(self.asked));
        let followed = match took {
            Some(ms) => found(Rule::MoveFollowed, ms <= self.spread_ms + MOVES_MS, || {
                format!(
                    "its hello at the new node came {ms} ms after `moved` with a spread of {} ms",
                    self.spread_ms
                )
            }),
            None => broken(Rule::MoveFollowed, "no hello came at the new node"),
        };
        let left = self.place(|what| {
            matches!(what, What::Ended { conn, .. } | What::Heard { conn, heard: Heard::Detach } if *conn == old)
        });
        let welcome = self.place(
            |what| matches!(what, What::Said { conn, said: Said::Welcome { .. } } if Some(*conn) == self.new),
        );
        let mut findings = vec![followed];
        if hello.is_some() || left.is_some() {
            let kept = left.is_none_or(|left| welcome.is_some_and(|welcome| welcome < left));
            findings.push(found(Rule::MoveSocket, kept, || {
                "it left the old connection before the new one had its welcome".to_owned()
            }));
        }
        if let (Some(hello), Some(welcome)) = (hello, welcome) {
            findings.push(self.replaces(hello));
            findings.push(self.detach());
            findings.push(self.repeats(welcome));
        }
        findings
    }

    fn replaces(&self, hello: usize) -> Finding {
        let session = self.events.iter().find_map(|event| match &event.what {
            What::Said { conn, said: Said::Welcome { session, .. } } if *conn == self.old => Some(session),
            _ => None,
        });
        let named = match self.events.get(hello).map(|event| &event.what) {
            Some(What::Heard { heard: Heard::Hello { replaces, .. }, .. }) => replaces.as_ref(),
            _ => None,
        };
        found(Rule::MoveReplaces, named == session, || match named {
            Some(_) => "hello.replaces was another than the session of the old welcome".to_owned(),
            None => "the new connection's hello had no `replaces`".to_owned(),
        })
    }

    fn detach(&self) -> Finding {
        let old = self.old;
        let detach =
            self.place(|what| matches!(what, What::Heard { conn, heard: Heard::Detach } if *conn == old));
        let recovered = self.place(|what| matches!(what, What::Said { said: Said::Recovered { .. }, .. }));
        let ended = self.place(|what| matches!(what, What::Ended { conn, .. } if *conn == old));
        match (detach, recovered) {
            (Some(detach), recovered) => {
                found(Rule::MoveDetach, recovered.is_some_and(|recovered| recovered < detach), || {
                    "detach came while a topic of the new connection was pending".to_owned()
                })
            }
            (None, _) if ended.is_some() => {
                broken(Rule::MoveDetach, "the old connection was closed, and no detach was said")
            }
            (None, _) => broken(Rule::MoveDetach, "no detach came on the old connection"),
        }
    }

    /// What the old connection left unanswered comes again on the new one, before `detach`.
    fn repeats(&self, welcome: usize) -> Finding {
        let detach = self.place(|what| matches!(what, What::Heard { heard: Heard::Detach, .. }));
        let before = detach.unwrap_or(self.events.len());
        let unanswered = sends(self.events.get(..welcome).unwrap_or_default(), self.old);
        let again = sends(self.events.get(..before).unwrap_or_default(), self.new.unwrap_or_default());
        let again: Vec<_> =
            again.into_iter().filter(|(n, _)| unanswered.iter().any(|(held, _)| held == n)).collect();
        let numbers = |sends: &[(u64, Option<&str>)]| sends.iter().map(|(n, _)| *n).collect::<Vec<_>>();
        if numbers(&again) != numbers(&unanswered) {
            let (held, again) = (numbers(&unanswered), numbers(&again));
            let seen =
                format!("sends {held:?} had no answer; on the new connection came {again:?}, before detach");
            return broken(Rule::MoveRepeats, seen);
        }
        found(Rule::MoveRepeats, again == unanswered, || "the repeated sends had other keys".to_owned())
    }

    fn judge_failed(&self) -> Finding {
        let old = self.old;
        let next = self.place(|what| matches!(what, What::Restart { .. })).unwrap_or(self.events.len());
        let did = |is: fn(&What) -> bool| self.place(is).is_some_and(|at| at < next);
        let looked = did(|what| matches!(what, What::Lookup { .. }));
        let left = self
            .place(|what| {
                matches!(what, What::Ended { conn, .. } | What::Heard { conn, heard: Heard::Detach } if *conn == old)
            })
            .is_some_and(|at| at < next);
        match (looked, left) {
            (true, _) => broken(Rule::FailedMove, "it looked up after the node of `moved` had refused it"),
            (_, true) => broken(Rule::FailedMove, "it left its connection although the move failed"),
            _ => found(Rule::FailedMove, true, String::new),
        }
    }
}

/// The echoes on a connection with their keys, in order.
fn sends<'e>(events: &'e [Event], of: ConnId) -> Vec<(u64, Option<&'e str>)> {
    let echo = |event: &'e Event| match &event.what {
        What::Heard { conn, heard: Heard::Send { echo: Some(Echo::Message(n)), key, .. } } if *conn == of => {
            Some((*n, key.as_deref()))
        }
        _ => None,
    };
    events.iter().filter_map(echo).collect()
}
