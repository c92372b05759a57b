//! The atomic operations on Redis, one Lua script each. Those of membership begin with one prelude, those of the
//! log with another.

use std::sync::LazyLock;

use ::redis::Script;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("lua/prelude.lua"), include_str!($file))))
    };
}

macro_rules! log_script {
    ($($file:literal),*) => {
        LazyLock::new(|| Script::new(concat!(include_str!("lua/log_prelude.lua"), $(include_str!($file)),*)))
    };
}

pub(super) static LOG_OPEN: LazyLock<Script> = log_script!("lua/log_enter.lua", "lua/log_open.lua");
pub(super) static LOG_APPEND: LazyLock<Script> = log_script!("lua/log_enter.lua", "lua/log_append.lua");
pub(super) static LOG_READ: LazyLock<Script> = log_script!("lua/log_read.lua");

pub(super) static READ: LazyLock<Script> = script!("lua/read.lua");
pub(super) static POLL: LazyLock<Script> = script!("lua/poll.lua");
pub(super) static RENEW: LazyLock<Script> = script!("lua/renew.lua");
pub(super) static NEXT_GENERATION: LazyLock<Script> = script!("lua/next_generation.lua");
pub(super) static LAPSED: LazyLock<Script> = script!("lua/lapsed.lua");
pub(super) static SUSPECT: LazyLock<Script> = script!("lua/suspect.lua");
pub(super) static TAKE_TURN: LazyLock<Script> = script!("lua/take_turn.lua");
pub(super) static SWAP: LazyLock<Script> = script!("lua/swap.lua");
