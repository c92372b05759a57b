//! What of a node's configuration its core and its connections go by.

use cluster::tokens::Tickets;
use cluster::wire::node::Limits;

use crate::config::{NodeConfig, SessionLimits};
use crate::core::CoreConfig;
use crate::node::ConnectionSettings;

/// How long a client has to act on `moved`, milliseconds.
const MOVE_DEADLINE_MS: u64 = 30_000;

pub(crate) fn core_config(config: &NodeConfig, tickets: Tickets) -> CoreConfig {
    let limits = &config.limits;
    CoreConfig {
        service: config.service.clone(),
        limits: Limits {
            message_bytes: limits.message_bytes,
            sends_per_second: limits.sends_per_second,
            sends_burst: limits.sends_burst,
            users_per_send: cluster::limits::USERS_PER_SEND_MAX,
            groups: cluster::limits::GROUPS_PER_SESSION_MAX,
        },
        sessions_per_user_max: limits.sessions_per_user,
        outbound_bytes: limits.outbound_bytes,
        heartbeat_ms: u64::try_from(limits.heartbeat.as_millis()).unwrap_or(u64::MAX),
        rebalance: config.rebalance,
        move_rate: config.move_rate,
        move_deadline_ms: MOVE_DEADLINE_MS,
        tickets,
        retentions: config.retentions.clone(),
        presence_grace_ms: u64::try_from(limits.presence_grace.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(crate) fn connection_settings(limits: &SessionLimits) -> ConnectionSettings {
    ConnectionSettings {
        message_bytes_max: limits.message_bytes,
        outbound_bytes_max: limits.outbound_bytes,
        frames_per_second: cluster::limits::frames_per_second(limits.sends_per_second),
        frames_burst: cluster::limits::frames_burst(limits.sends_burst),
        heartbeat: limits.heartbeat,
        hello_timeout: limits.hello_timeout,
    }
}
