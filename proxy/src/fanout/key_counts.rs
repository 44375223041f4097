//! How many keys tables had when last counted, for INFO and RANDOMKEY.
//!
//! Counting reads every key, so a count is used again for twenty times as long as it took, at least
//! a second: asking often costs one part in twenty at most. `DBSIZE` counts anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_redis_compat::CommandError;
use coterie_types::TableId;
use tokio::sync::Mutex;

use super::calls::Interval;
use super::{Calls, count};

/// An interval and how many keys it had.
pub(crate) type Counted = (Interval, u64);

/// One count of a table.
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
    /// One lock per table: who finds a count too old makes others wait for the next one.
    tables: std::sync::Mutex<BTreeMap<TableId, Known>>,
}

type Known = Arc<Mutex<Option<Arc<TableCount>>>>;

impl KeyCounts {
    /// A count of the table, perhaps not the newest.
    pub(crate) async fn of(
        &self,
        calls: &Calls,
        table: TableId,
    ) -> Result<Arc<TableCount>, CommandError> {
        let known = {
            let mut tables = self
                .tables
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(tables.entry(table).or_default())
        };
        let mut known = known.lock().await;
        if let Some(count) = known
            .as_ref()
            .filter(|count| Instant::now() < count.good_until)
        {
            return Ok(Arc::clone(count));
        }
        let began = Instant::now();
        let intervals = count(calls, table).await?;
        let good_for = (began.elapsed() * 20).max(Duration::from_secs(1));
        let fresh = Arc::new(TableCount {
            intervals,
            good_until: Instant::now() + good_for,
        });
        *known = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}
