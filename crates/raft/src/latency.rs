//! Mean durations over the last seconds: log writes, fsync included, and round trips to other
//! nodes.
//!
//! No caller waits: there is a slot of counters per second, reused when its second comes round. A
//! writer that meets a slot being reset may be counted wrongly; the mean tolerates that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coterie_types::NodeId;
use parking_lot::{RwLock, RwLockReadGuard};

/// Length of the window in seconds, the present second included.
const WINDOW_SECONDS: u64 = 4;
/// More than the window, so that a slot is not reused while it is read.
const SLOTS: usize = 8;

#[derive(Default)]
struct Slot {
    second: AtomicU64,
    micros: AtomicU64,
    count: AtomicU64,
}

pub(crate) struct Latency {
    started: Instant,
    slots: [Slot; SLOTS],
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            slots: Default::default(),
        }
    }

    /// Records the duration of one operation.
    pub(crate) fn record(&self, took: Duration) {
        self.record_at(self.started.elapsed().as_secs(), took);
    }

    /// Mean microseconds; 0 without any sample.
    pub(crate) fn mean_micros(&self) -> u64 {
        self.mean_micros_at(self.started.elapsed().as_secs())
    }

    fn record_at(&self, second: u64, took: Duration) {
        let slot = &self.slots[usize::try_from(second).unwrap_or(0) % SLOTS];
        if slot.second.swap(second, Ordering::Relaxed) != second {
            slot.micros.store(0, Ordering::Relaxed);
            slot.count.store(0, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        slot.micros.fetch_add(micros, Ordering::Relaxed);
        slot.count.fetch_add(1, Ordering::Relaxed);
    }

    fn mean_micros_at(&self, second: u64) -> u64 {
        let (mut micros, mut count) = (0_u64, 0_u64);
        for slot in &self.slots {
            if slot.second.load(Ordering::Relaxed) + WINDOW_SECONDS > second {
                micros = micros.saturating_add(slot.micros.load(Ordering::Relaxed));
                count += slot.count.load(Ordering::Relaxed);
            }
        }
        micros.checked_div(count).unwrap_or(0)
    }
}

/// Network time of appends to other nodes and their answers. The time that the node itself needs,
/// disk and CPU, is excluded: the node reports it with its answer.
#[derive(Default)]
pub(crate) struct AnswerTimes(RwLock<BTreeMap<NodeId, Arc<Latency>>>);

impl AnswerTimes {
    /// Records a round trip to a node, or the time of a wait that ended without an answer.
    pub(crate) fn record(&self, node: NodeId, took: Duration) {
        let known = self.read().get(&node).cloned();
        let latency = known.unwrap_or_else(|| {
            let mut all = self.0.write();
            Arc::clone(all.entry(node).or_insert_with(|| Arc::new(Latency::new())))
        });
        latency.record(took);
    }

    /// Mean microseconds per node, for nodes asked within the window.
    pub(crate) fn means(&self) -> Vec<(NodeId, u64)> {
        let all = self.read();
        let means = all.iter().map(|(node, took)| (*node, took.mean_micros()));
        means.filter(|(_, micros)| *micros > 0).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<NodeId, Arc<Latency>>> {
        self.0.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_the_last_seconds() {
        let latency = Latency::new();
        assert_eq!(latency.mean_micros_at(0), 0);
        latency.record_at(0, Duration::from_micros(100));
        latency.record_at(1, Duration::from_micros(300));
        assert_eq!(latency.mean_micros_at(1), 200);
        // Second 0 leaves the window, then second 1.
        assert_eq!(latency.mean_micros_at(WINDOW_SECONDS), 300);
        assert_eq!(latency.mean_micros_at(WINDOW_SECONDS + 1), 0);
        // The slot of second 1 is reused.
        latency.record_at(1 + SLOTS as u64, Duration::from_micros(700));
        assert_eq!(latency.mean_micros_at(1 + SLOTS as u64), 700);
    }
}
