//! How long clients waited: of each acknowledged operation, from the call to the reply.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest that is told apart; what takes longer counts as this long.
const MICROS_MAX: u64 = 600_000_000;

/// Waits of any number of operations, in microseconds, to three digits.
#[derive(Debug, Clone)]
pub struct Pauses(Histogram<u64>);

impl Default for Pauses {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, 3);
        Self(histogram.expect("the bounds are fixed and valid"))
    }
}

impl Pauses {
    /// One operation took so long.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros() as u64);
    }

    /// One operation took so long of a client that has one to send in each `period`: those that
    /// it could not send meanwhile waited as well, each from when it was due.
    pub fn record_due(&mut self, took: Duration, period: Duration) {
        self.record(took);
        let mut waited = took;
        while waited > period && !period.is_zero() {
            waited -= period;
            self.record(waited);
        }
    }

    /// Adds another's.
    pub fn absorb(&mut self, other: &Self) {
        // Both have the same bounds, so that it cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// How many operations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What so many per cent of the operations did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.0.value_at_percentile(percent))
    }

    /// The longest.
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
        // Else a stall of everything would be one operation of a thousand, and no percentile.
        let mut due = Pauses::default();
        due.record_due(Duration::from_secs(1), Duration::from_millis(10));
        assert_eq!(due.count(), 100);
        assert!(near(due.percentile(50.0), Duration::from_millis(500)));
        let mut sum = Pauses::default();
        sum.absorb(&pauses);
        assert_eq!(sum.count(), 1000);
    }
}
