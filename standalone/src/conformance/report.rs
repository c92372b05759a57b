//! The report: for people, or one JSON object a line.

use std::fmt::Write;

use serde_json::json;

use super::judge::{Finding, Outcome, behaved, outcome};
use super::record::Ms;
use super::rules::{Level, Rule};
use super::scene::Scene;

/// Where the rules are written down.
const PROTOCOL: &str = "docs/PROTOCOL.md";

/// A run that is over.
pub(super) struct Run<'a> {
    /// What the judges found.
    pub(super) findings: &'a [Finding],
    /// The scenes that were to be played.
    pub(super) asked: &'a [Scene],
    /// Those that were played to their end; the others could not go on.
    pub(super) whole: &'a [Scene],
    /// How long it took.
    pub(super) took: Ms,
}

/// What is written when the checker is ready.
pub(super) fn greeting(origin: &str, json: bool) -> String {
    let lookup = format!("{origin}/lookup");
    if json {
        let line = json!({ "event": "listening", "role": "conformance", "url": origin, "lookup": lookup });
        return format!("{line}\n");
    }
    format!(
        "\nThis judges a client of Ringdial's protocol, in any language. Let it look up at\n\n  {lookup}\n\n\
         as any user, with the few lines of docs/CONFORMANCE.md around it. It begins when the client comes.\n\
         Ctrl-C ends it.\n\n"
    )
}

/// What is written when a scene begins.
pub(super) fn scene(scene: Scene, json: bool) -> String {
    if json {
        format!("{}\n", json!({ "event": "scene", "scene": scene.name() }))
    } else {
        format!("  scene {}\n", scene.name())
    }
}

/// The report of a run, and whether the client behaved.
pub(super) fn report(run: &Run<'_>, json: bool) -> (String, bool) {
    let well = behaved(run.findings, run.asked) && run.whole == run.asked;
    (if json { for_programs(run, well) } else { for_people(run, well) }, well)
}

/// The rules of the scenes that were asked for, and others that were broken.
fn told(run: &Run<'_>) -> impl Iterator<Item = (Rule, Outcome)> {
    let asked = |rule: Rule, outcome: &Outcome| {
        run.asked.contains(&rule.scene()) || matches!(outcome, Outcome::Broken { .. })
    };
    let each = |rule: &Rule| (*rule, outcome(*rule, run.findings));
    Rule::ALL.iter().map(each).filter(move |(rule, outcome)| asked(*rule, outcome))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Broken { .. } => "broken",
        Outcome::NotSeen => "not seen",
    }
}

fn level(rule: Rule) -> &'static str {
    match rule.level() {
        Level::Must => "must",
        Level::Should => "should",
    }
}

fn for_programs(run: &Run<'_>, well: bool) -> String {
    let mut text = String::new();
    for (rule, outcome) in told(run) {
        let mut line = json!({
            "event": "rule", "rule": rule.name(), "level": level(rule), "scene": rule.scene().name(),
            "outcome": word(&outcome), "says": rule.says(), "section": format!("{PROTOCOL}#{}", rule.section()),
        });
        if let Outcome::Broken { seen, times } = &outcome {
            line["seen"] = seen.as_str().into();
            line["times"] = (*times).into();
            line["remedy"] = rule.remedy().into();
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    let names = |scenes: &[Scene]| scenes.iter().map(|scene| scene.name()).collect::<Vec<_>>();
    let summary = json!({
        "event": "summary", "ok": well, "took_ms": run.took, "scenes": names(run.asked),
        "broken_off": names(&run.asked.iter().copied().filter(|scene| !run.whole.contains(scene)).collect::<Vec<_>>()),
    });
    let _ = writeln!(text, "{summary}");
    text
}

fn for_people(run: &Run<'_>, well: bool) -> String {
    let mut text = String::from("\n");
    let (mut broken, mut unseen) = (0, 0);
    for (rule, outcome) in told(run) {
        let _ =
            writeln!(text, "  {:<9} {:<19} {:<7} {}", word(&outcome), rule.name(), level(rule), rule.says());
        let must = usize::from(rule.level() == Level::Must);
        match &outcome {
            Outcome::Ok => {}
            Outcome::NotSeen => unseen += must,
            Outcome::Broken { seen, times } => {
                broken += must;
                let more = if *times > 1 { format!(" ({times} times)") } else { String::new() };
                let _ = writeln!(text, "{:12}seen    {seen}{more}", "");
                let _ = writeln!(text, "{:12}says    {PROTOCOL}#{}", "", rule.section());
                let _ = writeln!(text, "{:12}remedy  {}", "", rule.remedy());
            }
        }
    }
    for scene in run.asked.iter().filter(|scene| !run.whole.contains(scene)) {
        let _ = writeln!(
            text,
            "\n  scene {} was broken off: the client did not do what the rest of it needs",
            scene.name()
        );
    }
    let verdict = if well {
        "The client kept every mandatory rule"
    } else {
        "The client did not keep every mandatory rule"
    };
    let _ = writeln!(
        text,
        "\n{verdict}: {broken} broken, {unseen} not seen, {} scenes in {:.1} s.\n",
        run.asked.len(),
        // Of a run of minutes nothing is lost.
        std::time::Duration::from_millis(run.took).as_secs_f64()
    );
    text
}
