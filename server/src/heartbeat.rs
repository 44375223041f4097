//! Reports this node's status and address to meta, by default every half second.

use std::sync::Arc;
use std::time::Duration;

use coterie_meta_client::MetaClient;
use coterie_protocol::meta::Heartbeat;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::node::Node;

/// Sends heartbeats until `stop`, or until meta answers that the node was removed, which cancels
/// `removed`. The node goes on serving while meta is away.
pub(crate) async fn run(
    node: Arc<Node>,
    meta: MetaClient,
    addr: String,
    period: Duration,
    stop: CancellationToken,
    removed: CancellationToken,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let heartbeat = Heartbeat {
            node_id: node.node_id,
            addr: addr.clone(),
            disk_used_bytes: used_bytes(&node),
            disk_free_bytes: node.disk.free_bytes(),
            replicas: node.statuses(),
            stopping: node.is_stopping(),
            log_write_micros: node.raft.log_write_micros(),
            apply_micros: apply_micros(&node),
            answer_micros: node.raft.answer_micros(),
        };
        let sent = meta.heartbeat(heartbeat);
        match stop.run_until_cancelled(sent).await {
            Some(Ok(taken)) if taken.removed => return removed.cancel(),
            Some(Ok(_)) | None => {}
            Some(Err(error)) => debug!(%error, "heartbeat not taken"),
        }
    }
}

/// Bytes of the log and of all stores.
fn used_bytes(node: &Node) -> u64 {
    let stores: u64 = node
        .replicas()
        .iter()
        .map(|replica| replica.status().size_bytes)
        .sum();
    stores + node.raft.log_size_bytes()
}

/// How long an entry took to apply on average, in the slowest group.
fn apply_micros(node: &Node) -> u64 {
    let replicas = node.replicas();
    let means = replicas.iter().map(|r| r.shared.apply_time.look_micros());
    means.max().unwrap_or(0)
}
