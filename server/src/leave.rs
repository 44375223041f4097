//! Moves leaderships away from a node whose process is being stopped.
//!
//! No controller is needed for it. Whom to hand over to is asked of the heirs themselves
//! (`coterie_raft`, `hand_over`); one that cannot take over costs nothing but the question, so it is
//! asked again until the time is up.

use std::time::{Duration, Instant};

use coterie_raft::Group;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::node::Node;

/// Between two attempts of a node that is being stopped: an heir may be fenced, or behind for a moment.
const PAUSE: Duration = Duration::from_millis(50);

/// Hands over every group that the node leads, all at once, `within` at most. The node is being
/// stopped: an heir without room is better than none.
pub(crate) async fn before_stop(node: &Node, within: Duration) {
    let deadline = Instant::now() + within;
    let mut leaving = JoinSet::new();
    for group in led(node) {
        leaving.spawn(async move {
            let group_id = group.id();
            loop {
                match group.leave(true).await {
                    Ok(heir) => return info!(%group_id, %heir, "leader moved away"),
                    // The others elect one when this node is gone.
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

fn led(node: &Node) -> impl Iterator<Item = Group> {
    let replicas = node.replicas().into_iter();
    let groups = replicas.map(|replica| replica.group);
    groups.filter(|group| group.status().is_leader)
}
