//! What the application was given, by its echoes; the positions in `hello`; keys of sends that are repeated; the end.

use std::collections::BTreeMap;

use cluster::log::Position;
use cluster::wire::client::Since;

use super::{Finding, broken, found, kept};
use crate::conformance::record::{ConnId, Echo, Event, Heard, Ms, Record, Said, What};
use crate::conformance::rules::Rule;
use crate::conformance::scene::Scene;

/// Timers fire a little early.
const EARLY_MS: Ms = 25;

/// A send that says that the application was given the message `n`.
struct Sent<'a> {
    place: usize,
    at: Ms,
    conn: ConnId,
    n: u64,
    key: Option<&'a str>,
    reference: Option<&'a str>,
}

pub(super) fn judge(record: &Record) -> Vec<Finding> {
    let mut findings = Vec::new();
    for scene in Scene::ALL {
        let events = record.of(*scene);
        let sent = echoes(events);
        findings.extend(repetitions(*scene, events, &sent));
        if *scene != Scene::Repeat {
            findings.extend(order(events, &sent));
        }
    }
    findings.extend(resumed(record.of(Scene::Resume)));
    findings.extend(resumed(record.of(Scene::Move)));
    findings.extend(gaps(record.of(Scene::Resume)));
    findings.extend(slow_down(record.of(Scene::Repeat)));
    findings.extend(close(record.of(Scene::Close)));
    findings
}

fn echoes(events: &[Event]) -> Vec<Sent<'_>> {
    let echo = |(place, event): (usize, &'_ Event)| match &event.what {
        What::Heard { heard: Heard::Send { echo: Some(Echo::Message(_)), .. }, .. } => {
            Some((place, event.at))
        }
        _ => None,
    };
    let places = events.iter().enumerate().filter_map(echo);
    places
        .filter_map(|(place, at)| match &events.get(place)?.what {
            What::Heard { conn, heard: Heard::Send { echo: Some(Echo::Message(n)), key, reference, .. } } => {
                let (key, reference) = (key.as_deref(), reference.as_deref());
                Some(Sent { place, at, conn: *conn, n: *n, key, reference })
            }
            _ => None,
        })
        .collect()
}

