//! The waiting times of clients: of each acknowledged operation, from the call to the reply.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest recorded time in microseconds; longer times count as this.
const MICROS_MAX: u64 = 600_000_000;

/// A histogram of waiting times in microseconds, to three digits.
#[derive(Debug, Clone)]
pub struct Pauses(Histogram<u64>);

impl Default for Pauses {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, 3);
        Self(histogram.expect("the bounds are fixed and valid"))
    }
}

impl Pauses {
    /// Records an operation that took `took`.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros() as u64);
    }

    /// Records an operation of a client that has a command due in each `period`. The commands that
    /// the client could not send meanwhile are recorded as well, each as a wait from its due time.
    pub fn record_due(&mut self, took: Duration, period: Duration) {
        self.record(took);
        let mut waited = took;
        while waited > period && !period.is_zero() {
            waited -= period;
            self.record(waited);
        }
    }

    /// Adds another histogram.
    pub fn absorb(&mut self, other: &Self) {
        // Cannot fail: both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// The number of recorded operations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that `percent` per cent of the operations did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.0.value_at_percentile(percent))
    }

    /// The longest recorded time.
    #[must_use]
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations, p50 {:?}, p99 {:?}, p99.9 {:?}, worst pause {:?}",
            self.count(),
            self.percentile(50.0),
            self.percentile(99.0),
            self.percentile(99.9),
            self.worst()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_and_the_usual_are_told_apart() {
        let mut pauses = Pauses::default();
        for _ in 0..999 {
            pauses.record(Duration::from_millis(1));
        }
        pauses.record(Duration::from_secs(2));
        let near = |a: Duration, b: Duration| a.abs_diff(b) < b / 100;
        assert!(near(pauses.percentile(99.0), Duration::from_millis(1)));
        assert!(near(pauses.worst(), Duration::from_secs(2)));
        // Without `record_due` a stall of the store would be a single slow operation, invisible in
        // the percentiles.
        let mut due = Pauses::default();
        due.record_due(Duration::from_secs(1), Duration::from_millis(10));
        assert_eq!(due.count(), 100);
        assert!(near(due.percentile(50.0), Duration::from_millis(500)));
        let mut sum = Pauses::default();
        sum.absorb(&pauses);
        assert_eq!(sum.count(), 1000);
    }
}
