//! A node that is alone, and tickets for it.

use std::sync::Arc;
use std::time::Duration;

use cluster::log::{RetentionRule, Retentions};
use cluster::membership::{Keeper, KeeperConfig, MemberSpec, Role};
use cluster::ring::Version;
use cluster::secret::Secrets;
use cluster::store::MemoryStore;
use cluster::tokens::{PeerName, Ticket, Tickets, install_crypto, random_id};
use cluster::wire::node::Limits;
use tokio_util::sync::CancellationToken;

use super::SETTINGS;
use crate::core::{Core, CoreConfig, Rebalance};
use crate::log::{LogCounts, QueueBounds};
use crate::node::Node;

fn secrets() -> Secrets {
    Secrets::new("a secret for tests, long enough to be taken", &[]).unwrap()
}

fn tickets() -> Tickets {
    Tickets::new(secrets().ticket_keys())
}

pub(super) async fn host() -> Arc<Node> {
    install_crypto();
    let store = MemoryStore::new().membership("default", Duration::from_secs(3)).unwrap();
    let spec =
        MemberSpec { id: "n1".into(), url: "ws://n1.test/ws".into(), peer: "n1.test:1".into(), weight: 100 };
    let keeping = KeeperConfig::new(Role::Member(spec), secrets().record_keys());
    let keeper = Keeper::start(store, keeping, CancellationToken::new()).await.unwrap();
    let (ring, generation) = (keeper.ring().unwrap(), keeper.generation().borrow().unwrap());
    let config = CoreConfig {
        service: "default".into(),
        limits: Limits {
            message_bytes: 1_000,
            sends_per_second: 2,
            sends_burst: 5,
            users_per_send: 10,
            groups: 5,
        },
        sessions_per_user_max: 16,
        outbound_bytes: 100_000,
        heartbeat_ms: 25_000,
        rebalance: Rebalance::Arcs,
        move_rate: 2_000,
        move_deadline_ms: 30_000,
        tickets: tickets(),
        // No log is asked here.
        retentions: Retentions::new(vec![RetentionRule::new("*", None).unwrap()]).unwrap(),
        presence_grace_ms: 10_000,
    };
    let (log, _) = crate::log::queue(QueueBounds::default(), LogCounts::default());
    let core = Core::new(config, PeerName { id: "n1".into(), generation }, ring, Box::new(log), random_id);
    Arc::new(Node::new(core, Arc::new(keeper), SETTINGS, tickets()))
}

/// A fresh ticket for alice, whose token ends then.
pub(super) fn ticket(node: &Node, tok_exp: Option<u64>) -> String {
    let ticket = Ticket {
        sub: "alice".into(),
        aud: format!("n1#{}", node.core().me().generation),
        svc: "default".into(),
        exp: node.now().unix_ms / 1_000 + 30,
        jti: random_id(),
        ring: Version { term: 1, number: 1 },
        avoid: vec![],
        tok_exp,
        grants: Default::default(),
    };
    tickets().sign(&ticket).unwrap()
}
