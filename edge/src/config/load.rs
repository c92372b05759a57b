//! The start of every binary: read the configuration, or say what is wrong with it and leave.

use std::io::Write;
use std::process::ExitCode;

use super::flag::Command;
use super::help::help;
use super::settings::Settings;

/// The exit code of a bad configuration.
pub const EXIT_CONFIGURATION: u8 = 2;

/// Reads this process' arguments and environment with `read`. Gives the configuration and the warnings to log.
///
/// # Errors
/// The code to exit with: after `--help` or `--version` 0, after mistakes 2. The text has been written by then:
/// help to stdout, mistakes to stderr, one per line.
pub fn load<T>(
    command: &'static Command,
    read: impl FnOnce(&mut Settings) -> T,
) -> Result<(T, Vec<String>), ExitCode> {
    load_after(command, 0, read)
}

/// The same for a subcommand: its flags come after so many `words`.
///
/// # Errors
/// As [`load`].
pub fn load_after<T>(
    command: &'static Command,
    words: usize,
    read: impl FnOnce(&mut Settings) -> T,
) -> Result<(T, Vec<String>), ExitCode> {
    let settings = Settings::parse(command, std::env::args_os().skip(1 + words), std::env::vars_os());
    outcome(command, settings, read).map_err(|ending| {
        // Nobody is left to tell if stdout or stderr is closed.
        let _ = match ending.code {
            0 => std::io::stdout().write_all(ending.text.as_bytes()),
            _ => std::io::stderr().write_all(ending.text.as_bytes()),
        };
        ExitCode::from(ending.code)
    })
}

/// How a process ends that does not start.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) code: u8,
    pub(super) text: String,
}

pub(super) fn outcome<T>(
    command: &'static Command,
    mut settings: Settings,
    read: impl FnOnce(&mut Settings) -> T,
) -> Result<(T, Vec<String>), Ending> {
    if settings.wants_help() {
        return Err(Ending { code: 0, text: help(command) });
    }
    if settings.wants_version() {
        let text = format!("{} {}\n", command.name, env!("CARGO_PKG_VERSION"));
        return Err(Ending { code: 0, text });
    }
    let configuration = read(&mut settings);
    let warnings = settings.finish().map_err(|mistakes| {
        let lines = mistakes.0.iter().map(|mistake| format!("{}: {mistake}\n", command.name));
        Ending { code: EXIT_CONFIGURATION, text: lines.collect() }
    })?;
    Ok((configuration, warnings))
}
