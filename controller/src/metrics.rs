//! The controller's metrics.

use std::sync::atomic::AtomicU64;

use coterie_telemetry::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// See the module's head. Clones share the numbers with the registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct ControllerMetrics {
    /// 1 while this controller holds the lease.
    pub(crate) active: Gauge<u64, AtomicU64>,
    /// Plans made by this process.
    pub(crate) plans: Counter,
    /// Actions carried out by this process.
    pub(crate) actions: Counter,
    /// Wanted changes that have to wait.
    pub(crate) refusals: Gauge<u64, AtomicU64>,
    /// Running jobs.
    pub(crate) jobs_running: Gauge<u64, AtomicU64>,
}

impl ControllerMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("coterie_controller", |registry| {
            registry.register(
                "active",
                "Whether this controller holds the lease",
                own.active.clone(),
            );
            registry.register("plans", "Plans made", own.plans.clone());
            registry.register("actions", "Actions carried out", own.actions.clone());
            let refusals = "Wanted changes that have to wait";
            registry.register("refusals", refusals, own.refusals.clone());
            registry.register("jobs_running", "Running jobs", own.jobs_running.clone());
        });
        own
    }
}
