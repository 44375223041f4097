//! What a controller asks of this node. Every request is idempotent, and refused when a newer
//! controller has been here (its fencing number is on disk).

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use coterie_group::Body;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_raft::{Group, ProposeError, RaftError};
use coterie_rpc::Responder;
use coterie_types::{GroupId, NodeId, RangeDescriptor, Replica, Role};
use tokio::time::error::Elapsed;

use crate::directory::write_atomically;
use crate::error::RunError;
use crate::node::Node;

/// How long a new group may take to elect its first leader, before the asker tries again.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a change of members is waited for. It goes on being made ready after that, and whoever
/// asks again finds it further on.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a transfer of leadership may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);

/// The highest fencing number seen, also by earlier processes of this directory.
pub(crate) struct Fencing {
    path: PathBuf,
    seen: Mutex<u64>,
}

impl Fencing {
    /// Reads what was seen before.
    pub(crate) fn open(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self {
            path,
            seen: Mutex::new(text.trim_end().parse().unwrap_or(0)),
        }
    }

    /// `Err` with the number seen when `fence` is an older controller's.
    fn admit(&self, fence: u64) -> Result<(), ServerAnswer> {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if fence < *seen {
            return Err(ServerAnswer::Fenced { seen: *seen });
        }
        if fence > *seen {
            write_atomically(&self.path, fence.to_string().as_bytes())
                .map_err(|error| ServerAnswer::Failed(format!("record the fence: {error}")))?;
            *seen = fence;
        }
        Ok(())
    }
}

/// Answers one request.
pub(crate) async fn handle(node: &Node, body: &[u8], responder: Responder) {
    let answer = match coterie_protocol::decode(body) {
        Ok(request) => answer(node, request)
            .await
            .unwrap_or_else(|refused| refused),
        Err(error) => ServerAnswer::Failed(error.to_string()),
    };
    responder.send(coterie_protocol::encode(&answer));
}

async fn answer(node: &Node, request: ServerRequest) -> Result<ServerAnswer, ServerAnswer> {
    if let Some(fence) = fence_of(&request) {
        node.fencing.admit(fence)?;
    }
    let failed = |error: RunError| ServerAnswer::Failed(chain(&error));
    match request {
        ServerRequest::CreateReplica { group_id, .. } => {
            node.create_replica(group_id).await.map_err(failed)?;
            Ok(ServerAnswer::Ok)
        }
        ServerRequest::InitGroup {
            group_id,
            voters,
            ranges,
            ..
        } => init_group(node, group_id, voters, ranges).await,
        ServerRequest::TransferLeader { group_id, to, .. } => {
            let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
            let moved = replica.group.transfer_leader(to, TRANSFER_TIMEOUT).await;
            moved
                .map(|()| ServerAnswer::Ok)
                .map_err(|error| raft_error(&error))
        }
        ServerRequest::ChangeReplicas {
            group_id, replicas, ..
        } => change_replicas(node, group_id, &replicas).await,
        ServerRequest::AddLearner {
            group_id, node_id, ..
        } => add_learner(node, group_id, node_id).await,
        ServerRequest::DestroyReplica { group_id, .. } => {
            node.destroy_replica(group_id).await.map_err(failed)?;
            Ok(ServerAnswer::Ok)
        }
        ServerRequest::AddRanges {
            group_id, ranges, ..
        } => change_ranges(node, group_id, Body::AddRanges(ranges)).await,
        ServerRequest::DropRanges {
            group_id, ranges, ..
        } => change_ranges(node, group_id, Body::DropRanges(ranges)).await,
        ServerRequest::Status => {
            let replicas = node.replicas();
            Ok(ServerAnswer::Status(
                replicas.iter().map(|replica| replica.status()).collect(),
            ))
        }
        other => Err(ServerAnswer::Failed(format!("not built yet: {other:?}"))),
    }
}

/// The fencing number of a request that changes something.
fn fence_of(request: &ServerRequest) -> Option<u64> {
    match request {
        ServerRequest::CreateReplica { fence, .. }
        | ServerRequest::InitGroup { fence, .. }
        | ServerRequest::TransferLeader { fence, .. }
        | ServerRequest::ChangeReplicas { fence, .. }
        | ServerRequest::DestroyReplica { fence, .. }
        | ServerRequest::AddRanges { fence, .. }
        | ServerRequest::DropRanges { fence, .. } => Some(*fence),
        ServerRequest::SplitRange { fence, .. }
        | ServerRequest::MergeRanges { fence, .. }
        | ServerRequest::BeginImport { fence, .. }
        | ServerRequest::CancelImport { fence, .. }
        | ServerRequest::HandOff { fence, .. }
        | ServerRequest::DropFrozen { fence, .. }
        | ServerRequest::AddLearner { fence, .. } => Some(*fence),
        ServerRequest::TakeDigest { fence, .. } => (*fence > 0).then_some(*fence),
        ServerRequest::Status
        | ServerRequest::Activate { .. }
        | ServerRequest::ImportState { .. }
        | ServerRequest::SplitPoint { .. }
        | ServerRequest::Digest { .. } => None,
    }
}

async fn init_group(
    node: &Node,
    group_id: GroupId,
    voters: Vec<NodeId>,
    ranges: Vec<RangeDescriptor>,
) -> Result<ServerAnswer, ServerAnswer> {
    let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
    let started = replica.group.initialize(voters).await;
    started.map_err(|error| raft_error(&error))?;
    let leader = replica
        .group
        .wait_leader(ELECTION_TIMEOUT)
        .await
        .map_err(|error| raft_error(&error))?;
    if leader != node.node_id {
        return Ok(ServerAnswer::NotLeader {
            leader: Some(leader),
        });
    }
    match replica.init(ranges).await {
        Ok(()) => Ok(ServerAnswer::Ok),
        Err(error) => Err(propose_error(&error)),
    }
}

async fn change_ranges(
    node: &Node,
    group_id: GroupId,
    change: Body,
) -> Result<ServerAnswer, ServerAnswer> {
    let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
    match replica.change_ranges(change).await {
        Ok(Ok(())) => Ok(ServerAnswer::Ok),
        Ok(Err(refusal)) => Err(ServerAnswer::Failed(refusal)),
        Err(error) => Err(propose_error(&error)),
    }
}

fn propose_error(error: &ProposeError) -> ServerAnswer {
    match error {
        ProposeError::NotLeader { leader, .. } => ServerAnswer::NotLeader { leader: *leader },
        other => ServerAnswer::Failed(other.to_string()),
    }
}

async fn change_replicas(
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

async fn add_learner(
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

fn raft_error(error: &RaftError) -> ServerAnswer {
    match error {
        RaftError::NotLeader { leader } => ServerAnswer::NotLeader { leader: *leader },
        other => ServerAnswer::Failed(chain(other)),
    }
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_older_controller_is_refused_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("FENCE");
        let fencing = Fencing::open(path.clone());
        assert!(fencing.admit(5).is_ok() && fencing.admit(5).is_ok());
        assert_eq!(fencing.admit(4), Err(ServerAnswer::Fenced { seen: 5 }));
        assert_eq!(
            Fencing::open(path).admit(4),
            Err(ServerAnswer::Fenced { seen: 5 })
        );
    }
}
