//! All sources of one type: family by family, and in each of them source by source.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Figure, Labels, Show, Source};

/// The sources; clones share them.
pub(super) struct Table<S>(Arc<Mutex<Vec<(Labels, S)>>>);

// === impl Table ===

impl<S: Source> Table<S> {
    pub(super) fn add(&self, labels: Labels, source: S) {
        self.0.lock().push((labels, source));
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table(..)")
    }
}

impl<S: Source> Collector for Table<S> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = self.0.lock();
        // Each source is read once, so that its figures fit together.
        let readings: Vec<_> =
            sources.iter().filter_map(|(labels, source)| Some((labels, source.read()?))).collect();
        for figure in S::FIGURES {
            let kind = figure.kind();
            let mut family = encoder.encode_descriptor(figure.name, figure.help, None, kind)?;
            for (labels, reading) in &readings {
                figure.encode(&mut family, labels, reading)?;
            }
        }
        Ok(())
    }
}

// === impl Figure ===

impl<R> Figure<R> {
    fn kind(&self) -> MetricType {
        match self.show {
            Show::Counter(_) => MetricType::Counter,
            Show::Gauge(_) => MetricType::Gauge,
            Show::Info(_) => MetricType::Info,
            Show::Histogram(_) => MetricType::Histogram,
        }
    }

    fn encode(&self, family: &mut MetricEncoder<'_>, labels: &Labels, reading: &R) -> fmt::Result {
        match self.show {
            Show::Counter(value) => ConstCounter::new(value(reading)).encode(family.encode_family(labels)?),
            Show::Gauge(value) => match value(reading) {
                Some(value) => ConstGauge::new(value).encode(family.encode_family(labels)?),
                None => Ok(()),
            },
            Show::Info(value) => match value(reading) {
                Some(value) => family.encode_info(&[labels.clone(), value].concat()),
                None => Ok(()),
            },
            Show::Histogram(value) => value(reading).encode(family.encode_family(labels)?),
        }
    }
}
