//! When a client looks up again: at once, after a random wait, not before it was told, or not at all.

use super::{Finding, broken, found};
use crate::conformance::record::{Answer, Event, Ms, Record, What};
use crate::conformance::rules::Rule;
use crate::conformance::scene::Scene;
use crate::conformance::world::UNREACHABLE;

/// What still is at once, on a slow machine.
const AT_ONCE_MS: Ms = 1_500;

/// Waits that are all shorter are none.
const NO_WAIT_MS: Ms = 60;

/// Waits that all lie so close together are not random: 6 of them do by chance once in 15,000 runs.
const ALIKE_MS: Ms = 120;

/// Waits that are too few to be called alike.
const WAITS_MIN: usize = 5;

/// Beyond all windows of scene `back-off` together: the client did not read them.
const TOO_LONG_MS: Ms = 6_000;

/// Timers fire a little early.
const EARLY_MS: Ms = 25;

pub(super) fn judge(record: &Record) -> Vec<Finding> {
    let mut findings = at_once(record.of(Scene::AtOnce));
    findings.extend(back_off(record.of(Scene::BackOff)));
    findings.extend(refused(record.of(Scene::Refused)));
    findings.extend(unreachable(record.of(Scene::Unreachable)));
    findings.extend(stopped(record.of(Scene::Stopped)));
    findings.extend(token(record.of(Scene::Token)));
    findings
}

/// The times from each end that the checker made to the next lookup; `None` if there was none.
fn waits(events: &[Event], ends: impl Fn(&What) -> bool) -> Vec<Option<Ms>> {
    let after = |at: usize| events.iter().skip(at).find(|event| matches!(event.what, What::Lookup { .. }));
    let of = |(at, event): (usize, &Event)| {
        ends(&event.what).then(|| after(at).map(|lookup| lookup.at - event.at))
    };
    events.iter().enumerate().filter_map(of).collect()
}

fn at_once(events: &[Event]) -> Vec<Finding> {
    let judged = |wait: Option<Ms>| match wait {
        Some(ms) => {
            found(Rule::AtOnce, ms <= AT_ONCE_MS, || format!("it looked up {ms} ms after close code 4077"))
        }
        None => broken(Rule::AtOnce, "it did not look up after close code 4077"),
    };
    waits(events, |what| matches!(what, What::Closing { .. })).into_iter().map(judged).collect()
}

fn back_off(events: &[Event]) -> Vec<Finding> {
    let closed = waits(events, |what| matches!(what, What::Closing { .. }));
    let lost = waits(events, |what| matches!(what, What::Cut { .. }));
    let mut findings = Vec::new();
    for (rule, after, times) in [
        (Rule::BackOff, "close codes 4199, 4103 and 4199", &closed),
        (Rule::Lost, "three ends without a code", &lost),
    ] {
        if times.contains(&None) {
            findings.push(broken(
                rule,
                format!("it did not look up again: after {after} it waited {}", told(times)),
            ));
        } else if times.len() > 1 {
            let waited = times.iter().flatten().any(|ms| *ms > NO_WAIT_MS);
            let in_time = times.iter().flatten().all(|ms| *ms <= TOO_LONG_MS);
            findings
                .push(found(rule, waited && in_time, || format!("after {after} it waited {}", told(times))));
        }
    }
    let all: Vec<Ms> = closed.iter().chain(&lost).flatten().copied().collect();
    if let (Some(least), Some(most), true) = (all.iter().min(), all.iter().max(), all.len() >= WAITS_MIN) {
        let seen =
            || format!("{} waits, in windows of 1200 ms, were all between {least} and {most} ms", all.len());
        findings.push(found(Rule::Jitter, most - least >= ALIKE_MS, seen));
    }
    findings
}

fn told(times: &[Option<Ms>]) -> String {
    let one = |ms: &Option<Ms>| ms.map_or_else(|| "for ever".to_owned(), |ms| format!("{ms} ms"));
    times.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn refused(events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let What::Lookup { answer: Answer::Refused { retry_ms, by_header }, .. } = &event.what else {
            continue;
        };
        let rule = if *by_header { Rule::RetryHeader } else { Rule::RetryAfter };
        let next = events.iter().skip(at + 1).find(|event| matches!(event.what, What::Lookup { .. }));
        findings.push(match next {
            None => broken(rule, "it did not look up again"),
            Some(next) => {
                let wait = next.at - event.at;
                found(rule, wait + EARLY_MS >= *retry_ms, || {
                    format!("told to come in {retry_ms} ms, it came after {wait} ms")
                })
            }
        });
    }
    findings
}

fn unreachable(events: &[Event]) -> Vec<Finding> {
    let mut lookups = events.iter().filter_map(|event| match &event.what {
        What::Lookup { answer, avoid, .. } => Some((answer, avoid)),
        _ => None,
    });
    let sent = lookups.any(|(answer, _)| *answer == Answer::Granted { node: UNREACHABLE });
    match lookups.next() {
        _ if !sent => Vec::new(),
        None => vec![broken(Rule::Avoid, format!("it did not look up again after {UNREACHABLE} refused it"))],
        Some((_, avoid)) => {
            let names = avoid.iter().any(|node| node == UNREACHABLE);
            vec![found(Rule::Avoid, names, || {
                format!("after {UNREACHABLE} refused it, the next lookup had avoid = {avoid:?}")
            })]
        }
    }
}

/// What the client did between the first close of the scene and the time from which it may begin anew.
struct Silence<'a> {
    /// The token of the lookup before.
    before: Option<u64>,
    lookups: Vec<&'a Event>,
    connections: usize,
}

fn silence(events: &[Event]) -> Option<Silence<'_>> {
    let closed = events.iter().position(|event| matches!(event.what, What::Closing { .. }))?;
    let due = events.iter().find_map(|event| match event.what {
        What::Restart { due } if due > event.at => Some(due),
        _ => None,
    })?;
    let before = events.get(..closed)?.iter().rev().find_map(|event| match event.what {
        What::Lookup { token, .. } => Some(token),
        _ => None,
    });
    let within = |event: &&Event| event.at + EARLY_MS < due;
    let after = events.get(closed..)?.iter().filter(within);
    let lookups = after.clone().filter(|event| matches!(event.what, What::Lookup { .. })).collect();
    let connections = after.filter(|event| matches!(event.what, What::Opened { .. })).count();
    Some(Silence { before: before.flatten(), lookups, connections })
}

fn stopped(events: &[Event]) -> Vec<Finding> {
    let Some(Silence { lookups, connections, .. }) = silence(events) else { return Vec::new() };
    vec![found(Rule::Stops, lookups.is_empty() && connections == 0, || {
        let (lookups, n) = (lookups.len(), connections);
        format!("after close code 4477 it looked up {lookups} times and connected {n} times by itself")
    })]
}

fn token(events: &[Event]) -> Vec<Finding> {
    let Some(Silence { before, lookups, .. }) = silence(events) else { return Vec::new() };
    let count = lookups.len();
    let once = found(Rule::TokenOnce, count <= 1, || {
        format!("closed with 4401 again and again, it looked up {count} times by itself")
    });
    let Some(before) = before else { return vec![once] };
    let newer = match lookups.first().map(|event| &event.what) {
        Some(What::Lookup { token: Some(token), .. }) => {
            found(Rule::NewerToken, *token != before, || "it looked up again with the same token".to_owned())
        }
        Some(_) => broken(Rule::NewerToken, "it looked up again without a token"),
        None => broken(Rule::NewerToken, "it had sent a token, and did not look up with a newer one"),
    };
    vec![once, newer]
}
