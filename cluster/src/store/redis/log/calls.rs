//! The log's requests as Redis commands, with the arguments that the scripts in `lua/log_*.lua` name.

use ::redis::{Cmd, Script};

use super::super::scripts;
use crate::log::{
    Append, Cursor, LogConfig, Message, Open, READ_BYTES_MAX, READ_COUNT_MAX, ReadRequest, Topic, rules,
};

/// The names of a topic's keys.
pub(super) struct Keys<'a> {
    tag: String,
    topic: &'a str,
}

// === impl Keys ===

impl<'a> Keys<'a> {
    pub(super) fn of(service: &str, topic: Topic<'a>) -> Self {
        Self { tag: format!("ringdial:{{{service}/{}}}:", topic.slot), topic: topic.name }
    }

    pub(super) fn topic(&self) -> String {
        self.named("topic:")
    }

    fn entries(&self) -> String {
        self.named("entries:")
    }

    fn named(&self, part: &str) -> String {
        [&self.tag, part, self.topic].concat()
    }
}

pub(super) fn open(service: &str, open: &Open<'_>, config: &LogConfig) -> Cmd {
    begin(&scripts::LOG_OPEN, service, open, config)
}

pub(super) fn append(service: &str, append: &Append<'_>, config: &LogConfig) -> Cmd {
    let mut cmd = begin(&scripts::LOG_APPEND, service, &append.open, config);
    cmd.arg(append.retention.count()).arg(append.retention.age_ms());
    cmd.arg(config.key_age_ms()).arg(config.key_messages);
    let taken = append.messages.iter().filter(|message| rules::check_message(message).is_ok());
    taken.for_each(|message| add(&mut cmd, message));
    cmd
}

pub(super) fn read(service: &str, request: &ReadRequest<'_>) -> Cmd {
    let keys = Keys::of(service, request.topic);
    let (direction, first) = match request.cursor {
        Cursor::After(offset) => ("after", offset.saturating_add(1)),
        Cursor::Before(offset) => ("before", offset.saturating_sub(1)),
    };
    let mut cmd = evalsha(&scripts::LOG_READ);
    cmd.arg(2).arg(keys.topic()).arg(keys.entries());
    cmd.arg(request.epoch.map_or_else(String::new, |epoch| epoch.to_string()));
    cmd.arg(direction).arg(first);
    cmd.arg(request.count_max.clamp(1, READ_COUNT_MAX)).arg(request.bytes_max.min(READ_BYTES_MAX));
    cmd
}

/// Asks where a topic stands.
pub(super) fn position(key: &str) -> Cmd {
    let mut cmd = ::redis::cmd("GET");
    cmd.arg(key);
    cmd
}

/// Keeps what is known of a topic; never for less long than it is kept already.
pub(super) fn keep(key: &str, config: &LogConfig) -> Cmd {
    let mut cmd = ::redis::cmd("PEXPIRE");
    cmd.arg(key).arg(config.position_age_ms()).arg("GT");
    cmd
}

fn evalsha(script: &Script) -> Cmd {
    let mut cmd = ::redis::cmd("EVALSHA");
    cmd.arg(script.get_hash());
    cmd
}

/// What every script that opens a topic is given first.
fn begin(script: &Script, service: &str, open: &Open<'_>, config: &LogConfig) -> Cmd {
    let keys = Keys::of(service, open.topic);
    let mut cmd = evalsha(script);
    cmd.arg(4).arg(keys.topic()).arg(keys.entries()).arg(keys.named("keys:")).arg(keys.named("older:"));
    // Of one length, so that text compares as the numbers do: Lua's own would round them.
    cmd.arg(format!("{:020}", open.fence.version.as_u64())).arg(format!("{:020}", open.fence.generation));
    match open.known {
        Some(known) => cmd.arg(known.epoch.to_string()).arg(known.offset),
        None => cmd.arg("").arg(0),
    };
    cmd.arg(open.fresh.to_string()).arg(config.position_age_ms());
    cmd
}

fn add(cmd: &mut Cmd, message: &Message<'_>) {
    match message.key {
        Some(key) => {
            cmd.arg(&rules::key_digest(message.from, key)[..]).arg(&rules::data_digest(message.data)[..]);
        }
        None => {
            cmd.arg("").arg("");
        }
    }
    cmd.arg(message.from).arg(message.key.unwrap_or_default()).arg(message.data);
}
