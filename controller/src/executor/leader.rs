//! Asking the leader of a group, whoever it is: the executor hears no heartbeats.

use std::collections::VecDeque;
use std::time::Duration;

use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupId, NodeId};

use super::make_groups::said;
use super::{Executor, Stop};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    /// Asks the members in turn, and first whoever one of them names, until one has seen to it;
    /// else what the last one said.
    pub(super) async fn ask_leader(
        &self,
        group_id: GroupId,
        members: impl IntoIterator<Item = NodeId>,
        request: &ServerRequest,
        timeout: Duration,
    ) -> Result<Result<(), String>, Stop> {
        let mut turns: VecDeque<NodeId> = members.into_iter().collect();
        let mut hints = turns.len();
        let mut last = format!("group {group_id} has no members");
        while let Some(node_id) = turns.pop_front() {
            match self.ask(node_id, request.clone(), timeout).await? {
                Ok(ServerAnswer::Ok) => return Ok(Ok(())),
                Ok(ServerAnswer::NotLeader { leader }) => {
                    last = format!("node {node_id} does not lead group {group_id}");
                    if let Some(leader) = leader.filter(|leader| *leader != node_id)
                        && hints > 0
                    {
                        hints -= 1;
                        turns.retain(|turn| *turn != leader);
                        turns.push_front(leader);
                    }
                }
                // The leader itself: the others know nothing more.
                Ok(ServerAnswer::Failed(reason)) => {
                    return Ok(Err(format!("node {node_id}: {reason}")));
                }
                answer => last = format!("node {node_id}: {}", said(answer)),
            }
        }
        Ok(Err(last))
    }
}
