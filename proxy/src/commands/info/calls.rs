//! The sections of INFO about commands and errors, in the format of Redis (`server.c`,
//! `genRedisInfoStringCommandStats`, `genRedisInfoStringLatencyStats`).

use std::fmt::Write;

use crate::shared::Shared;

/// The percentiles of `latencystats`: Redis' default.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// `commandstats`; see `stats::Calls` for a call and its time.
pub(super) fn commandstats(shared: &Shared) -> String {
    let mut text = "# Commandstats\r\n".to_owned();
    for (name, counts) in shared.stats.calls.totals() {
        let per_call = counts.micros_per_call();
        // Writing to a string does not fail; here and below.
        let _ = write!(
            text,
            "cmdstat_{name}:calls={},usec={},usec_per_call={per_call:.2},\
             rejected_calls={},failed_calls={}\r\n",
            counts.calls, counts.micros, counts.rejected, counts.failed
        );
    }
    text
}

/// `errorstats`.
pub(super) fn errorstats(shared: &Shared) -> String {
    let mut text = "# Errorstats\r\n".to_owned();
    for (code, count) in shared.stats.errors.counts() {
        let _ = write!(text, "errorstat_{code}:count={count}\r\n");
    }
    text
}

/// `latencystats`.
pub(super) fn latencystats(shared: &Shared) -> String {
    let mut text = "# Latencystats\r\n".to_owned();
    for (name, counts) in shared.stats.calls.totals() {
        let Some(times) = counts.times else {
            continue;
        };
        let percentiles = PERCENTILES.map(|percentile| {
            let nanos = times.value_at_percentile(percentile);
            format!("p{percentile}={:.3}", nanos as f64 / 1000.0)
        });
        let percentiles = percentiles.join(",");
        let _ = write!(text, "latency_percentiles_usec_{name}:{percentiles}\r\n");
    }
    text
}
