//! From arguments and environment to text per flag.
//!
//! Not clap: it stops at the first mistake, and all of them are to be named at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::flag::{Command, Flag, PREFIX};
use super::mistake::Mistake;

/// A value as given, and where.
#[derive(Clone)]
pub(super) struct Given {
    /// `--listen` or `RINGDIAL_LISTEN`.
    pub(super) place: String,
    /// The text; `true` for a switch without a value.
    pub(super) text: String,
    /// Whether it came from the command line, which other users of the host can read.
    pub(super) visible: bool,
}

/// What the arguments and the environment say.
#[derive(Default)]
pub(super) struct Said {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) help: bool,
    pub(super) version: bool,
}

// === impl Said ===

impl Said {
    /// Arguments as after the program's name. The value of an unknown flag is passed over and never repeated: it
    /// may be a secret behind a mistyped name.
    pub(super) fn arguments(&mut self, command: &Command, args: impl Iterator<Item = OsString>) {
        let mut args = args.enumerate().peekable();
        while let Some((index, argument)) = args.next() {
            let text = argument.to_str().unwrap_or_default();
            match text {
                "--help" | "-h" => self.help = true,
                "--version" | "-V" => self.version = true,
                _ if text.starts_with('-') => {
                    let (name, value) = split(text);
                    let flag = command.flag(name).filter(|_| text.starts_with("--"));
                    let wants_value = flag.is_none_or(|flag| flag.value_name.is_some());
                    let value = match value {
                        None if wants_value => args.next_if(|(_, next)| !is_flag(next)).map(|(_, next)| next),
                        value => value.map(OsString::from),
                    };
                    self.argument(command, name, flag, value);
                }
                _ => self.mistakes.push(Mistake::new(
                    format!("argument {}", index + 1),
                    "it belongs to no flag",
                    "write settings as --flag value or --flag=value, and quote values with spaces",
                )),
            }
        }
    }

    fn argument(
        &mut self,
        command: &Command,
        name: &str,
        flag: Option<&'static Flag>,
        value: Option<OsString>,
    ) {
        let place = format!("--{name}");
        let Some(flag) = flag else {
            let known = command.flags().map(|flag| flag.name);
            let remedy = match closest(name, known) {
                Some(meant) => format!("did you mean --{meant}?"),
                None => "see --help for all flags".into(),
            };
            return self.mistakes.push(Mistake::new(place, "unknown flag", remedy));
        };
        let text = match value {
            Some(value) => value.into_string().ok(),
            None if flag.value_name.is_none() => Some("true".into()),
            None => {
                let remedy = format!("write --{name} {}", flag.value_name.unwrap_or("VALUE"));
                return self.mistakes.push(Mistake::new(place, "its value is missing", remedy));
            }
        };
        let Some(text) = text else { return self.mistakes.push(not_utf8(place)) };
        if let Some(given) = self.given.get_mut(flag.name) {
            if flag.repeated {
                given.text = [&given.text, ";", &text].concat();
                return;
            }
            let remedy = "give it once; lists are separated by commas";
            return self.mistakes.push(Mistake::new(place, "given twice", remedy));
        }
        self.given.insert(flag.name, Given { place, text, visible: true });
    }

    /// The environment. A flag beats its twin; an empty variable counts as unset, as compose files leave them.
    pub(super) fn environment(
        &mut self,
        command: &Command,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) {
        let ours = variables.filter_map(|(name, value)| match name.to_str() {
            Some(name) if name.starts_with(PREFIX) => Some((name.to_owned(), value)),
            _ => None,
        });
        for (name, value) in ours {
            let Some(flag) = command.flags().find(|flag| flag.variable() == name) else {
                self.unknown_variable(command, name);
                continue;
            };
            match value.into_string() {
                Err(_) => self.mistakes.push(not_utf8(name)),
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    self.given.entry(flag.name).or_insert(Given { place: name, text, visible: false });
                }
            }
        }
    }

    fn unknown_variable(&mut self, command: &Command, name: String) {
        let variables: Vec<_> = command.flags().map(Flag::variable).collect();
        let remedy = match closest(&name, variables.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("unset it, or see {} --help for all variables", command.name),
        };
        self.mistakes.push(Mistake::new(name, format!("{} has no such setting", command.name), remedy));
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    let text = text.trim_start_matches('-');
    match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    }
}

/// Values may start with one dash (a negative number, a secret); two make a flag.
fn is_flag(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"--") || argument == "-h" || argument == "-V"
}

fn not_utf8(place: String) -> Mistake {
    Mistake::new(place, "its value is not UTF-8", "write it in UTF-8")
}

/// The known name within two typing errors of `name`.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= 2.min(known.len() / 3))
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's edit distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
