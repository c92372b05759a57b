//! What a session may do by its ticket's grants. Pure.

use serde_json::{Map, Value};

use super::Grants;

/// Lets a session send to everybody and to all whose attributes match.
const BROADCAST: &str = "broadcast";

/// Precedes the name of a group that a session may join, or a prefix of such names and `*`.
const JOIN: &str = "join:";

impl Grants {
    /// Whether a session may join a group, and with that read it and send to it: it is one of its `groups`, or a
    /// permission `join:<name>` or `join:<prefix>*` names it.
    pub fn may_join(&self, group: &str) -> bool {
        let named = |permission: &String| match permission.strip_prefix(JOIN) {
            None => false,
            Some(name) => {
                name == group || name.strip_suffix('*').is_some_and(|prefix| group.starts_with(prefix))
            }
        };
        self.groups.iter().any(|own| own == group) || self.permissions.iter().any(named)
    }

    /// Whether a session may send to everybody and to all whose attributes match.
    pub fn may_broadcast(&self) -> bool {
        self.permissions.iter().any(|permission| permission == BROADCAST)
    }

    /// Whether the attributes have every value that `wanted` names: are it, or are a list that contains it.
    pub fn matches(&self, wanted: &Map<String, Value>) -> bool {
        let has = |(name, value): (&String, &Value)| match self.attributes.get(name) {
            None => false,
            Some(Value::Array(values)) => values.iter().any(|own| same(own, value)),
            Some(own) => same(own, value),
        };
        wanted.iter().all(has)
    }
}

/// Equal as JSON, where 1 and 1.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    let whole = |value: &Value| value.is_i64() || value.is_u64();
    match (one.as_f64(), other.as_f64()) {
        (Some(first), Some(second)) if !whole(one) || !whole(other) => first == second,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grants(permissions: &[&str], groups: &[&str]) -> Grants {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Grants { permissions: strings(permissions), groups: strings(groups), ..Grants::default() }
    }

    #[test]
    fn groups_are_joined_by_claim_by_name_and_by_prefix() {
        let grants = grants(&["join:lobby", "join:room-*", "broadcast"], &["team"]);
        for group in ["team", "lobby", "room-", "room-7"] {
            assert!(grants.may_join(group), "{group}");
        }
        for group in ["teams", "lobby2", "room", "broadcast", "join:lobby", ""] {
            assert!(!grants.may_join(group), "{group}");
        }
    }

    #[test]
    fn all_groups_are_not_all_sessions() {
        let all = grants(&["join:*"], &[]);
        assert!(all.may_join("any") && !all.may_broadcast());
        assert!(grants(&["broadcast"], &[]).may_broadcast() && !grants(&["broadcast"], &[]).may_join("any"));
        assert!(!grants(&[], &[]).may_join("any"));
    }

    #[test]
    fn every_attribute_must_be_equal_or_contained() {
        let attributes =
            json!({ "plan": "pro", "age": 7, "big": 9_007_199_254_740_993_u64, "tags": ["a", 2] });
        let grants = Grants { attributes: attributes.as_object().unwrap().clone(), ..Grants::default() };
        let matches = |wanted: Value| grants.matches(wanted.as_object().unwrap());
        assert!(matches(json!({ "plan": "pro", "age": 7.0 })));
        assert!(matches(json!({ "tags": "a" })) && matches(json!({ "tags": 2 })));
        assert!(!matches(json!({ "plan": "pro", "age": 8 })));
        assert!(!matches(json!({ "big": 9_007_199_254_740_992_u64 })));
        assert!(!matches(json!({ "plan": "Pro" })) && !matches(json!({ "tags": "b" })));
        assert!(!matches(json!({ "age": "7" })) && !matches(json!({ "none": "x" })));
    }
}
