//! The node's figures, read from the core when somebody asks: nothing is counted twice, nothing costs a message more.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::node::Node;

/// Collects from a node.
pub(crate) struct NodeMetrics(pub(crate) Arc<Node>);

impl std::fmt::Debug for NodeMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeMetrics")
    }
}

impl Collector for NodeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (counts, sessions, topics, version) = {
            let core = self.0.core();
            (core.counts(), core.session_count(), core.topic_count(), core.ring().version().as_u64())
        };
        let counters = [
            ("ringdial_node_sends", "Messages taken from sessions", counts.sent),
            ("ringdial_node_homed", "Messages passed on as their home", counts.homed),
            ("ringdial_node_deliveries", "Frames put into sessions' queues", counts.delivered),
            ("ringdial_node_repeated", "Messages seen before and dropped", counts.repeated),
            ("ringdial_node_refused", "Sends refused or failed", counts.refused),
            (
                "ringdial_node_not_home",
                "Messages that another node refused as not their home",
                counts.not_home,
            ),
            (
                "ringdial_node_dropped_link_full",
                "Frames dropped because a link's queue was full",
                counts.dropped_link_full,
            ),
            ("ringdial_node_moves", "Sessions told to move", counts.moved),
        ];
        for (name, help, value) in counters {
            ConstCounter::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Counter,
            )?)?;
        }
        let gauges = [
            ("ringdial_node_sessions", "Sessions here", sessions as i64),
            ("ringdial_node_topics", "Topics followed here or from here", topics as i64),
            ("ringdial_node_ring_version", "The ring version gone by", version as i64),
        ];
        for (name, help, value) in gauges {
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}
