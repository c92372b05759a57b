//! How the nodes of a run are set up.

use ::cluster::log::{Retention, RetentionRule, Retentions};
use ::cluster::wire::node::Limits;
use tokio::time::Duration;
use ws_node::core::CoreConfig;

use super::{SERVICE, World};

/// Silence of a client before a node asks, milliseconds.
pub(super) const HEARTBEAT_MS: u64 = 5_000;
/// Bytes that may wait for a client.
pub(super) const OUTBOUND_BYTES: usize = 64 * 1024;

impl World {
    pub(super) fn core_config(&self) -> CoreConfig {
        CoreConfig {
            service: SERVICE.to_owned(),
            limits: Limits {
                message_bytes: 65_536,
                sends_per_second: 1_000,
                sends_burst: 1_000,
                users_per_send: 1_000,
                groups: 16,
            },
            sessions_per_user_max: 16,
            outbound_bytes: OUTBOUND_BYTES,
            heartbeat_ms: HEARTBEAT_MS,
            rebalance: self.plan.rebalance,
            move_rate: 2_000,
            move_deadline_ms: 8_000,
            tickets: self.tickets.clone(),
            retentions: self.retentions(),
            presence_grace_ms: 2_000,
        }
    }

    fn retentions(&self) -> Retentions {
        let count = if self.plan.trims { 6 } else { 10_000 };
        let keep = Retention::new(count, Duration::from_secs(3_600)).ok();
        let rules = [("g:none", None), ("*", keep)];
        let rules = rules.into_iter().filter_map(|(pattern, keeps)| RetentionRule::new(pattern, keeps).ok());
        Retentions::new(rules.collect()).unwrap_or_default()
    }
}
