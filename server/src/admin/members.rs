//! Requests about a group's replicas: changes, recovery of a lost majority, and digests.

use std::sync::Arc;
use std::time::Duration;

use coterie_group::Body;
use coterie_protocol::server::ServerAnswer;
use coterie_raft::{Group, RaftError};
use coterie_types::{GroupId, NodeId, Replica, Role};
use tokio::time::error::Elapsed;

use super::failed::{propose_error, raft_error};
use crate::error::chain;
use crate::node::Node;

/// How long to wait for a change of members. Preparation continues after that, so a repeated
/// request finds the change further on.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn change_replicas(
    node: &Node,
    group_id: GroupId,
    replicas: &[Replica],
) -> Result<ServerAnswer, ServerAnswer> {
    let group = node
        .replica(group_id)
        .ok_or(ServerAnswer::NoSuchGroup)?
        .group;
    let changing = group.change_replicas(replicas);
    changed(
        &group,
        replicas,
        tokio::time::timeout(CHANGE_TIMEOUT, changing).await,
    )
}

pub(super) async fn add_learner(
    node: &Node,
    group_id: GroupId,
    node_id: NodeId,
) -> Result<ServerAnswer, ServerAnswer> {
    let group = node
        .replica(group_id)
        .ok_or(ServerAnswer::NoSuchGroup)?
        .group;
    let learner = Replica {
        node_id,
        role: Role::Learner,
    };
    let learning = group.add_learner(node_id);
    changed(
        &group,
        &[learner],
        tokio::time::timeout(CHANGE_TIMEOUT, learning).await,
    )
}

/// Makes this node's replica the only voter of a group that has lost its majority.
pub(super) async fn recover_alone(
    node: &Arc<Node>,
    group_id: GroupId,
    lost: &[NodeId],
) -> Result<ServerAnswer, ServerAnswer> {
    let failed = |reason: String| Err(ServerAnswer::Failed(reason));
    // This includes a replica that an earlier attempt left closed.
    let status = match node.opened_replica(group_id).await {
        Ok(Some(replica)) => replica.status(),
        Ok(None) => return Err(ServerAnswer::NoSuchGroup),
        Err(error) => return failed(chain(&error)),
    };
    let is_alone = matches!(status.replicas.as_slice(), [only] if only.node_id == node.node_id);
    if is_alone {
        return Ok(ServerAnswer::Ok);
    }
    if status.serving {
        return failed(format!("node {} leads group {group_id}", node.node_id));
    }
    let known = |lost: &&NodeId| !node.is_removed(**lost);
    if let Some(lost) = lost.iter().find(known) {
        return failed(format!(
            "it is not known here yet that node {lost} was removed"
        ));
    }
    match node.recover_alone(group_id).await {
        Ok(()) => Ok(ServerAnswer::Ok),
        Err(error) => failed(chain(&error)),
    }
}

/// The answer to a change of members, done or timed out.
fn changed(
    group: &Group,
    replicas: &[Replica],
    outcome: Result<Result<(), RaftError>, Elapsed>,
) -> Result<ServerAnswer, ServerAnswer> {
    match outcome {
        Ok(Ok(())) => Ok(ServerAnswer::Ok),
        Ok(Err(error)) => Err(raft_error(&error)),
        Err(_) => Err(ServerAnswer::Failed(match group.catching_up(replicas) {
            Some((node_id, lag)) => format!("node {node_id} is {lag} entries behind"),
            None => "the change of members is not committed yet".to_owned(),
        })),
    }
}

pub(super) async fn take_digest(
    node: &Node,
    group_id: GroupId,
    nonce: u64,
) -> Result<ServerAnswer, ServerAnswer> {
    let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
    match replica.change_ranges(Body::Digest { nonce }).await {
        Ok(Ok(_)) => Ok(ServerAnswer::Ok),
        Ok(Err(refusal)) => Err(ServerAnswer::Failed(refusal)),
        Err(error) => Err(propose_error(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::{Alone, GROUP};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_replica_that_was_left_closed_recovers() {
        let alone = Alone::start().await;
        let node = &alone.node;
        let none = recover_alone(node, GROUP, &[]).await;
        assert_eq!(none, Err(ServerAnswer::NoSuchGroup));
        alone.make_group().await;
        alone.damage(true);
        assert!(node.recover_alone(GROUP).await.is_err());
        let refused = recover_alone(node, GROUP, &[]).await;
        assert!(
            matches!(refused, Err(ServerAnswer::Failed(_))),
            "{refused:?}"
        );
        alone.damage(false);
        let done = recover_alone(node, GROUP, &[]).await;
        assert_eq!(done, Ok(ServerAnswer::Ok));
        assert!(node.replica(GROUP).is_some() && node.faults().is_empty());
    }
}
