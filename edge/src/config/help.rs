//! `--help`: every flag with its default and its environment twin.

use super::flag::{Command, Flag};

const WIDTH: usize = 100;
const INDENT: &str = "        ";

/// The text of `--help`.
pub(super) fn help(command: &Command) -> String {
    let mut text = String::new();
    wrap(&mut text, "", command.about);
    text.push_str(&format!("\nUsage: {} [--flag value]...\n", command.name));
    text.push('\n');
    wrap(
        &mut text,
        "",
        "Each flag may also be given as the variable named with it; a flag beats its variable. Times: 300ms, 30s, \
         5m. Lists: a,b,c.",
    );
    for group in command.groups {
        text.push_str(&format!("\n{}:\n", group.title));
        group.flags.iter().for_each(|flag| entry(&mut text, flag));
    }
    text.push_str("\nOther:\n  -h, --help\n        This text.\n  -V, --version\n        The version.\n");
    text
}

fn entry(text: &mut String, flag: &Flag) {
    text.push_str(&format!("  --{}", flag.name));
    if let Some(value) = flag.value_name {
        text.push_str(&format!(" <{value}>"));
    }
    text.push_str(&format!("  [{}]", flag.variable()));
    if let Some(default) = flag.default {
        text.push_str(&format!(" [default: {default}]"));
    }
    text.push('\n');
    wrap(text, INDENT, flag.help);
}

fn wrap(text: &mut String, indent: &str, sentence: &str) {
    let mut column = 0;
    for word in sentence.split_whitespace() {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        }
        let gap = if column == 0 { indent } else { " " };
        text.push_str(gap);
        text.push_str(word);
        column += gap.len() + word.len();
    }
    text.push('\n');
}
