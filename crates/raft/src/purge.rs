//! The purge driver of a group: flushes, learns which entries are durable, purges the log below.
//!
//! Two bounds meet here. A restart applies the log above the flushed index again, so when more than
//! half of `log_replay_bytes_max` lies above it, a flush is forced. Absent followers need the log
//! below it, so `log_retention` bytes are kept. For followers that are being sent a snapshot the
//! log after that snapshot is kept as well (`holds`), up to `HELD_RETENTIONS` times the retention,
//! unless this node is short of room. openraft purges only below the id of its snapshot; that id is
//! what the state machine reported as durable (`machine::DurableMark`), never more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coterie_types::NodeId;
use openraft::async_runtime::WatchReceiver;

use crate::RaftConfig;
use crate::holds::{Bounds, Holds};
use crate::log::{GroupLog, LogSizes};
use crate::machine::{OpenraftMachine, Progress};
use crate::room::Rooms;
use crate::type_config::TypeConfig;

/// Pause between two checks of the sizes.
const PERIOD: Duration = Duration::from_millis(500);
/// Most log kept for followers that are being sent a snapshot, as a multiple of the retention.
const HELD_RETENTIONS: u64 = 8;

pub(crate) struct Purge {
    pub(crate) raft: openraft::Raft<TypeConfig, OpenraftMachine>,
    pub(crate) log: GroupLog,
    pub(crate) progress: Arc<Progress>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) config: RaftConfig,
}

impl Purge {
    /// Runs until the group stops.
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut flushes = Flushes::new(Instant::now());
        let mut purged_to = 0;
        loop {
            ticks.tick().await;
            let applied = self.progress.applied_index.load(Ordering::Acquire);
            let flushed = self.progress.flushed_index.load(Ordering::Acquire);
            let sizes = self.log.sizes();
            let is_much = sizes.bytes_after(flushed) > self.config.log_replay_bytes_max / 2;
            let interval = self.config.flush_interval;
            let ask = flushes.ask(Instant::now(), interval, applied, flushed, is_much);
            if let Some(ask) = ask {
                if ask == Ask::Flush {
                    self.progress.flush_wanted.store(true, Ordering::Release);
                }
                if self.raft.trigger().snapshot().await.is_err() {
                    return;
                }
            }
            let purge_to = self.purge_to(&sizes, flushed);
            if let Some(index) = purge_to.filter(|index| *index > purged_to) {
                purged_to = index;
                if self.raft.trigger().purge_log(index).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The index up to which the log may be purged, if any.
    fn purge_to(&self, sizes: &LogSizes, flushed: u64) -> Option<u64> {
        let retention = self.config.log_retention;
        let purge_to = sizes.index_keeping(retention)?.min(flushed);
        if self.rooms.is_scarce() {
            return Some(purge_to);
        }
        let held = retention.saturating_mul(HELD_RETENTIONS);
        let oldest = sizes.index_keeping(held).unwrap_or(0);
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = |node: NodeId| {
            let known = metrics.replication.as_ref()?.get(&node.0)?.as_ref()?;
            Some(known.index)
        };
        let bounds = Bounds { purge_to, oldest };
        Some(self.holds.clamp(Instant::now(), bounds, matched))
    }
}

/// A request to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Begin a flush, and report the durable entry.
    Flush,
    /// Only report the durable entry.
    Durable,
}

/// When the last flush was begun, and up to which index.
struct Flushes {
    asked_at: Instant,
    asked_index: u64,
}

impl Flushes {
    fn new(now: Instant) -> Self {
        Self {
            asked_at: now,
            asked_index: 0,
        }
    }

    /// While a flush is under way the state machine only reports: another flush on each check would
    /// never end under load, and write a table file each time.
    fn ask(
        &mut self,
        now: Instant,
        interval: Duration,
        applied: u64,
        flushed: u64,
        is_much: bool,
    ) -> Option<Ask> {
        let under_way = self.asked_index > flushed;
        let is_due = now.duration_since(self.asked_at) >= interval || (is_much && !under_way);
        if applied <= flushed {
            None
        } else if is_due {
            (self.asked_at, self.asked_index) = (now, applied);
            Some(Ask::Flush)
        } else {
            under_way.then_some(Ask::Durable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_is_under_way_is_waited_for_and_not_begun_again() {
        let (start, interval) = (Instant::now(), Duration::from_secs(10));
        let mut flushes = Flushes::new(start);
        // A durable entry is seen at the check after the check that began its flush.
        let (mut flushed, mut begun) = (0, Vec::new());
        for look in 1..=120 {
            let (now, applied) = (start + PERIOD * look, u64::from(look) * 100);
            let durable = flushes.asked_index;
            match flushes.ask(now, interval, applied, flushed, false) {
                Some(Ask::Flush) => begun.push(look),
                Some(Ask::Durable) => flushed = durable,
                None => {}
            }
        }
        assert_eq!(begun, [20, 40, 60, 80, 100, 120], "one in ten seconds");
        assert_eq!(flushed, 10_000);
    }

    #[test]
    fn much_log_forces_a_flush_and_nothing_new_needs_none() {
        let (start, interval) = (Instant::now(), Duration::from_secs(10));
        let mut flushes = Flushes::new(start);
        assert_eq!(flushes.ask(start, interval, 7, 0, true), Some(Ask::Flush));
        assert_eq!(flushes.ask(start, interval, 9, 0, true), Some(Ask::Durable));
        assert_eq!(flushes.ask(start, interval, 9, 7, true), Some(Ask::Flush));
        assert_eq!(flushes.ask(start + interval, interval, 9, 9, false), None);
        // A flush that does not become durable is requested again, and succeeds or fails.
        let again = flushes.ask(start + interval, interval, 9, 7, false);
        assert_eq!(again, Some(Ask::Flush));
    }
}
