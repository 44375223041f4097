//! Requests of a controller to this node. Every request is idempotent. A request with a fencing
//! number is refused if a newer controller's number is on disk.
//!
//! Requests about ranges are in `ranges`, about a group's replicas in `members`.

use std::sync::Arc;
use std::time::Duration;

use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_rpc::Responder;
use coterie_types::{GroupId, NodeId, RangeDescriptor};

use crate::error::{RunError, chain};
use crate::node::Node;
use failed::{propose_error, raft_error};

mod failed;
mod members;
mod ranges;

/// How long a new group may take to elect its first leader, before the controller tries again.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers a request.
pub(crate) async fn handle(node: &Arc<Node>, body: &[u8], responder: Responder) {
    let answer = match coterie_protocol::decode(body) {
        Ok(request) => answer(node, request)
            .await
            .unwrap_or_else(|refused| refused),
        Err(error) => ServerAnswer::Failed(error.to_string()),
    };
    responder.send(coterie_protocol::encode(&answer));
}

async fn answer(node: &Arc<Node>, request: ServerRequest) -> Result<ServerAnswer, ServerAnswer> {
    if let Some(fence) = request.fence() {
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
            let moved = replica.group.transfer_leader(to, false).await;
            moved
                .map(|()| ServerAnswer::Ok)
                .map_err(|error| raft_error(&error))
        }
        ServerRequest::ChangeReplicas {
            group_id, replicas, ..
        } => members::change_replicas(node, group_id, &replicas).await,
        ServerRequest::DestroyReplica { group_id, .. } => {
            node.destroy_replica(group_id).await.map_err(failed)?;
            Ok(ServerAnswer::Ok)
        }
        ServerRequest::Status => Ok(ServerAnswer::Status(node.statuses())),
        ServerRequest::KillScripts { functions } => {
            let killed = node.settings.scripts.kill(functions);
            Ok(ServerAnswer::KilledScripts(killed))
        }
        ServerRequest::BusyScripts => Ok(ServerAnswer::BusyScripts(node.settings.scripts.busy())),
        ServerRequest::Witness => Ok(ServerAnswer::Witness(Box::new(node.witness()))),
        ServerRequest::AddLearner {
            group_id, node_id, ..
        } => members::add_learner(node, group_id, node_id).await,
        ServerRequest::TakeDigest {
            group_id, nonce, ..
        } => members::take_digest(node, group_id, nonce).await,
        ServerRequest::RecoverAlone { group_id, lost, .. } => {
            members::recover_alone(node, group_id, &lost).await
        }
        ServerRequest::Digest { group_id, nonce } => {
            let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
            Ok(ServerAnswer::Digest(replica.shared.digests.get(nonce)))
        }
        other => ranges::answer(node, other).await,
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
