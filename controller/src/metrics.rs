//! What a controller shows of itself at `/metrics`.

use std::sync::atomic::AtomicU64;

use coterie_telemetry::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// See the module's head. Clones share the numbers with the registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct ControllerMetrics {
    /// 1 while this controller holds the lease.
    pub(crate) active: Gauge<u64, AtomicU64>,
    /// Plans made.
    pub(crate) plans: Counter,
    /// Actions carried out.
    pub(crate) actions: Counter,
    /// What is wanted and has to wait.
    pub(crate) refusals: Gauge<u64, AtomicU64>,
    /// Jobs under way.
    pub(crate) jobs_running: Gauge<u64, AtomicU64>,
}

impl ControllerMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("coterie_controller", |registry| {
            registry.register("active", "Whether it holds the lease", own.active.clone());
            registry.register("plans", "Plans made", own.plans.clone());
            registry.register("actions", "Actions carried out", own.actions.clone());
            let refusals = "What is wanted and has to wait";
            registry.register("refusals", refusals, own.refusals.clone());
            registry.register("jobs_running", "Jobs under way", own.jobs_running.clone());
        });
        own
    }
}
