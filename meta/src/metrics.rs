//! The metrics of a member at `/metrics`.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use coterie_raft::Group;
use coterie_telemetry::Metrics;
use prometheus_client::metrics::gauge::Gauge;

use crate::held::Held;

/// How often the gauges are updated.
const PERIOD: Duration = Duration::from_secs(1);

/// See the module's head. Gauges are shared with the registry.
#[derive(Debug, Default)]
pub(crate) struct MetaMetrics {
    is_leader: Gauge<u64, AtomicU64>,
    term: Gauge<u64, AtomicU64>,
    applied_index: Gauge<u64, AtomicU64>,
    revision: Gauge<u64, AtomicU64>,
    nodes: Gauge<u64, AtomicU64>,
    groups: Gauge<u64, AtomicU64>,
    ranges: Gauge<u64, AtomicU64>,
    jobs: Gauge<u64, AtomicU64>,
}

impl MetaMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("coterie_meta", |registry| {
            let mut add = |name, help, gauge: &Gauge<u64, AtomicU64>| {
                registry.register(name, help, gauge.clone());
            };
            add("is_leader", "Whether this member leads", &own.is_leader);
            add("term", "The term this member is in", &own.term);
            add("applied_index", "Last entry applied", &own.applied_index);
            add("revision", "Revision of the catalog here", &own.revision);
            add("nodes", "Nodes in the catalog", &own.nodes);
            add("groups", "Groups in the catalog", &own.groups);
            add("ranges", "Ranges in the catalog", &own.ranges);
            add("jobs", "Jobs in the catalog, finished ones too", &own.jobs);
        });
        own
    }

    /// Updates the gauges forever.
    pub(crate) async fn run(self, group: Group, held: std::sync::Arc<Held>) {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let status = group.status();
            self.is_leader.set(u64::from(status.is_leader));
            self.term.set(status.term.0);
            self.applied_index.set(status.applied_index.0);
            let snapshot = held.snapshot();
            let catalog = &snapshot.state.catalog;
            self.revision.set(catalog.revision.0);
            self.nodes.set(catalog.nodes.len() as u64);
            self.groups.set(catalog.groups.len() as u64);
            self.ranges.set(catalog.ranges.len() as u64);
            self.jobs.set(catalog.jobs.len() as u64);
        }
    }
}
