//! The tables of docs/PROTOCOL.md, for the tests that compare them with the code. Also read by the tests of other crates.

#![allow(clippy::panic, reason = "a table that is not there is a failed test")]

use std::collections::BTreeSet;

use serde_json::Value;

const TEXT: &str = include_str!("../../../docs/PROTOCOL.md");

/// The rows of the table after the mark `<!-- checked: name -->`: their cells without backquotes, the head row left out.
pub(crate) fn table(name: &str) -> Vec<Vec<String>> {
    let mark = format!("<!-- checked: {name} -->\n");
    let (_, after) = TEXT.split_once(&mark).unwrap_or_else(|| panic!("docs/PROTOCOL.md has no {mark}"));
    let rows: Vec<_> = after.lines().take_while(|line| line.starts_with('|')).skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "the table {name} is empty");
    rows
}

/// The names of all fields in a JSON value: nested ones as `outer.inner`, those in arrays as `outer[].inner`.
// Not every test that includes this file compares fields.
#[allow(dead_code, reason = "shared by tests of which some compare no fields")]
pub(crate) fn fields(value: &Value) -> BTreeSet<String> {
    let Value::Object(map) = value else { return BTreeSet::new() };
    map.iter().flat_map(|(name, value)| inner_fields(name, value)).collect()
}

fn inner_fields(name: &str, value: &Value) -> Vec<String> {
    let (path, inner) = match value {
        Value::Array(list) => (format!("{name}[]"), list.first().map(fields).unwrap_or_default()),
        other => (name.to_owned(), fields(other)),
    };
    if inner.is_empty() {
        vec![name.to_owned()]
    } else {
        inner.iter().map(|field| format!("{path}.{field}")).collect()
    }
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
}