/// A second echo of a message is a repetition with the first one's key; or a sign that the application was given it twice.
fn repetitions(scene: Scene, events: &[Event], sent: &[Sent<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut firsts: BTreeMap<u64, &Sent<'_>> = BTreeMap::new();
    for echo in sent {
        let Some(first) = firsts.get(&echo.n) else {
            firsts.insert(echo.n, echo);
            findings.push(kept(Rule::Once));
            continue;
        };
        let n = echo.n;
        if first.key.is_some() && first.key == echo.key {
            findings.push(kept(Rule::SameKey));
        } else if answer(events, first, echo.place) == Answer::Refused
            || (first.conn != echo.conn && answer(events, first, echo.place) == Answer::None)
        {
            let how = if echo.key.is_some() { "with another key" } else { "without a key" };
            findings.push(broken(Rule::SameKey, format!("the send about message {n} was repeated {how}")));
        } else {
            findings.push(broken(Rule::Once, format!("the application was given message {n} twice")));
        }
    }
    for event in events {
        let What::Late { n } = event.what else { continue };
        findings.push(found(Rule::Once, !firsts.contains_key(&n), || {
            format!("the application was given the ephemeral message {n}, which a later one had overtaken")
        }));
    }
    if scene == Scene::Repeat {
        let lonely = firsts.keys().find(|n| sent.iter().filter(|echo| echo.n == **n).count() < 2);
        findings.extend(lonely.map(|n| {
            let seen =
                format!("the send about message {n} was refused for the time being, and never came again");
            broken(Rule::SameKey, seen)
        }));
    }
    findings
}

#[derive(PartialEq, Eq)]
enum Answer {
    None,
    Ack,
    Refused,
}

/// What a send was answered with, before the place `until`.
fn answer(events: &[Event], sent: &Sent<'_>, until: usize) -> Answer {
    let between = events.get(sent.place..until).unwrap_or_default();
    let is_answer = |event: &Event| match &event.what {
        What::Said { conn, said: Said::Ack { reference } }
            if *conn == sent.conn && reference.as_deref() == sent.reference =>
        {
            Some(Answer::Ack)
        }
        What::Said { conn, said: Said::Refused { reference, .. } }
            if *conn == sent.conn && reference.as_deref() == sent.reference =>
        {
            Some(Answer::Refused)
        }
        _ => None,
    };
    between.iter().find_map(is_answer).unwrap_or(Answer::None)
}

/// All that was published arrived, and in each topic in its order.
fn order(events: &[Event], sent: &[Sent<'_>]) -> Vec<Finding> {
    let mut published: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut findings = Vec::new();
    for event in events {
        let What::Published { topic, n, durable } = &event.what else { continue };
        let arrived = sent.iter().any(|echo| echo.n == *n);
        findings.push(found(Rule::Arrives, arrived, || {
            let kind = if *durable { "durable" } else { "ephemeral" };
            format!("no word came of the {kind} message {n} of {}", shown(topic))
        }));
        if *durable && arrived {
            published.entry(topic).or_default().push(*n);
        }
    }
    for (topic, wanted) in published {
        let mut given: Vec<u64> = Vec::new();
        for echo in sent {
            if wanted.contains(&echo.n) && !given.contains(&echo.n) {
                given.push(echo.n);
            }
        }
        findings.push(found(Rule::Order, given == wanted, || {
            format!("of {} came {given:?} instead of {wanted:?}", shown(topic))
        }));
    }
    findings
}

/// What a client knows of a topic.
#[derive(Default)]
struct Known {
    position: Option<Position>,
    /// The last connection ended before the log had answered.
    pending: bool,
    /// Everything was asked for, so that a head other than 0 is no position.
    all: bool,
}

// === impl Known ===

impl Known {
    /// `hello` says where the client stands, or what it asks for.
    fn asked(&mut self, since: Option<&Since>) {
        self.all = since.is_some_and(|since| since.position().is_none());
    }

    /// A head was told, or is not known yet.
    fn told(&mut self, head: Option<Position>) {
        let counts = |head: &Position| !self.all || head.offset == 0;
        self.position = self.position.or(head.filter(counts));
        self.pending = head.is_none();
    }
}

/// Each `hello` names the positions that follow from what was said before.
fn resumed(events: &[Event]) -> Vec<Finding> {
    let mut topics: BTreeMap<String, Known> = BTreeMap::new();
    let mut findings = Vec::new();
    for event in events {
        match &event.what {
            What::Heard { heard: Heard::Hello { resume, .. }, .. } => {
                for topic in resume.keys() {
                    topics.entry(topic.clone()).or_default();
                }
                for (topic, known) in &mut topics {
                    known.asked(resume.get(topic));
                    let Some(position) = known.position else { continue };
                    let said = resume.get(topic).and_then(|since| since.position());
                    let rule = if known.pending { Rule::Pending } else { Rule::Resume };
                    findings.push(found(rule, said == Some(position), || {
                        let said = said.map_or_else(|| "not at all".to_owned(), |at| place(&at));
                        format!("{} stood at {}, and hello named it {said}", shown(topic), place(&position))
                    }));
                }
            }
            What::Said { said: Said::Welcome { topics: told, .. }, .. } => {
                for (topic, head) in told {
                    topics.entry(topic.clone()).or_default().told(*head);
                }
            }
            What::Said { said: Said::Message { topic, position }, .. } => {
                let known = topics.entry(topic.clone()).or_default();
                let newer =
                    known.position.is_none_or(|at| at.epoch == position.epoch && at.offset < position.offset);
                known.position = if newer { Some(*position) } else { known.position };
            }
            What::Said { said: Said::Gap { topic, position }, .. } => {
                topics.entry(topic.clone()).or_default().position = Some(*position);
            }
            What::Said { said: Said::Recovered { topic }, .. } => {
                topics.entry(topic.clone()).or_default().pending = false;
            }
            _ => {}
        }
    }
    findings
}

fn gaps(events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let What::Said { said: Said::Gap { topic, .. }, .. } = &event.what else { continue };
        let rest = events.get(at..).unwrap_or_default();
        // Up to the next gap: each is told.
        let next = |event: &&Event| !matches!(&event.what, What::Said { said: Said::Gap { .. }, .. });
        let told = rest.iter().skip(1).take_while(next).any(|event| match &event.what {
            What::Heard { heard: Heard::Send { echo: Some(Echo::Gap(named)), .. }, .. } => named == topic,
            _ => false,
        });
        findings.push(found(Rule::Gap, told, || format!("no word came of a gap in {}", shown(topic))));
    }
    findings
}

fn slow_down(events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let What::Said { said: Said::Refused { retry_ms, reference }, .. } = &event.what else { continue };
        if *retry_ms == 0 {
            continue;
        }
        let before = echoes(events.get(..at).unwrap_or_default());
        let refused = before.iter().rev().find(|echo| echo.reference == reference.as_deref());
        let Some(n) = refused.map(|echo| echo.n) else { continue };
        let again = echoes(events).into_iter().find(|echo| echo.place > at && echo.n == n);
        findings.extend(again.map(|echo| {
            let wait = echo.at - event.at;
            found(Rule::SlowDown, wait + EARLY_MS >= *retry_ms, || {
                format!("told to repeat a send in {retry_ms} ms, it did so after {wait} ms")
            })
        }));
    }
    findings
}

fn close(events: &[Event]) -> Vec<Finding> {
    let Some(stop) = events.iter().position(|event| event.what == What::Stop) else { return Vec::new() };
    let after = events.get(stop..).unwrap_or_default();
    let acts =
        after.iter().filter(|event| matches!(event.what, What::Lookup { .. } | What::Opened { .. })).count();
    let ended = after.iter().find_map(|event| match event.what {
        What::Ended { code, .. } => Some(code),
        _ => None,
    });
    let frame = match ended {
        None => broken(Rule::CloseFrame, "the connection stayed open"),
        Some(code) => found(Rule::CloseFrame, matches!(code, Some(1000 | 1001 | 1005)), || match code {
            Some(code) => format!("the close frame had code {code}"),
            None => "the connection was cut, without a close frame".to_owned(),
        }),
    };
    let over = ended.is_some() && acts == 0;
    let quiet = found(Rule::Quiet, over, || match ended {
        Some(_) => format!("after its end it looked up or connected {acts} times"),
        None => "the connection stayed open".to_owned(),
    });
    vec![quiet, frame]
}

/// A topic without the user's name.
fn shown(topic: &str) -> &str {
    if topic.starts_with("u:") { "the inbox" } else { "the group" }
}

fn place(position: &Position) -> String {
    format!("offset {} of epoch {}", position.offset, position.epoch)
}
