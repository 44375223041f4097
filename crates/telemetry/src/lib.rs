//! Tracing set-up, metric registry, HTTP endpoint of metrics.
//!
//! [`LogConfig::install`] sends `tracing` to stderr, once per process. [`Metrics`] is the registry
//! for the metrics in each role's `metrics.rs`. [`Health`] tells whether the roles of the process
//! serve. [`Http`] exposes both: `/metrics` for Prometheus, `/health` for a supervisor that
//! restarts a process that hangs, `/ready` for a load balancer. [`Endpoint`] holds all three.
//!
//! The names of log fields are in [`field`]. A value of a user never goes into a log, a key only at
//! trace level. ERROR: a person must look. WARN: unexpected, work continues. INFO: state changes.
//! DEBUG: per request.

mod endpoint;
mod health;
mod http;
mod listen;
mod log;
mod metrics;

pub mod field;

pub use endpoint::Endpoint;
pub use health::{Component, Health};
pub use http::Http;
pub use listen::ListenError;
pub use log::{LogConfig, LogError, LogFormat};
pub use metrics::Metrics;
/// The library behind [`Metrics`], for the counters and histograms of the roles.
pub use prometheus_client;
