//! The purge driver of a group: flush, learn what is durable, drop the log below.
//!
//! Two bounds meet here. A restart applies the log above the flushed index again, so when more
//! than `log_replay_bytes_max` lies above it a flush is forced. Followers that are away need the
//! log below it, so `log_retention` bytes are kept. openraft purges only below the id of its
//! snapshot; that id is what the state machine said is durable (`machine::DurableMark`), never more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::RaftConfig;
use crate::log::GroupLog;
use crate::machine::{Machine, Progress};
use crate::type_config::TypeConfig;

/// How often the sizes are looked at.
const PERIOD: Duration = Duration::from_millis(500);

pub(crate) struct Purge {
    pub(crate) raft: openraft::Raft<TypeConfig, Machine>,
    pub(crate) log: GroupLog,
    pub(crate) progress: Arc<Progress>,
    pub(crate) config: RaftConfig,
}

impl Purge {
    /// Runs until the group stops.
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked_at = Instant::now();
        let mut asked_index = 0;
        let mut purged_to = 0;
        loop {
            ticks.tick().await;
            let applied = self.progress.applied_index.load(Ordering::Acquire);
            let flushed = self.progress.flushed_index.load(Ordering::Acquire);
            let sizes = self.log.sizes();
            let due = asked_at.elapsed() >= self.config.flush_interval
                || sizes.bytes_after(flushed) > self.config.log_replay_bytes_max / 2;
            // Asked again while the flush that was asked for is not durable yet, and then no more
            // until something new is applied.
            if applied > flushed && (due || asked_index > flushed) {
                asked_at = Instant::now();
                asked_index = applied;
                if self.raft.trigger().snapshot().await.is_err() {
                    return;
                }
            }
            let purge_to = sizes
                .index_keeping(self.config.log_retention)
                .map(|i| i.min(flushed));
            if let Some(index) = purge_to.filter(|index| *index > purged_to) {
                purged_to = index;
                if self.raft.trigger().purge_log(index).await.is_err() {
                    return;
                }
            }
        }
    }
}
