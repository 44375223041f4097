//! The figures of each window, and whether the bars are met.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Settings;
use crate::load::Seen;
use crate::origin::Origin;
use crate::report::verdict;

/// The bar of p99.9 while the range moves, as a multiple of its value before.
const P999_BAR: f64 = 3.0;

/// The longest that a client may wait for an answer while the range moves.
const PAUSE_BAR_MS: f64 = 100.0;

/// A window of the load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    name: String,
    seconds: f64,
    operations_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    longest_us: u64,
    errors: u64,
    /// Lines of its jobs that tell of time.
    notes: Vec<String>,
}

impl Figure {
    pub(crate) fn new(name: String, seen: &Seen, took: Duration, notes: Vec<String>) -> Self {
        let latency = |quantile| seen.latency.value_at_quantile(quantile);
        Self {
            name,
            seconds: took.as_secs_f64(),
            operations_per_second: seen.latency.len() as f64 / took.as_secs_f64(),
            p50_us: latency(0.5),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            longest_us: seen.latency.max(),
            errors: seen.errors,
            notes,
        }
    }
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {:>8.1} {:>10.0} {:>8.2} {:>8.2} {:>9.2} {:>10.2}",
            self.name,
            self.seconds,
            self.operations_per_second,
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.p999_us),
            ms(self.longest_us),
        )?;
        if self.errors > 0 {
            write!(f, "  ({} ERRORS)", self.errors)?;
        }
        self.notes
            .iter()
            .try_for_each(|note| write!(f, "\n           {note}"))
    }
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    machine: Origin,
    settings: Settings,
    figures: Vec<Figure>,
    /// p99.9 during over p99.9 before.
    p999_ratio: f64,
    longest_ms: f64,
}

impl Report {
    pub(crate) fn new(machine: Origin, settings: Settings, figures: Vec<Figure>) -> Self {
        let (before, during) = (&figures[0], &figures[1]);
        Self {
            p999_ratio: during.p999_us as f64 / before.p999_us.max(1) as f64,
            longest_ms: ms(during.longest_us),
            machine,
            settings,
            figures,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.settings;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "load     SET {}, {} keys of 16 bytes, values of {} bytes; {} s before and after, {} s of \
             warm-up\ncoterie  3 servers, fsync on, replicas 3, 3 metas, 1 proxy, balance off; server \
             flags {:?}\n",
            s.shape, s.keys, s.value_bytes, s.calm_seconds, s.warmup, s.server_flags
        )?;
        writeln!(
            f,
            "{:<8} {:>8} {:>10} {:>8} {:>8} {:>9} {:>10}",
            "window", "seconds", "ops/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms"
        )?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        writeln!(
            f,
            "\np99.9 during over before  {:>7.2}   bar {P999_BAR:.0}: {}",
            self.p999_ratio,
            verdict(self.p999_ratio <= P999_BAR)
        )?;
        writeln!(
            f,
            "longest pause, ms         {:>7.1}   bar {PAUSE_BAR_MS:.0}: {}",
            self.longest_ms,
            verdict(self.longest_ms <= PAUSE_BAR_MS)
        )
    }
}
