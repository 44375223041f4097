//! The metric registry of a process.
//!
//! Names are `coterie_<crate>_<noun>_<unit>` in base units; the library itself adds `_total` to
//! counters. Each role registers all of its metrics in its `metrics.rs`, under its own prefix.
//! Where a process holds several nodes (`coterie dev`), a label distinguishes their metrics.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A handle to the registry; clones share it.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    labels: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// The same registry; metrics registered through this handle also carry `label`.
    #[must_use]
    pub fn with_label(&self, label: &'static str, value: impl Into<String>) -> Metrics {
        let mut labels = self.labels.clone();
        labels.push((Cow::Borrowed(label), Cow::Owned(value.into())));
        Metrics {
            registry: Arc::clone(&self.registry),
            labels,
        }
    }

    /// Lets `register` add metrics with the prefix `prefix` (`coterie_server`) and a `_`.
    pub fn register<T>(
        &self,
        prefix: &'static str,
        register: impl FnOnce(&mut Registry) -> T,
    ) -> T {
        let mut registry = self.lock();
        let labelled = registry.sub_registry_with_labels(self.labels.clone().into_iter());
        register(labelled.sub_registry_with_prefix(prefix))
    }

    /// Adds metrics whose values are read on each scrape instead of being counted.
    pub fn register_collector(&self, collector: Box<dyn Collector>) {
        let mut registry = self.lock();
        registry
            .sub_registry_with_labels(self.labels.clone().into_iter())
            .register_collector(collector);
    }

    /// All metrics in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut encoded = String::new();
        // Fails only when a metric's own encoder does; the text before it is still useful.
        if let Err(error) = text::encode(&mut encoded, &self.lock()) {
            tracing::warn!(%error, "metrics encoded in part");
        }
        encoded
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic while registering only leaves a registry without that metric.
        self.registry.lock()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn what_is_registered_is_encoded_with_prefix_and_labels() {
        let metrics = Metrics::new();
        let commands: Counter = Counter::default();
        metrics
            .with_label("node_id", "7")
            .register("coterie_server", |registry| {
                registry.register("commands", "Commands applied", commands.clone());
            });
        commands.inc_by(3);
        let text = metrics.encode();
        assert!(
            text.contains("# HELP coterie_server_commands Commands applied."),
            "{text}"
        );
        assert!(
            text.contains("coterie_server_commands_total{node_id=\"7\"} 3"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
