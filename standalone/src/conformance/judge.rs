//! Judging a record: events in, findings out. Pure, and blind to how the events came about.

mod messages;
mod moves;
mod sockets;
mod waits;

use super::record::{Ms, Record};
use super::rules::{Level, Rule};
use super::scene::Scene;

/// Something that was seen of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    /// What was seen, if that breaks the rule.
    pub(super) broken: Option<String>,
}

/// What is to be said of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was kept wherever it came up.
    Ok,
    /// It was broken: the first time with this, and so often in all.
    Broken { seen: String, times: usize },
    /// It never came up.
    NotSeen,
}

/// All findings of a run that ended at `end`.
pub(super) fn judge(record: &Record, end: Ms) -> Vec<Finding> {
    let all = record.events();
    let mut findings = sockets::judge(all, end);
    if record.is_full() {
        let seen = format!("after {} lookups, connections and frames nothing more was looked at", all.len());
        findings.push(broken(Rule::Frames, seen));
    }
    findings.extend(messages::judge(record));
    findings.extend(waits::judge(record));
    findings.extend(moves::judge(record.of(Scene::Move), record.of(Scene::FailedMove)));
    findings
}

/// What the findings say of a rule.
pub(super) fn outcome(rule: Rule, findings: &[Finding]) -> Outcome {
    let of_rule: Vec<_> = findings.iter().filter(|finding| finding.rule == rule).collect();
    let broken: Vec<_> = of_rule.iter().filter_map(|finding| finding.broken.as_ref()).collect();
    match (broken.first(), of_rule.is_empty()) {
        (Some(seen), _) => Outcome::Broken { seen: (*seen).clone(), times: broken.len() },
        (None, true) => Outcome::NotSeen,
        (None, false) => Outcome::Ok,
    }
}

/// Whether every mandatory rule that the played scenes bring up was kept.
pub(super) fn behaved(findings: &[Finding], played: &[Scene]) -> bool {
    let must = |rule: &&Rule| rule.level() == Level::Must;
    Rule::ALL.iter().filter(must).all(|rule| match outcome(*rule, findings) {
        Outcome::Ok => true,
        Outcome::Broken { .. } => false,
        // What is looked at all along may have had no occasion in a single scene.
        Outcome::NotSeen => !played.contains(&rule.scene()),
    })
}

/// A finding that the rule was kept.
fn kept(rule: Rule) -> Finding {
    Finding { rule, broken: None }
}

/// A finding that it was not.
fn broken(rule: Rule, seen: impl Into<String>) -> Finding {
    Finding { rule, broken: Some(seen.into()) }
}

/// One or the other.
fn found(rule: Rule, keeps: bool, seen: impl FnOnce() -> String) -> Finding {
    if keeps { kept(rule) } else { broken(rule, seen()) }
}

#[cfg(test)]
mod tests;
