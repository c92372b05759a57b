//! A strict reader of OpenMetrics text 1.0: what it takes, every scraper takes. Tests of several crates include it.
#![allow(dead_code, reason = "not each of them looks at the samples")]

use std::collections::{BTreeMap, BTreeSet};

/// A family: its type, and its samples by name and labels as they are written.
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) samples: BTreeMap<String, f64>,
}

/// The families of a page, or what is wrong with it.
pub(crate) fn read(page: &str) -> Result<BTreeMap<String, Family>, String> {
    let body = page.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut current, mut helped, mut samples) = (String::new(), BTreeSet::new(), BTreeSet::new());
    for line in body.lines() {
        let fault = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap_or_default();
            if !helped.insert(name.to_owned()) {
                return Err(fault("described twice"));
            }
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| fault("no type"))?;
            let known = ["counter", "gauge", "info", "histogram"].contains(&kind);
            if !known
                || !is_name(name)
                || ["_total", "_info", "_bucket"].iter().any(|end| name.ends_with(end))
            {
                return Err(fault("not a name and a type"));
            }
            let family = Family { kind: kind.to_owned(), samples: BTreeMap::new() };
            if families.insert(name.to_owned(), family).is_some() {
                return Err(fault("a family appears twice"));
            }
            name.clone_into(&mut current);
        } else {
            let (series, value) = line.rsplit_once(' ').ok_or_else(|| fault("neither comment nor sample"))?;
            let (name, labels) =
                series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
            let value: f64 = value.parse().map_err(|_| fault("not a number"))?;
            let family = families.get_mut(&current).ok_or_else(|| fault("a sample before any family"))?;
            let suffix = name.strip_prefix(&*current).ok_or_else(|| fault("a sample of another family"))?;
            if !suffixes(&family.kind).contains(&suffix) {
                return Err(fault("not how a sample of this type is called"));
            }
            if !labels.is_none_or(are_labels) {
                return Err(fault("bad labels"));
            }
            if !samples.insert(series.to_owned()) {
                return Err(fault("a sample appears twice"));
            }
            family.samples.insert(series.to_owned(), value);
        }
    }
    Ok(families)
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_count", "_sum"],
        _ => &[""],
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What is behind the opening brace: `name="value"`, separated by commas, no name twice, and the closing brace.
fn are_labels(mut text: &str) -> bool {
    let mut names = BTreeSet::new();
    loop {
        let Some((name, rest)) = text.split_once("=\"") else { return text == "}" && names.is_empty() };
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end.filter(|_| is_name(name) && names.insert(name)) else { return false };
        match rest[end + 1..].strip_prefix(',') {
            Some(next) => text = next,
            None => return &rest[end + 1..] == "}",
        }
    }
}
