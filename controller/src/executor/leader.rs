//! Asking the leader of a group, whoever it is: the executor hears no heartbeats.

use std::collections::VecDeque;
use std::time::Duration;

use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, NodeId};

use super::make_groups::said;
use super::{ASK_TIMEOUT, Executor, Stop};
use crate::ports::{Meta, Servers};

/// What came of asking a group.
pub(super) enum Consulted {
    /// This node has seen to it, and answers.
    Answered(NodeId, ServerAnswer),
    /// It was heard, and did not do it. Whether it will not, or could not for a moment, is not
    /// said: what the group is now tells.
    Refused(String),
    /// Nobody was heard who could do it.
    Unheard(String),
}

impl<M: Meta, S: Servers> Executor<M, S> {
    /// Asks the members in turn, and first whoever one of them names, until one has seen to it.
    pub(super) async fn consult(
        &self,
        group_id: GroupId,
        members: impl IntoIterator<Item = NodeId>,
        request: &ServerRequest,
        timeout: Duration,
    ) -> Result<Consulted, Stop> {
        let mut turns: VecDeque<NodeId> = members.into_iter().collect();
        let mut hints = turns.len();
        let mut last = format!("group {group_id} has no members");
        let mut refused: Option<(NodeId, String)> = None;
        while let Some(node_id) = turns.pop_front() {
            match self.ask(node_id, request.clone(), timeout).await? {
                Ok(ServerAnswer::NotLeader { leader }) => {
                    last = format!("node {node_id} does not lead group {group_id}");
                    let has_refused = |leader| refused.as_ref().map(|(node, _)| *node) == leader;
                    if let Some(leader) = leader.filter(|leader| *leader != node_id)
                        && !has_refused(Some(leader))
                        && hints > 0
                    {
                        hints -= 1;
                        turns.retain(|turn| *turn != leader);
                        turns.push_front(leader);
                    }
                }
                // It led then; it may be another now, or this one has stopped.
                Ok(ServerAnswer::Failed(reason)) => refused = Some((node_id, reason)),
                Ok(ServerAnswer::NoSuchGroup) => {
                    last = format!("node {node_id} has no replica of group {group_id}");
                }
                Ok(answer) => return Ok(Consulted::Answered(node_id, answer)),
                Err(reason) => last = format!("node {node_id}: {reason}"),
            }
        }
        Ok(match refused {
            Some((node_id, reason)) => Consulted::Refused(format!("node {node_id}: {reason}")),
            None => Consulted::Unheard(last),
        })
    }

    /// As [`Self::consult`], for what is answered with nothing more than that it is done.
    pub(super) async fn ask_leader(
        &self,
        group_id: GroupId,
        members: impl IntoIterator<Item = NodeId>,
        request: &ServerRequest,
        timeout: Duration,
    ) -> Result<Result<(), String>, Stop> {
        let consulted = self.consult(group_id, members, request, timeout).await?;
        Ok(match consulted {
            Consulted::Answered(_, ServerAnswer::Ok) => Ok(()),
            Consulted::Answered(node_id, other) => {
                Err(format!("node {node_id}: {}", said(Ok(other))))
            }
            Consulted::Refused(reason) | Consulted::Unheard(reason) => Err(reason),
        })
    }

    /// What the leader of a group says of it: of several that think so, the one of the latest term.
    /// Its word counts only while it serves, as it has then applied all that was committed.
    pub(super) async fn leader_status(
        &self,
        group_id: GroupId,
    ) -> Result<Result<(NodeId, ReplicaStatus), String>, Stop> {
        let mut found: Option<(NodeId, ReplicaStatus)> = None;
        let mut last = format!("nobody leads group {group_id}");
        for node_id in self.members(group_id) {
            match self
                .ask(node_id, ServerRequest::Status, ASK_TIMEOUT)
                .await?
            {
                Ok(ServerAnswer::Status(replicas)) => {
                    let mut replicas = replicas.into_iter();
                    let serving = replicas.find(|s| s.group_id == group_id && s.serving);
                    if let Some(status) = serving
                        && found
                            .as_ref()
                            .is_none_or(|(_, best)| best.term < status.term)
                    {
                        found = Some((node_id, status));
                    }
                }
                answer => last = format!("node {node_id}: {}", said(answer)),
            }
        }
        Ok(found.ok_or(last))
    }

    /// The nodes of a group, as far as meta knows; none when it is gone.
    pub(super) fn members(&self, group_id: GroupId) -> Vec<NodeId> {
        let catalog = self.meta.catalog();
        let group = catalog.groups.get(&group_id);
        group.map_or_else(Vec::new, |group| {
            group.replicas.iter().map(|r| r.node_id).collect()
        })
    }
}
