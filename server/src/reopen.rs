//! Opens replicas again that stopped, or were not opened, because the disk was full.
//!
//! A store whose flush has failed stays stopped, as RocksDB would make a state durable that the
//! replica did not mark (decision record `2026-11-23-durable-marks`). When the disk has room again,
//! the store and its group are closed and opened anew from the last mark, like a restart of the
//! process for this replica alone. A replica that stopped for any other fault stays stopped.
//!
//! The disk has room when it takes writes again (`disk`), which includes a margin. A replica that
//! soon stops again is opened after a longer pause each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_types::GroupId;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::node::Node;

/// How often to look for stopped replicas.
const PERIOD: Duration = Duration::from_millis(500);
/// Pause after the first attempt for a replica; doubles with each further attempt.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A replica that has served for this long begins with the shortest pause again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// Runs until `stop`.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut attempts = Attempts::default();
    while stop
        .run_until_cancelled(tokio::time::sleep(PERIOD))
        .await
        .is_some()
    {
        let faults = node.faults().into_iter();
        let lacking = faults.filter(|fault| fault.lacks_room);
        let lacking: Vec<GroupId> = lacking.map(|fault| fault.group_id).collect();
        attempts.forget(Instant::now(), &lacking);
        if node.disk.is_full() {
            continue;
        }
        for group_id in lacking {
            if !attempts.begin(Instant::now(), group_id) {
                continue;
            }
            match node.open_again(group_id).await {
                Ok(()) => info!(%group_id, "the disk has room: the replica is opened again"),
                Err(error) => {
                    warn!(%group_id, error = &error as &dyn std::error::Error,
                        "replica not opened again: it is tried later");
                }
            }
        }
    }
}

/// When each replica was last opened, and how long to wait before it is opened again. Bounded by
/// the replicas of the node.
#[derive(Debug, Default)]
struct Attempts(BTreeMap<GroupId, (Instant, Duration)>);

impl Attempts {
    /// Notes an attempt if it is due. Returns whether it is.
    fn begin(&mut self, now: Instant, group: GroupId) -> bool {
        let pause = match self.0.get(&group) {
            Some((at, pause)) if now.duration_since(*at) < *pause => return false,
            Some((_, pause)) => (*pause * 2).min(PAUSE_MAX),
            None => PAUSE_MIN,
        };
        self.0.insert(group, (now, pause));
        true
    }

    /// Drops the attempts for replicas that have run for long; `lacking` lists replicas that do not
    /// run.
    fn forget(&mut self, now: Instant, lacking: &[GroupId]) {
        self.0.retain(|group, (at, _)| {
            lacking.contains(group) || now.duration_since(*at) < FORGOTTEN_AFTER
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    #[test]
    fn pauses_grow_up_to_a_bound_and_shrink_for_a_replica_that_runs() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let mut begun = Vec::new();
        for second in 0..400 {
            let now = start + Duration::from_secs(second);
            attempts.forget(now, &[GROUP]);
            if attempts.begin(now, GROUP) {
                begun.push(second);
            }
        }
        assert_eq!(begun, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]);
        let later = start + Duration::from_secs(363) + FORGOTTEN_AFTER;
        attempts.forget(later, &[]);
        assert!(attempts.begin(later, GROUP));
        assert!(attempts.begin(later + PAUSE_MIN, GROUP));
    }
}
