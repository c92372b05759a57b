//! Which topics keep how much, by their names.

use super::error::LogError;
use super::types::Retention;

/// Rules for topics' names. The first that fits counts; a topic that none fits keeps the default of [`Retention`]. The
/// same in all nodes of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retentions {
    rules: Vec<RetentionRule>,
}

/// What the topics of some names keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionRule {
    /// Without the `*` at its end.
    name: Box<str>,
    /// Whether there was one: names only begin like this.
    prefix: bool,
    keeps: Option<Retention>,
}

// === impl Retentions ===

impl Retentions {
    /// Rules that a cluster may have.
    pub const RULES_MAX: usize = 100;

    /// Goes by these rules, at most [`Self::RULES_MAX`].
    ///
    /// # Errors
    /// [`LogError::TooLarge`].
    pub fn new(rules: Vec<RetentionRule>) -> Result<Self, LogError> {
        if rules.len() > Self::RULES_MAX {
            let (what, size, max) = ("rules for what topics keep", rules.len(), Self::RULES_MAX);
            return Err(LogError::TooLarge { what, size, max });
        }
        Ok(Self { rules })
    }

    /// What this topic keeps; `None` for one that is ephemeral and has no log.
    pub fn of(&self, topic: &str) -> Option<Retention> {
        let rule = self.rules.iter().find(|rule| rule.fits(topic));
        rule.map_or_else(|| Some(Retention::default()), |rule| rule.keeps)
    }
}

// === impl RetentionRule ===

impl RetentionRule {
    /// A rule for the topic of this name, or for all whose names begin with what stands before a `*` at the end. `None`
    /// keeps nothing.
    ///
    /// # Errors
    /// [`LogError::Invalid`] for a pattern that no topic fits.
    pub fn new(pattern: &str, keeps: Option<Retention>) -> Result<Self, LogError> {
        let (name, prefix) = match pattern.strip_suffix('*') {
            Some(name) => (name, true),
            None => (pattern, false),
        };
        if name.contains('*') || name.chars().any(char::is_control) {
            return Err(LogError::Invalid { cause: "a pattern of topics has a * at its end only" });
        }
        let named = ["u:", "g:"].iter().any(|kind| match name.strip_prefix(kind) {
            Some(id) => prefix || !id.is_empty(),
            None => prefix && kind.starts_with(name),
        });
        if !named {
            return Err(LogError::Invalid { cause: "names of topics begin with u: or g:" });
        }
        Ok(Self { name: name.into(), prefix, keeps })
    }

    /// Whether this rule counts for a topic.
    pub fn fits(&self, topic: &str) -> bool {
        if self.prefix { topic.starts_with(&*self.name) } else { *topic == *self.name }
    }

    /// Whether every topic that the other rule fits is this one's already.
    pub fn covers(&self, other: &Self) -> bool {
        if other.prefix { self.prefix && other.name.starts_with(&*self.name) } else { self.fits(&other.name) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keep(count: u32) -> Option<Retention> {
        Some(Retention::new(count, Duration::from_secs(60)).unwrap())
    }

    fn rule(pattern: &str, keeps: Option<Retention>) -> RetentionRule {
        RetentionRule::new(pattern, keeps).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = [("g:chat-vip", keep(9)), ("g:chat-*", keep(7)), ("g:typing-*", None), ("g:c*", keep(5))];
        let rules = rules.map(|(pattern, keeps)| rule(pattern, keeps));
        let retentions = Retentions::new(rules.into()).unwrap();
        for (topic, keeps) in [
            ("g:chat-vip", keep(9)),
            ("g:chat-vips", keep(7)),
            ("g:chat-", keep(7)),
            ("g:chat", keep(5)),
            ("g:typing-x", None),
            ("g:typing", Some(Retention::default())),
            ("u:chat-vip", Some(Retention::default())),
        ] {
            assert_eq!(retentions.of(topic), keeps, "{topic}");
        }
        assert_eq!(Retentions::default().of("u:a"), Some(Retention::default()));
    }

    #[test]
    fn patterns_fit_some_topic() {
        for good in ["u:a", "g:grüße 1", "g:*", "u:*", "*", "u*", "g:a=b,c"] {
            assert!(RetentionRule::new(good, None).is_ok(), "{good}");
        }
        for bad in ["", "u:", "g:", "x:a", "a*", "chat-*", "g:*-chat", "g:**", "g:\n"] {
            let refused = RetentionRule::new(bad, None);
            assert_eq!(refused.map_err(|error| error.code()), Err("log_request_invalid"), "{bad:?}");
        }
        let many = vec![rule("g:a", None); Retentions::RULES_MAX + 1];
        assert_eq!(Retentions::new(many).map_err(|error| error.code()), Err("too_large"));
    }

    #[test]
    fn a_rule_covers_narrower_ones() {
        let covers = |wide, narrow| rule(wide, None).covers(&rule(narrow, None));
        assert!(
            covers("*", "g:*")
                && covers("g:c*", "g:chat-*")
                && covers("g:c*", "g:chat")
                && covers("g:a", "g:a")
        );
        assert!(!covers("g:chat-*", "g:c*") && !covers("g:a", "g:a*") && !covers("u:*", "g:*"));
    }
}
