//! Moves leaderships away from a node that should not lead: because its process is being stopped,
//! or because its disk has no room while other voters have.
//!
//! Neither case needs a controller. The leader asks its heirs whether they can take over
//! (`coterie_raft`, `hand_over`). An heir that cannot take over costs only the question, so it is
//! asked again until the time is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_raft::Group;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::node::Node;

/// Pause between two attempts of a node that is being stopped: an heir may be fenced, or behind for
/// a moment.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a node checks whether it has lost its room.
const PERIOD: Duration = Duration::from_millis(100);

/// How long clients' writes wait for a leader with room before they are refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the node noticed that it had no room; `None` while it has room.
#[derive(Debug, Default)]
pub(crate) struct NoRoom(Mutex<Option<Instant>>);

impl NoRoom {
    /// Whether a write that lacks room here may soon find a leader with room. If so, the client
    /// should retry rather than hear that the disk is full.
    pub(crate) fn may_pass(&self, group: &Group) -> bool {
        let is_new = self.lock().is_none_or(|since| since.elapsed() < PATIENCE);
        is_new && group.has_roomier_voter()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock()
    }
}

/// Hands over every group that the node leads, all at once, `within` at most. The node is being
/// stopped, so an heir without room is better than no heir.
pub(crate) async fn before_stop(node: &Node, within: Duration) {
    let deadline = Instant::now() + within;
    let mut leaving = JoinSet::new();
    for group in led(node) {
        leaving.spawn(async move {
            let group_id = group.id();
            loop {
                match group.leave(true).await {
                    Ok(heir) => return info!(%group_id, %heir, "leader moved away"),
                    // The others elect a leader when this node is gone.
                    Err(error) if Instant::now() + PAUSE >= deadline => {
                        return warn!(%group_id, %error, "leader not moved");
                    }
                    Err(error) => debug!(%group_id, %error, "leader not moved yet"),
                }
                tokio::time::sleep(PAUSE).await;
                if !group.status().is_leader {
                    return;
                }
            }
        });
    }
    leaving.join_all().await;
}

/// Hands leaderships over whenever there is no room, until `stop`.
pub(crate) async fn watch_room(node: Arc<Node>, stop: CancellationToken) {
    while let Some(()) = stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await {
        if !node.disk.is_full() {
            *node.no_room.lock() = None;
            continue;
        }
        node.no_room.lock().get_or_insert_with(Instant::now);
        stop.run_until_cancelled(without_room(&node)).await;
    }
}

/// Hands over the groups that the node leads to voters with room. Skips groups where no voter has.
async fn without_room(node: &Arc<Node>) {
    let mut leaving = JoinSet::new();
    for group in led(node).filter(Group::has_roomier_voter) {
        leaving.spawn(async move {
            let group_id = group.id();
            match group.leave(false).await {
                Ok(heir) => info!(%group_id, %heir, "no room here: leader moved away"),
                Err(error) => debug!(%group_id, %error, "no room here, and the leader not moved"),
            }
        });
    }
    leaving.join_all().await;
}

fn led(node: &Node) -> impl Iterator<Item = Group> {
    let replicas = node.replicas().into_iter();
    let groups = replicas.map(|replica| replica.group);
    groups.filter(|group| group.status().is_leader)
}
