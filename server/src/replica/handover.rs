//! Tells the new owners of ranges that were handed off here to serve them. The leader does so at
//! once, for each range by itself, until the new owner says that it serves the range.
//!
//! The hand-off is committed by then, so no permission is needed. The controller that began it may
//! be gone.

use std::sync::Arc;
use std::time::Duration;

use coterie_raft::Group;
use coterie_types::RangeDescriptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::per_range::PerRange;
use super::shared::Shared;
use crate::peers::Peers;

/// Longest time between two checks for work.
const PERIOD: Duration = Duration::from_millis(250);
/// Pause after the new owner could not be told.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until `stop`.
pub(super) async fn run(group: Group, shared: Arc<Shared>, peers: Peers, stop: CancellationToken) {
    let mut changed = shared.ownership_changed();
    let telling = async {
        let mut tellings = PerRange::default();
        loop {
            if group.is_leader() {
                for range in untold(&shared) {
                    let (group, shared, peers) =
                        (group.clone(), Arc::clone(&shared), peers.clone());
                    let to_tell = range.clone();
                    tellings.begin(&range, async move {
                        if !tell(&group, &shared, &peers, &to_tell).await {
                            tokio::time::sleep(PAUSE).await;
                        }
                    });
                }
            }
            // Check after a while in any case: leadership may have changed.
            tokio::select! {
                () = tellings.ended() => {}
                _ = tokio::time::timeout(PERIOD, changed.changed()) => {}
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

/// The ranges whose new owner has not yet told this process that it serves them.
fn untold(shared: &Shared) -> Vec<RangeDescriptor> {
    let published = shared.published();
    let frozen = published.read.ownership().frozen().iter();
    frozen
        .filter(|range| !shared.is_told(range))
        .cloned()
        .collect()
}

async fn tell(group: &Group, shared: &Shared, peers: &Peers, range: &RangeDescriptor) -> bool {
    let clock = shared.published().read.clock();
    match peers.activate(range, clock).await {
        Ok(()) => {
            info!(group_id = %group.id(), range_id = %range.range_id, to = %range.group_id,
                "range handed off");
            shared.set_told(range);
            true
        }
        Err(reason) => {
            debug!(range_id = %range.range_id, reason, "the new owner is not told yet");
            false
        }
    }
}
