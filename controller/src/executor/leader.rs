//! Requests to the leader of a group. The executor gets no heartbeats, so it searches the leader.

use std::collections::VecDeque;
use std::time::Duration;

use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, NodeId, Role};

use super::cx::{ASK_TIMEOUT, Cx, Stop, reason};
use crate::ports::{Meta, Servers};

/// A group's answer to a request.
pub(super) enum Consulted {
    /// This node carried the request out, and answered.
    Answered(NodeId, ServerAnswer),
    /// The leader answered that it did not carry the request out. The answer does not say whether
    /// it will the next time; the group's state does.
    Refused(String),
    /// No node answered that could carry the request out.
    Unheard(String),
}

impl Consulted {
    /// The answer, for a job's log.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::Answered(node_id, answer) => format!("node {node_id}: {answer:?}"),
            Self::Refused(reason) | Self::Unheard(reason) => reason,
        }
    }
}

impl<M: Meta, S: Servers> Cx<M, S> {
    /// Asks the members in turn until the leader has answered. A node that a member names as the
    /// leader is asked next.
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
                // The node led when it refused. By now it may have stopped, or lost the lead.
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

    /// As [`Self::consult`], of the members that meta knows.
    pub(super) async fn consult_group(
        &self,
        group_id: GroupId,
        request: &ServerRequest,
    ) -> Result<Consulted, Stop> {
        let members = self.members(group_id);
        self.consult(group_id, members, request, ASK_TIMEOUT).await
    }

    /// As [`Self::consult`], for requests whose only answer is that they are carried out.
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
            other => Err(other.into_reason()),
        })
    }

    /// As [`Self::ask_leader`], of the members that meta knows.
    pub(super) async fn ask_group(
        &self,
        group_id: GroupId,
        request: &ServerRequest,
    ) -> Result<Result<(), String>, Stop> {
        let members = self.members(group_id);
        self.ask_leader(group_id, members, request, ASK_TIMEOUT)
            .await
    }

    /// The group's state as its leader reports it. If several nodes claim to lead, the highest
    /// term counts. Only a leader that serves counts: it has applied every committed entry.
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
                answer => last = format!("node {node_id}: {}", reason(answer)),
            }
        }
        Ok(found.ok_or(last))
    }
}

/// Whether the group has this node as a voter.
pub(super) fn has_voter(status: &ReplicaStatus, node_id: NodeId) -> bool {
    let mut members = status.replicas.iter();
    members.any(|replica| replica.node_id == node_id && replica.role == Role::Voter)
}
