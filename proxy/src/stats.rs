//! Counters of INFO, which start at zero and again after `CONFIG RESETSTAT`. The process' metrics
//! are separate: they are never reset.

mod calls;
mod errors;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::rights::What;

pub(crate) use calls::{Calls, Lookups, RowNumber};
pub(crate) use errors::Errors;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) rejected_connections: AtomicU64,
    pub(crate) input_bytes: AtomicU64,
    pub(crate) output_bytes: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
    pub(crate) denied_commands: AtomicU64,
    pub(crate) denied_keys: AtomicU64,
    pub(crate) denied_channels: AtomicU64,
    pub(crate) errors: Errors,
    pub(crate) calls: Calls,
    rates: Mutex<Sampled>,
}

/// Recent rates per second; also the counts from which they are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rates {
    pub(crate) commands: u64,
    pub(crate) input_bytes: u64,
    pub(crate) output_bytes: u64,
}

/// The last sample of the counts, from which the next rates are computed.
#[derive(Debug)]
struct Sampled {
    at: Instant,
    counts: Rates,
    per_second: Rates,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            connections: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            auth_failures: AtomicU64::new(0),
            denied_commands: AtomicU64::new(0),
            denied_keys: AtomicU64::new(0),
            denied_channels: AtomicU64::new(0),
            errors: Errors::default(),
            calls: Calls::new(),
            rates: Mutex::new(Sampled {
                at: Instant::now(),
                counts: Rates::default(),
                per_second: Rates::default(),
            }),
        }
    }

    /// Takes a sample of the counts; called once a second.
    pub(crate) fn sample(&self) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = Rates {
            commands: load(&self.commands),
            input_bytes: load(&self.input_bytes),
            output_bytes: load(&self.output_bytes),
        };
        let mut sampled = self.sampled();
        sampled.per_second = sampled.counts.until(&counts, sampled.at.elapsed());
        sampled.at = Instant::now();
        sampled.counts = counts;
    }

    /// The recent rates per second.
    pub(crate) fn rates(&self) -> Rates {
        self.sampled().per_second
    }

    fn sampled(&self) -> MutexGuard<'_, Sampled> {
        self.rates.lock()
    }

    /// How often this was denied.
    pub(crate) fn denials(&self, what: What) -> &AtomicU64 {
        match what {
            What::Auth => &self.auth_failures,
            What::Command => &self.denied_commands,
            What::Key => &self.denied_keys,
            What::Channel => &self.denied_channels,
        }
    }

    /// `CONFIG RESETSTAT`.
    pub(crate) fn reset(&self) {
        let counters = [
            &self.connections,
            &self.commands,
            &self.rejected_connections,
            &self.input_bytes,
            &self.output_bytes,
            &self.auth_failures,
            &self.denied_commands,
            &self.denied_keys,
            &self.denied_channels,
        ];
        for counter in counters {
            counter.store(0, Ordering::Relaxed);
        }
        self.errors.reset();
        self.calls.reset();
        let mut sampled = self.sampled();
        sampled.counts = Rates::default();
    }
}

impl Rates {
    /// The rates between two samples. A count that was reset meanwhile has rate 0.
    fn until(&self, later: &Self, passed: Duration) -> Self {
        let millis = passed.as_millis().max(1) as u64;
        let rate = |before: u64, now: u64| now.saturating_sub(before) * 1000 / millis;
        Self {
            commands: rate(self.commands, later.commands),
            input_bytes: rate(self.input_bytes, later.input_bytes),
            output_bytes: rate(self.output_bytes, later.output_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        let of = |commands, input_bytes, output_bytes| Rates {
            commands,
            input_bytes,
            output_bytes,
        };
        let rates = of(10, 100, 5000).until(&of(40, 100, 0), Duration::from_millis(500));
        assert_eq!(rates, of(60, 0, 0), "the last was reset");
    }
}
