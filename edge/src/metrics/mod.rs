//! The metrics page: each family once, however many parts of the process have figures in it.
//!
//! A part that can be there several times (a listener, a node) is a [`Source`]: a table of families, and a way to read
//! them. [`Page::add`] takes each of them with the labels that tell it from its like. OpenMetrics forbids a family that
//! appears twice, which is what several registries, or one per part, would make of it.

mod membership;
mod table;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::membership::{Membership, MembershipFigures};
use self::table::Table;
use crate::process::ProcessMetrics;

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;

/// A part of the process that has figures, read when the page is asked for.
pub trait Source: Send + Sync + 'static {
    /// Everything that is read at once.
    type Reading;
    /// The families.
    const FIGURES: &'static [Figure<Self::Reading>];
    /// The figures now; `None` as long as there are none. Must not block.
    fn read(&self) -> Option<Self::Reading>;
}

/// A family, and what it shows of a reading.
pub struct Figure<R> {
    name: &'static str,
    help: &'static str,
    show: Show<R>,
}

enum Show<R> {
    Counter(fn(&R) -> u64),
    Gauge(fn(&R) -> Option<u64>),
    Info(fn(&R) -> Option<Labels>),
    Histogram(fn(&R) -> Histogram),
}

/// What `/metrics` shows, put together before it is served.
#[derive(Default)]
pub struct Page {
    registry: Registry,
    /// Of each type of source the table, which is in the registry as well.
    tables: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

/// Labels out of literals.
pub fn labels<const N: usize>(all: [(&'static str, &str); N]) -> Labels {
    all.map(|(name, value)| (name, value.to_owned())).into()
}

// === impl Figure ===

impl<R> Figure<R> {
    /// A counter. Its name is without `_total`, which the page adds.
    pub const fn counter(name: &'static str, help: &'static str, value: fn(&R) -> u64) -> Self {
        Self { name, help, show: Show::Counter(value) }
    }

    /// A gauge; `None` where it is not known.
    pub const fn gauge(name: &'static str, help: &'static str, value: fn(&R) -> Option<u64>) -> Self {
        Self { name, help, show: Show::Gauge(value) }
    }

    /// What is said in labels. Its name is without `_info`, which the page adds.
    pub const fn info(name: &'static str, help: &'static str, value: fn(&R) -> Option<Labels>) -> Self {
        Self { name, help, show: Show::Info(value) }
    }

    /// A histogram, of which the reading holds a clone.
    pub const fn histogram(name: &'static str, help: &'static str, value: fn(&R) -> Histogram) -> Self {
        Self { name, help, show: Show::Histogram(value) }
    }
}

// === impl Page ===

impl Page {
    /// A page that shows the process itself, which is a `role`.
    pub fn new(role: &'static str) -> Self {
        let mut page = Self::default();
        page.registry.register_collector(Box::new(ProcessMetrics));
        let build = Info::new(vec![("role", role), ("version", env!("CARGO_PKG_VERSION"))]);
        page.registry.register("ringdial_build", "What runs here", build);
        page
    }

    /// Adds a source. `labels` tell it from the others of its type.
    pub fn add<S: Source>(&mut self, labels: Labels, source: S) {
        let registry = &mut self.registry;
        let table = self.tables.entry(TypeId::of::<S>()).or_insert_with(|| {
            let table = Table::<S>::default();
            registry.register_collector(Box::new(table.clone()));
            Box::new(table)
        });
        if let Some(table) = table.downcast_ref::<Table<S>>() {
            table.add(labels, source);
        }
    }

    /// For metrics that are in a process once only.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The page as OpenMetrics text.
    ///
    /// # Errors
    /// A metric cannot be written, which would be a bug.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry).map(|()| text)
    }
}
