//! Typed values out of text, with every mistake collected on the way.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::flag::Command;
use super::hidden::Hidden;
use super::mistake::{Mistake, Mistakes};
use super::parse::{Given, Said};
use super::value;

/// The settings of one run. A getter that finds a mistake notes it and returns a stand-in, so that the reading goes
/// on; [`Settings::finish`] then fails, and no stand-in is ever used.
pub struct Settings {
    command: &'static Command,
    said: Said,
    warnings: Vec<String>,
}

// === impl Settings ===

impl Settings {
    /// `args` without the program's name; `env` as of [`std::env::vars_os`].
    pub fn parse<A, K, V>(
        command: &'static Command,
        args: impl IntoIterator<Item = A>,
        env: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        A: Into<OsString>,
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut said = Said::default();
        said.arguments(command, args.into_iter().map(Into::into));
        said.environment(command, env.into_iter().map(|(name, value)| (name.into(), value.into())));
        Self { command, said, warnings: Vec::new() }
    }

    /// Text that must be given or have a default.
    pub fn text(&mut self, name: &str) -> String {
        self.required(name, String::new(), |text| Ok(text.to_owned()))
    }

    /// Text.
    pub fn text_opt(&mut self, name: &str) -> Option<String> {
        self.optional(name, |text| Ok(text.to_owned()))
    }

    /// Text that must be given and never shown.
    pub fn hidden(&mut self, name: &str) -> Hidden {
        Hidden::new(self.text(name))
    }

    /// `host:port` to listen on: an IP address, or `localhost`.
    pub fn address(&mut self, name: &str) -> SocketAddr {
        // The stand-in is an address that no further mistake is found in.
        self.required(name, SocketAddr::from(([127, 0, 0, 1], 0)), value::address)
    }

    /// The same, not required.
    pub fn address_opt(&mut self, name: &str) -> Option<SocketAddr> {
        self.optional(name, value::address)
    }

    /// A whole number within `range`.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> u64 {
        self.required(name, *range.start(), |text| value::number(text, &range))
    }

    /// A time within `range`: `300ms`, `30s`, `5m`. A bare number is milliseconds for flags ending in `-ms`, else
    /// seconds.
    pub fn duration(&mut self, name: &str, range: RangeInclusive<Duration>) -> Duration {
        let millis = name.ends_with("-ms");
        self.required(name, *range.start(), |text| value::duration(text, millis, &range))
    }

    /// One of several words.
    pub fn choice<T: Copy>(&mut self, name: &str, first: (&str, T), others: &[(&str, T)]) -> T {
        let all: Vec<_> = std::iter::once(&first).chain(others).collect();
        self.required(name, first.1, |text| value::choice(text, &all))
    }

    /// Words separated by commas; empty if not given.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        self.optional(name, |text| Ok(value::list(text))).unwrap_or_default()
    }

    /// Each value of a flag that may be given several times; those that are right, if some are wrong.
    pub fn each<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(Given { place, text, .. }) = self.raw(name) else { return Vec::new() };
        let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
        items
            .filter_map(|item| parse(item).map_err(|fault| self.wrong(name, &place, item, &fault)).ok())
            .collect()
    }

    /// A path. Whether there is such a file is for its reader to find out.
    pub fn path_opt(&mut self, name: &str) -> Option<PathBuf> {
        self.optional(name, |text| Ok(PathBuf::from(text)))
    }

    /// Whether a switch is on.
    pub fn switch(&mut self, name: &str) -> bool {
        self.optional(name, value::switch).unwrap_or(false)
    }

    /// A secret: of `--<name>`, its variable, or the file that `--<name>-file` names (without the line's end). On the
    /// command line it works, with a warning: other users of the host can read it there.
    pub fn secret_opt(&mut self, name: &str) -> Option<Hidden> {
        let file = format!("{name}-file");
        let from_file = self.optional(&file, value::file).map(Hidden::new);
        let given = self.optional(name, |text| Ok(Hidden::new(text)));
        if let Some(flag) = self.said.given.get(name).filter(|given| given.visible) {
            self.warnings.push(format!(
                "{} is visible to every user of this host; use {} or --{file}",
                flag.place,
                self.variable(name)
            ));
        }
        if given.is_some() && self.is_given(&file) {
            self.mistake(name, "it is given twice, directly and by file", "give one of the two");
        }
        given.or(from_file)
    }

    /// Any other kind of value, required. `parse` says what is wrong with the text, and how to write it.
    pub fn required<T>(
        &mut self,
        name: &str,
        stand_in: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        if self.raw(name).is_none() {
            let value_name = self.command.flag(name).and_then(|flag| flag.value_name).unwrap_or("VALUE");
            let remedy = format!("give --{name} {value_name} or {}", self.variable(name));
            let place = format!("--{name}");
            // Not twice: "its value is missing" may have been said already.
            if !self.said.mistakes.iter().any(|mistake| mistake.place == place) {
                self.said.mistakes.push(Mistake::new(place, "it is required", remedy));
            }
        }
        self.optional(name, parse).unwrap_or(stand_in)
    }

    /// Any other kind of value; `None` if not given, or wrong.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Given { place, text, .. } = self.raw(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.wrong(name, &place, &text, &fault);
                None
            }
        }
    }

    fn wrong(&mut self, name: &str, place: &str, text: &str, fault: &str) {
        let hidden = self.command.flag(name).is_none_or(|flag| flag.secret);
        let what = if hidden { "the value".into() } else { format!("{text:?}") };
        let (fault, remedy) = fault.split_once("; ").unwrap_or((fault, "see --help"));
        self.said.mistakes.push(Mistake::new(place, format!("{what} {fault}"), remedy));
    }

    /// Whether the flag or its variable is given; a default does not count.
    pub fn is_given(&self, name: &str) -> bool {
        self.said.given.contains_key(name)
    }

    /// Notes a mistake found by comparing settings. `name` is the flag to change.
    pub fn mistake(&mut self, name: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let place =
            self.said.given.get(name).map_or_else(|| format!("--{name}"), |given| given.place.clone());
        self.said.mistakes.push(Mistake::new(place, what, remedy));
    }

    /// Notes what works and should be changed; logged once logging is up.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// The warnings, if there is no mistake.
    ///
    /// # Errors
    /// All mistakes.
    pub fn finish(self) -> Result<Vec<String>, Mistakes> {
        if self.said.mistakes.is_empty() { Ok(self.warnings) } else { Err(Mistakes(self.said.mistakes)) }
    }

    pub(super) fn wants_help(&self) -> bool {
        self.said.help
    }

    pub(super) fn wants_version(&self) -> bool {
        self.said.version
    }

    fn raw(&self, name: &str) -> Option<Given> {
        let default = || {
            let text = self.command.flag(name)?.default?.to_owned();
            Some(Given { place: format!("--{name}"), text, visible: false })
        };
        self.said.given.get(name).cloned().or_else(default)
    }

    fn variable(&self, name: &str) -> String {
        self.command.flag(name).map(super::Flag::variable).unwrap_or_default()
    }
}
