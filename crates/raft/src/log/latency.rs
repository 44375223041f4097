//! How long a write of the log takes, fsync included, over the last seconds.
//!
//! One thread records, any thread reads, nobody waits: a slot of counters per second, used again
//! when its second has come round. A reader that meets a slot being taken over may count a write
//! too many or too few; nothing hangs on one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seconds that are looked back at, the present one included.
const WINDOW_SECONDS: u64 = 4;
/// More than the window, so that a slot is not taken over while it is read.
const SLOTS: usize = 8;

#[derive(Default)]
struct Slot {
    second: AtomicU64,
    micros: AtomicU64,
    writes: AtomicU64,
}

pub(super) struct WriteLatency {
    started: Instant,
    slots: [Slot; SLOTS],
}

impl WriteLatency {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            slots: Default::default(),
        }
    }

    /// One write took so long; called by the writer alone.
    pub(super) fn record(&self, took: Duration) {
        self.record_at(self.started.elapsed().as_secs(), took);
    }

    /// Mean microseconds of a write; 0 when there was none.
    pub(super) fn mean_micros(&self) -> u64 {
        self.mean_micros_at(self.started.elapsed().as_secs())
    }

    fn record_at(&self, second: u64, took: Duration) {
        let slot = &self.slots[usize::try_from(second).unwrap_or(0) % SLOTS];
        if slot.second.swap(second, Ordering::Relaxed) != second {
            slot.micros.store(0, Ordering::Relaxed);
            slot.writes.store(0, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        slot.micros.fetch_add(micros, Ordering::Relaxed);
        slot.writes.fetch_add(1, Ordering::Relaxed);
    }

    fn mean_micros_at(&self, second: u64) -> u64 {
        let (mut micros, mut writes) = (0_u64, 0_u64);
        for slot in &self.slots {
            if slot.second.load(Ordering::Relaxed) + WINDOW_SECONDS > second {
                micros = micros.saturating_add(slot.micros.load(Ordering::Relaxed));
                writes += slot.writes.load(Ordering::Relaxed);
            }
        }
        micros.checked_div(writes).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_the_last_seconds() {
        let latency = WriteLatency::new();
        assert_eq!(latency.mean_micros_at(0), 0);
        latency.record_at(0, Duration::from_micros(100));
        latency.record_at(1, Duration::from_micros(300));
        assert_eq!(latency.mean_micros_at(1), 200);
        // Second 0 is no longer looked at, then second 1.
        assert_eq!(latency.mean_micros_at(WINDOW_SECONDS), 300);
        assert_eq!(latency.mean_micros_at(WINDOW_SECONDS + 1), 0);
        // The slot of second 1 is used again.
        latency.record_at(1 + SLOTS as u64, Duration::from_micros(700));
        assert_eq!(latency.mean_micros_at(1 + SLOTS as u64), 700);
    }
}
