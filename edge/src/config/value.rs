//! One function per kind of value. What each says of a bad text reads on from it: `"x" <fault>; <remedy>`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        "is not an address to listen on; write IP:PORT, such as 127.0.0.1:0 or [::]:8080".to_owned()
    })
}

/// A whole number within `range`; underscores may divide its digits.
///
/// # Errors
/// What is wrong with the text, and how to write it.
pub fn number(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let allowed = format!("write one from {} to {}", range.start(), range.end());
    let number: u64 =
        text.replace('_', "").parse().map_err(|_| format!("is not a whole number; {allowed}"))?;
    if range.contains(&number) { Ok(number) } else { Err(format!("is out of range; {allowed}")) }
}

/// A time within `range`: digits and a unit. Without one: milliseconds if `millis`, else seconds.
///
/// # Errors
/// What is wrong with the text, and how to write it.
pub fn duration(text: &str, millis: bool, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let allowed = format!("write a time from {} to {}", show(*range.start()), show(*range.end()));
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit_ms = match unit.trim_start() {
        "" if millis => 1,
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("is not a time; {allowed}")),
    };
    let count: u64 = digits.parse().map_err(|_| format!("is not a time; {allowed}"))?;
    let time = Duration::from_millis(count.saturating_mul(unit_ms));
    if range.contains(&time) { Ok(time) } else { Err(format!("is out of range; {allowed}")) }
}

pub(super) fn choice<T: Copy>(text: &str, all: &[&(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|(word, _)| *word).collect();
        format!("is not one of its words; write {}", words.join(" or "))
    })
}

pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither on nor off; write true or false".into()),
    }
}

/// The content of a file, without the end of its last line.
pub(super) fn file(path: &str) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(format!("cannot be read ({error}); name a text file that this process may read")),
    }
}

fn show(time: Duration) -> String {
    match time.as_millis() {
        0 => "0s".into(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}
