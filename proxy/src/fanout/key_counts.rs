//! The number of keys that tables had when last counted, for INFO and RANDOMKEY.
//!
//! Counting reads every key, so a count is reused for twenty times as long as it took, at least a
//! second: frequent calls spend at most a twentieth of the time on counting. `DBSIZE` counts anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_redis_compat::CommandError;
use coterie_types::TableId;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::Calls;
use super::count::{Counted, count};

/// A count is reused for this many times as long as it took.
const COSTS: u32 = 20;
/// A count is reused for at least this long.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// How long `at_hand` waits for a count.
const MOMENT: Duration = Duration::from_millis(50);

/// A count of a table.
#[derive(Debug)]
pub(crate) struct TableCount {
    pub(crate) intervals: Vec<Counted>,
    good_until: Instant,
}

impl TableCount {
    pub(crate) fn keys(&self) -> u64 {
        self.intervals.iter().map(|(_, keys)| keys).sum()
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct KeyCounts {
    tables: Mutex<BTreeMap<TableId, Arc<Known>>>,
}

/// The counts of a table, and the lock for counting it.
#[derive(Debug, Default)]
struct Known {
    /// Locked by the task that counts; others wait for its result. After a failure, it holds the
    /// time before which counting is not tried again.
    counting: Arc<tokio::sync::Mutex<Option<Instant>>>,
    last: Mutex<Option<Arc<TableCount>>>,
}

impl KeyCounts {
    /// A count of the table, perhaps not the newest.
    pub(crate) async fn of(
        &self,
        calls: &Calls,
        table: TableId,
    ) -> Result<Arc<TableCount>, CommandError> {
        let known = self.known(table);
        let counting = Arc::clone(&known.counting).lock_owned().await;
        let refreshed = tokio::spawn(known.refreshed(counting, calls.clone(), table));
        refreshed.await.unwrap_or_else(|_| {
            let reason = "the command was not applied: the count was given up";
            Err(CommandError::TryAgain(reason.to_owned()))
        })
    }

    /// A count that is available within [`MOMENT`], or else the last count, however old.
    pub(crate) async fn at_hand(&self, calls: &Calls, table: TableId) -> Option<Arc<TableCount>> {
        let known = self.known(table);
        if let Ok(counting) = Arc::clone(&known.counting).try_lock_owned() {
            // Continues when nobody waits for it any more: the next caller gets the result.
            let refreshed = Arc::clone(&known).refreshed(counting, calls.clone(), table);
            let _ = tokio::time::timeout(MOMENT, tokio::spawn(refreshed)).await;
        }
        known.last()
    }

    fn known(&self, table: TableId) -> Arc<Known> {
        let mut tables = self.tables.lock();
        Arc::clone(tables.entry(table).or_default())
    }
}

impl Known {
    fn last(&self) -> Option<Arc<TableCount>> {
        let last = self.last.lock();
        last.clone()
    }

    async fn refreshed(
        self: Arc<Self>,
        mut counting: OwnedMutexGuard<Option<Instant>>,
        calls: Calls,
        table: TableId,
    ) -> Result<Arc<TableCount>, CommandError> {
        let now = Instant::now();
        if let Some(last) = self.last().filter(|last| now < last.good_until) {
            return Ok(last);
        }
        if counting.is_some_and(|not_before| now < not_before) {
            let reason = "the command was not applied: keys were not counted in time lately";
            return Err(CommandError::TryAgain(reason.to_owned()));
        }
        let counted = count(&calls, table).await;
        let again = Instant::now() + (now.elapsed() * COSTS).max(AGAIN_MIN);
        *counting = counted.is_err().then_some(again);
        let fresh = Arc::new(TableCount {
            intervals: counted?,
            good_until: again,
        });
        let mut last = self.last.lock();
        *last = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}
