//! Tells the new owners of ranges that were handed off here to serve them: at once, by whoever leads,
//! until they say that they do.
//!
//! The hand-off is committed by then, so nobody needs to be asked; the controller, which began it, may
//! be gone.

use std::sync::Arc;
use std::time::Duration;

use coterie_raft::Group;
use coterie_types::RangeDescriptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::Peers;
use super::shared::Shared;

/// How often one looks for something to do.
const PERIOD: Duration = Duration::from_millis(250);
/// After the new owner could not be told.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until `stop`.
pub(super) async fn run(group: Group, shared: Arc<Shared>, peers: Peers, stop: CancellationToken) {
    let mut changed = shared.ownership_changed();
    let telling = async {
        loop {
            let untold = untold(&shared);
            match untold.first() {
                Some(range) if group.is_leader() => {
                    if !tell(&group, &shared, &peers, range).await {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                // Looked at anyway after a while: who leads may have changed.
                _ => drop(tokio::time::timeout(PERIOD, changed.changed()).await),
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

/// The ranges whose new owner has not said that it serves them, to this process.
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
