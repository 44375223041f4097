//! What is asked about a group's replicas: who they are, and whether they hold the same.

use std::time::Duration;

use coterie_group::Body;
use coterie_protocol::server::ServerAnswer;
use coterie_raft::{Group, RaftError};
use coterie_types::{GroupId, NodeId, Replica, Role};
use tokio::time::error::Elapsed;

use super::{propose_error, raft_error};
use crate::node::Node;

/// How long a change of members is waited for. It goes on being made ready after that, and whoever
/// asks again finds it further on.
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

/// The answer to a change of members that was waited for.
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
