//! Work about moving ranges: each range has its own task, so that a stuck task holds up no other.
//!
//! There are as many tasks as ranges that move from or to the group, which the controller bounds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use coterie_types::{Epoch, RangeDescriptor, RangeId};
use tokio::task::{AbortHandle, JoinSet};

/// The running tasks. Dropping this aborts them.
#[derive(Debug, Default)]
pub(super) struct PerRange {
    tasks: JoinSet<()>,
    running: BTreeMap<(RangeId, Epoch), AbortHandle>,
}

impl PerRange {
    /// Begins the work about a range, unless it is in progress.
    pub(super) fn begin(
        &mut self,
        range: &RangeDescriptor,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.retain(|_, task| !task.is_finished());
        if let Entry::Vacant(entry) = self.running.entry((range.range_id, range.epoch)) {
            entry.insert(self.tasks.spawn(work));
        }
    }

    /// Waits until the work about some range has ended; forever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coterie_types::{GroupId, KeyRange, TableId};

    use super::*;

    fn range(range_id: u64) -> RangeDescriptor {
        RangeDescriptor {
            range_id: RangeId(range_id),
            epoch: Epoch(1),
            bounds: KeyRange::all(TableId(0)),
            group_id: GroupId(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_range_is_worked_on_once_at_a_time_and_holds_up_no_other() {
        let mut work = PerRange::default();
        work.begin(&range(1), std::future::pending());
        work.begin(&range(1), async { panic!("it is under way") });
        for _again in 0..2 {
            work.begin(&range(2), async {});
            work.ended().await;
        }
        let ended = tokio::time::timeout(Duration::from_secs(60), work.ended());
        assert!(ended.await.is_err(), "the first one is still under way");
    }
}
