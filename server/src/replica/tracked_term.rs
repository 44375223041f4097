//! Ends the tracking of keys (`tracked`) with the term in which this replica leads, and forgets
//! proxies that are gone.

use std::sync::Arc;
use std::time::Duration;

use coterie_raft::Group;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::waiting::term_of;

/// How often leadership and links are looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// Looks without a lease after which another leader may long have accepted writes.
const UNSURE_MAX: usize = 10;

/// Runs until `stop`.
pub(super) async fn run(group: Group, shared: Arc<Shared>, stop: CancellationToken) {
    let Some(tracked) = shared.tracked() else {
        return;
    };
    let trackers = &tracked.trackers;
    let mut unsure = 0;
    while let Some(()) = stop.run_until_cancelled(trackers.wait_used()).await {
        let pause = stop.run_until_cancelled(tokio::time::sleep(PERIOD));
        if pause.await.is_none() {
            break;
        }
        let term = term_of(&group);
        if term.is_some() && group.lease_read_ready() {
            unsure = 0;
        } else {
            unsure += 1;
        }
        tracked.follow(term.filter(|_| unsure < UNSURE_MAX));
        tracked.forget_gone();
        trackers.look();
    }
    tracked.follow(None);
}
