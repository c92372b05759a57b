//! How much topics keep: the flag, its reading, and every mistake in it.

use std::time::Duration;

use cluster::log::{LogError, Retention, RetentionRule, Retentions};
use edge::config::{Flag, Settings, value};

/// Read by [`retentions`]. A process that embeds nodes takes the same flag.
pub const RETENTION: Flag = Flag::value(
    "retention",
    "RULE",
    "How much topics keep, by name: PATTERN=COUNT,TIME keeps so many messages for so long, PATTERN=0 nothing (ephemeral). A \
     pattern is u:USER or g:GROUP, or the beginning of such names and a *. May be given several times, or several separated \
     by ;. The first that fits counts; without one: 256 messages for 5m. The same in every node.",
)
.repeated();

const REMEDY: &str = "write PATTERN=COUNT,TIME or PATTERN=0, such as g:chat-*=1000,1h";

/// Reads [`RETENTION`].
pub fn retentions(settings: &mut Settings) -> Retentions {
    let rules = settings.each("retention", |text| Ok((text.to_owned(), rule(text)?)));
    for (at, (text, rule)) in rules.iter().enumerate() {
        if let Some((wider, _)) = rules[..at].iter().find(|(_, before)| before.covers(rule)) {
            let what = format!("{text:?} never counts: {wider:?} before it fits all the same names");
            settings.mistake(RETENTION.name, what, "put the narrower pattern first, or leave one out");
        }
    }
    Retentions::new(rules.into_iter().map(|(_, rule)| rule).collect()).unwrap_or_else(|error| {
        settings.mistake(RETENTION.name, error.to_string(), "use wider patterns");
        Retentions::default()
    })
}

fn rule(text: &str) -> Result<RetentionRule, String> {
    // A name may have a = in it; what stands behind the last one has none.
    let (pattern, keeps) = text.rsplit_once('=').ok_or_else(|| format!("is not a rule; {REMEDY}"))?;
    let keeps = keeps.trim();
    let keeps = if keeps == "0" { None } else { Some(retention(keeps)?) };
    RetentionRule::new(pattern.trim_end(), keeps).map_err(|_| {
        let form = "write u:USER, g:GROUP, or the beginning of such names and a * at the end";
        format!("has a pattern that no topic fits; {form}")
    })
}

fn retention(text: &str) -> Result<Retention, String> {
    let (count, age) = text
        .split_once(',')
        .ok_or_else(|| format!("does not say how many messages are kept and for how long; {REMEDY}"))?;
    let counts = 1..=u64::from(Retention::COUNT_MAX);
    let ages = Duration::from_millis(1)..=Retention::AGE_MAX;
    let count = value::number(count.trim(), &counts).map_err(|fault| format!("has a count that {fault}"))?;
    let age =
        value::duration(age.trim(), false, &ages).map_err(|fault| format!("has a time that {fault}"))?;
    let kept = Retention::new(u32::try_from(count).unwrap_or(Retention::COUNT_MAX), age);
    kept.map_err(|error: LogError| format!("cannot be kept: {error}; {REMEDY}"))
}

#[cfg(test)]
mod tests {
    use edge::config::{Command, Group};

    use super::*;

    static COMMAND: Command =
        Command { name: "demo", about: "", groups: &[Group { title: "", flags: &[RETENTION] }] };

    fn told(args: &[&str], variable: &str) -> Result<Retentions, Vec<String>> {
        let mut settings = Settings::parse(&COMMAND, args, [("RINGDIAL_RETENTION", variable)]);
        let read = retentions(&mut settings);
        let mistakes =
            |mistakes: edge::config::Mistakes| mistakes.0.iter().map(ToString::to_string).collect();
        settings.finish().map(|_| read).map_err(mistakes)
    }

    fn keep(count: u32, age_s: u64) -> Option<Retention> {
        Some(Retention::new(count, Duration::from_secs(age_s)).unwrap())
    }

    #[test]
    fn rules_by_flags_and_by_variable() {
        let flags = ["--retention", "g:chat-*=1000,1h", "--retention=g:typing-*=0", "--retention=u:*=1,30"];
        let variable = "g:chat-*=1_000, 1h; g:typing-*=0;;u:* = 1,30 ;";
        for read in [told(&flags, "").unwrap(), told(&[], variable).unwrap(), told(&flags, "*=0").unwrap()] {
            assert_eq!(read.of("g:chat-1"), keep(1_000, 3_600));
            assert_eq!(read.of("g:typing-1"), None);
            assert_eq!(read.of("u:a=b"), keep(1, 30));
            assert_eq!(read.of("g:other"), keep(256, 300));
        }
        let odd = told(&["--retention", "g:a=b=0"], "").unwrap();
        assert_eq!((odd.of("g:a=b"), odd.of("g:a")), (None, keep(256, 300)));
        assert_eq!(told(&[], "").unwrap(), Retentions::default());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let bad = "g:a;chat-*=0;g:*-x=0;g:b=5;g:c=many,1h;g:d=100001,1h;g:e=5,1week;g:f=5,721h;g:h=0,1h;g:x*=0;g:xy=1,1s";
        let rules = "write PATTERN=COUNT,TIME or PATTERN=0, such as g:chat-*=1000,1h";
        let names = "write u:USER, g:GROUP, or the beginning of such names and a * at the end";
        let mut expected = vec![
            format!("RINGDIAL_RETENTION: \"g:a\" is not a rule; {rules}"),
            format!("RINGDIAL_RETENTION: \"chat-*=0\" has a pattern that no topic fits; {names}"),
            format!("RINGDIAL_RETENTION: \"g:*-x=0\" has a pattern that no topic fits; {names}"),
            format!(
                "RINGDIAL_RETENTION: \"g:b=5\" does not say how many messages are kept and for how long; {rules}"
            ),
        ];
        for (rule, fault) in [
            ("g:c=many,1h", "a count that is not a whole number; write one from 1 to 100000"),
            ("g:d=100001,1h", "a count that is out of range; write one from 1 to 100000"),
            ("g:e=5,1week", "a time that is not a time; write a time from 1ms to 720h"),
            ("g:f=5,721h", "a time that is out of range; write a time from 1ms to 720h"),
            ("g:h=0,1h", "a count that is out of range; write one from 1 to 100000"),
        ] {
            expected.push(format!("RINGDIAL_RETENTION: {rule:?} has {fault}"));
        }
        expected.push(
            "RINGDIAL_RETENTION: \"g:xy=1,1s\" never counts: \"g:x*=0\" before it fits all the same names; \
             put the narrower pattern first, or leave one out"
                .to_owned(),
        );
        assert_eq!(told(&[], bad).unwrap_err(), expected);
        let many: Vec<String> = (0..=Retentions::RULES_MAX).map(|number| format!("g:{number}=0")).collect();
        let mistakes = told(&[], &many.join(";")).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].contains("101 is more than 100"), "{mistakes:?}");
    }
}
