//! What is looked at on every connection: its ticket, `hello`, frames, `ping`, unknown ops, and how many there are.

use std::collections::BTreeSet;

use super::{Finding, broken, found, kept};
use crate::conformance::record::{ConnId, Event, Heard, Ms, Said, TicketUse, What};
use crate::conformance::rules::Rule;

/// From the connection to `hello`, and from `ping` to its answer.
const ANSWER_MS: Ms = 10_000;

/// Sockets of a client in a move.
const SOCKETS_MAX: usize = 2;

pub(super) fn judge(all: &[Event], end: Ms) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, event) in all.iter().enumerate() {
        let rest = all.get(at + 1..).unwrap_or_default();
        match &event.what {
            What::Opened { conn, ticket, .. } => {
                findings.extend(ticket_of(*conn, *ticket));
                if *ticket == TicketUse::Fresh {
                    findings.extend(hello(*conn, event.at, rest, end));
                }
            }
            What::Heard { .. } => findings.push(kept(Rule::Frames)),
            What::Wrong { conn, what } => {
                findings.push(broken(Rule::Frames, format!("on connection {conn}: {what}")));
            }
            What::Said { conn, said: Said::Ping } => findings.push(ping(*conn, event.at, rest)),
            What::Said { conn, said: Said::Unknown } => findings.extend(unknown(*conn, rest)),
            _ => {}
        }
    }
    findings.extend(sockets(all));
    findings
}

fn ticket_of(conn: ConnId, ticket: TicketUse) -> Vec<Finding> {
    match ticket {
        TicketUse::Fresh => vec![kept(Rule::Ticket), kept(Rule::OneLookup)],
        TicketUse::Used => {
            let seen = format!("connection {conn} came with a ticket that had opened one before");
            vec![kept(Rule::Ticket), broken(Rule::OneLookup, seen)]
        }
        TicketUse::Wrong => {
            vec![broken(
                Rule::Ticket,
                format!("connection {conn} came with a ticket that is not for this node"),
            )]
        }
        TicketUse::Missing => vec![broken(Rule::Ticket, format!("connection {conn} came without a ticket"))],
        TicketUse::NoSubprotocol => {
            let seen = format!("connection {conn} offered subprotocols, and ringdial.v1 was not among them");
            vec![broken(Rule::Ticket, seen)]
        }
    }
}

/// The frames of a connection; unknown ops and `pong` are ignored before `hello`, too.
fn hello(conn: ConnId, opened: Ms, rest: &[Event], end: Ms) -> Option<Finding> {
    let frames: Vec<(Ms, bool)> = rest
        .iter()
        .filter_map(|event| match &event.what {
            What::Heard { conn: heard, heard: Heard::Pong | Heard::Unknown } if *heard == conn => None,
            What::Heard { conn: heard, heard: frame } if *heard == conn => {
                Some((event.at, matches!(frame, Heard::Hello { .. })))
            }
            _ => None,
        })
        .collect();
    let over = rest.iter().find_map(|event| match event.what {
        What::Ended { conn: ended, .. } if ended == conn => Some(event.at),
        _ => None,
    });
    let Some((at, first)) = frames.first().copied() else {
        let waited = over.unwrap_or(end).saturating_sub(opened);
        let seen = || format!("connection {conn} said no hello in {waited} ms");
        return (waited > ANSWER_MS).then(|| broken(Rule::Hello, seen()));
    };
    let hellos = frames.iter().filter(|(_, hello)| *hello).count();
    Some(if !first {
        broken(Rule::Hello, format!("the first frame of connection {conn} was another"))
    } else if at - opened > ANSWER_MS {
        broken(Rule::Hello, format!("hello came {} ms after connection {conn} was open", at - opened))
    } else {
        found(Rule::Hello, hellos == 1, || format!("connection {conn} said hello {hellos} times"))
    })
}

fn ping(conn: ConnId, said: Ms, rest: &[Event]) -> Finding {
    let answer =
        rest.iter().find(|event| matches!(event.what, What::Heard { conn: heard, .. } if heard == conn));
    match answer {
        Some(event) if event.at - said <= ANSWER_MS => kept(Rule::Ping),
        _ => {
            broken(Rule::Ping, format!("nothing came within {ANSWER_MS} ms of the ping on connection {conn}"))
        }
    }
}

/// Whether the client went on after an op that it cannot know. If the checker ended things itself, nobody knows.
fn unknown(conn: ConnId, rest: &[Event]) -> Option<Finding> {
    rest.iter().find_map(|event| match &event.what {
        What::Heard { conn: other, .. } if *other == conn => Some(Some(kept(Rule::Unknown))),
        What::Ended { conn: other, .. } if *other == conn => {
            let seen = format!("the client ended connection {conn} after an op that it does not know");
            Some(Some(broken(Rule::Unknown, seen)))
        }
        What::Closing { conn: other, .. } | What::Cut { conn: other } if *other == conn => Some(None),
        What::Restart { .. } | What::Stop => Some(None),
        _ => None,
    })?
}

/// How many are open at once; those that the checker closes, or of a client that is to end, are not counted.
fn sockets(all: &[Event]) -> Vec<Finding> {
    let mut open: BTreeSet<ConnId> = BTreeSet::new();
    let mut findings = Vec::new();
    for event in all {
        match &event.what {
            What::Scene { first, .. } => open.retain(|conn| conn >= first),
            What::Opened { conn, .. } => {
                open.insert(*conn);
                findings.push(found(Rule::Sockets, open.len() <= SOCKETS_MAX, || {
                    format!("{} connections were open at once: {open:?}", open.len())
                }));
            }
            What::Closing { conn, .. } | What::Ended { conn, .. } => {
                open.remove(conn);
            }
            _ => {}
        }
    }
    findings
}
