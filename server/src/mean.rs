//! A mean of recent durations: cheap to add to from any thread, read by a single thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations since the last look, and a mean that follows slowly.
#[derive(Debug, Default)]
pub(crate) struct Mean {
    nanos: AtomicU64,
    count: AtomicU64,
    smoothed_micros: AtomicU64,
}

impl Mean {
    /// Adds `count` operations that took `took` together.
    pub(crate) fn add(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    /// The mean in microseconds: half of it from durations added since the last look, half from the
    /// mean before. If nothing was added, the mean stays.
    pub(crate) fn look_micros(&self) -> u64 {
        let nanos = self.nanos.swap(0, Ordering::Relaxed);
        let count = self.count.swap(0, Ordering::Relaxed);
        let before = self.smoothed_micros.load(Ordering::Relaxed);
        let Some(mean) = nanos.checked_div(count) else {
            return before;
        };
        let mean = (mean / 1000).max(1);
        let smoothed = if before == 0 {
            mean
        } else {
            (before + mean).div_ceil(2)
        };
        self.smoothed_micros.store(smoothed, Ordering::Relaxed);
        smoothed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_what_is_added() {
        let mean = Mean::default();
        assert_eq!(mean.look_micros(), 0);
        mean.add(Duration::from_millis(10), 10);
        assert_eq!(mean.look_micros(), 1000);
        assert_eq!(mean.look_micros(), 1000, "nothing was added");
        for _ in 0..20 {
            mean.add(Duration::from_millis(50), 10);
            mean.look_micros();
        }
        assert_eq!(mean.look_micros(), 5000);
    }
}
