//! Tracing set-up, metric registry, HTTP endpoint of metrics.
