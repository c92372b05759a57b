//! The node's figures, read from the core when somebody asks: nothing is counted twice, nothing costs a message more.

use std::sync::Arc;

use edge::metrics::{Figure, Source};

use crate::core::Counts;
use crate::node::Node;

/// Reads a node, once there is one.
pub(crate) struct NodeFigures(Box<dyn Fn() -> Option<Arc<Node>> + Send + Sync>);

/// What was read, under one lock.
pub(crate) struct Reading {
    counts: Counts,
    sessions: usize,
    topics: usize,
    followed: usize,
    lingering: usize,
    store_bytes: usize,
    version: u64,
    draining: bool,
}

// === impl NodeFigures ===

impl NodeFigures {
    pub(crate) fn new(node: impl Fn() -> Option<Arc<Node>> + Send + Sync + 'static) -> Self {
        Self(Box::new(node))
    }
}

impl Source for NodeFigures {
    type Reading = Reading;

    const FIGURES: &'static [Figure<Reading>] = &[
        Figure::counter("ringdial_node_sends", "Messages taken from sessions", |read| read.counts.sent),
        Figure::counter("ringdial_node_homed", "Messages passed on as their home", |read| read.counts.homed),
        Figure::counter("ringdial_node_stored", "Messages that the log took from this home", |read| {
            read.counts.stored
        }),
        Figure::counter(
            "ringdial_node_log_failures",
            "Times that a topic at home here was not served by the log",
            |read| read.counts.log_failures,
        ),
        Figure::counter(
            "ringdial_node_logs_lost",
            "Topics followed here that the log had lost; their sessions were told",
            |read| read.counts.logs_lost,
        ),
        Figure::counter(
            "ringdial_node_replayed",
            "Entries of the log sent to sessions that missed them",
            |read| read.counts.replayed,
        ),
        Figure::counter("ringdial_node_deliveries", "Frames put into sessions' queues", |read| {
            read.counts.delivered
        }),
        Figure::counter("ringdial_node_repeated", "Messages seen before and dropped", |read| {
            read.counts.repeated
        }),
        Figure::counter("ringdial_node_refused", "Sends refused or failed", |read| read.counts.refused),
        Figure::counter(
            "ringdial_node_not_home",
            "Messages that another node refused as not their home",
            |read| read.counts.not_home,
        ),
        Figure::counter(
            "ringdial_node_dropped_link_full",
            "Frames dropped because a link's queue was full",
            |read| read.counts.dropped_link_full,
        ),
        Figure::counter("ringdial_node_moves", "Sessions told to move", |read| read.counts.moved),
        Figure::counter(
            "ringdial_node_unmovable",
            "Times that a session was not told to move, for its ticket would be too large",
            |read| read.counts.unmovable,
        ),
        Figure::gauge("ringdial_node_sessions", "Sessions here", |read| u64::try_from(read.sessions).ok()),
        Figure::gauge("ringdial_node_topics", "Topics followed here or from here", |read| {
            u64::try_from(read.topics).ok()
        }),
        Figure::gauge("ringdial_node_followed", "Topics of each session here, added up", |read| {
            u64::try_from(read.followed).ok()
        }),
        Figure::gauge("ringdial_node_lingering", "Topics at home here that were written to lately", |read| {
            u64::try_from(read.lingering).ok()
        }),
        Figure::gauge(
            "ringdial_node_store_bytes",
            "Bytes of messages that the log does not have yet",
            |read| u64::try_from(read.store_bytes).ok(),
        ),
        Figure::gauge("ringdial_draining", "1 while the node passes its sessions on and goes away", |read| {
            Some(u64::from(read.draining))
        }),
        Figure::gauge("ringdial_node_ring_version", "The ring version gone by", |read| Some(read.version)),
    ];

    fn read(&self) -> Option<Reading> {
        let node = self.0()?;
        let core = node.core();
        Some(Reading {
            counts: core.counts(),
            sessions: core.session_count(),
            topics: core.topic_count(),
            followed: core.followed_count(),
            lingering: core.lingering_count(),
            store_bytes: core.store_bytes(),
            version: core.ring().version().as_u64(),
            draining: node.is_draining(),
        })
    }
}
