//! Logs: to stderr, as text or as JSON. Secrets, tokens and tickets are never handed to it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The shape.
    pub format: Format,
    /// As checked by [`check`].
    pub level: String,
}

/// Starts logging for the whole process, panics included. A second call changes nothing.
pub fn init(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    start(log.format, filter, std::io::stderr, std::io::stderr().is_terminal());
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        tracing::error!(
            code = "panic",
            place,
            panic = message,
            "a task panicked; this is a bug, please report it"
        );
    }));
}

/// Whether a level is one: `info`, or per module `info,ringdial_cluster=debug`.
///
/// # Errors
/// What is wrong, for [`crate::config::Settings::required`].
pub fn check(level: &str) -> Result<(), String> {
    let fault = "is not a log level; write error, warn, info, debug or trace, or info,some_module=debug";
    // To tracing a bare unknown word is the name of a module, to be logged in full: a typo would pass.
    let bare = level.split(',').map(str::trim).filter(|part| !part.contains('='));
    let words = ["error", "warn", "info", "debug", "trace", "off"];
    let known = bare.into_iter().all(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    if known && EnvFilter::try_new(level).is_ok() { Ok(()) } else { Err(fault.into()) }
}

fn start<W>(format: Format, filter: EnvFilter, writer: W, ansi: bool)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(ansi);
    // An error means that logging is up already, as in tests.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_not_taken_for_a_module() {
        for good in ["info", "WARN", "off", "info,ringdial_cluster=debug", "warn,hyper=off"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "infoo", "info,debgu", "x=nolevel", "info,"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
