//! Making groups: empty replicas on every member, then the start, then the map.
//!
//! Until a group is started nothing is decided, and a member that went down in between only costs
//! this attempt. From the start on a group exists by its own log, so the rest is done sooner or
//! later. Meta's map comes last and at once for all: a table is never half in it.

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, NodeId, NodeState, RangeDescriptor, Replica, Role};

use super::jobs::reconsider;
use super::{ASK_TIMEOUT, Executor, Stop, Taken};
use crate::job::{MakeGroups, MakePhase, MovePhase, MoveRange, NewGroup, Step};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn make_groups(
        &self,
        phase: MakePhase,
        groups: &[NewGroup],
        then_move: Option<&RangeDescriptor>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let next = |phase| {
            Taken::Next(Step::MakeGroups(MakeGroups {
                phase,
                groups: groups.to_vec(),
                then_move: then_move.cloned(),
            }))
        };
        match phase {
            MakePhase::Create => {
                for group in groups {
                    if let Some(not_yet) = self.create_replicas(group, job).await? {
                        return Ok(not_yet);
                    }
                }
                Ok(next(MakePhase::Init))
            }
            MakePhase::Init => {
                for group in groups {
                    if let Some(not_yet) = self.start(group).await? {
                        return Ok(not_yet);
                    }
                }
                Ok(next(MakePhase::Publish))
            }
            MakePhase::Publish => self.publish(groups, then_move).await,
        }
    }

    async fn create_replicas(
        &self,
        group: &NewGroup,
        job: &JobDescriptor,
    ) -> Result<Option<Taken>, Stop> {
        let group_id = group.group_id;
        for node_id in group.voters.iter().copied() {
            if self.is_gone(node_id) {
                let reason =
                    format!("node {node_id} went away before group {group_id} was started");
                return Ok(Some(reconsider(job, reason)));
            }
            let fence = self.fence;
            let request = ServerRequest::CreateReplica { group_id, fence };
            let answer = self.ask(node_id, request, ASK_TIMEOUT).await?;
            if answer != Ok(ServerAnswer::Ok) {
                return Ok(Some(Taken::Wait(format!(
                    "node {node_id} has no replica of group {group_id} yet: {}",
                    said(answer)
                ))));
            }
        }
        Ok(None)
    }

    /// Asks the voters in turn, and whoever they name, until one has seen to it.
    async fn start(&self, group: &NewGroup) -> Result<Option<Taken>, Stop> {
        let group_id = group.group_id;
        let mut voters = group.voters.clone();
        voters.sort();
        let mut last = "it has no voters".to_owned();
        let mut hinted = None;
        for asked in 0..2 * group.voters.len() {
            let turn = group.voters[asked % group.voters.len()];
            let node_id = hinted.take().unwrap_or(turn);
            let request = ServerRequest::InitGroup {
                group_id,
                voters: voters.clone(),
                ranges: group.ranges.clone(),
                fence: self.fence,
            };
            match self.ask(node_id, request, ASK_TIMEOUT).await? {
                Ok(ServerAnswer::Ok) => return Ok(None),
                Ok(ServerAnswer::NotLeader { leader }) => {
                    hinted = leader.filter(|leader| *leader != node_id);
                    last = format!("node {node_id} does not lead it");
                }
                answer => last = format!("node {node_id}: {}", said(answer)),
            }
        }
        Ok(Some(Taken::Wait(format!(
            "group {group_id} is not started yet: {last}"
        ))))
    }

    async fn publish(
        &self,
        groups: &[NewGroup],
        then_move: Option<&RangeDescriptor>,
    ) -> Result<Taken, Stop> {
        let catalog = self.meta.catalog();
        let mut ops = Vec::new();
        for group in groups {
            let mut replicas: Vec<Replica> = group.voters.iter().map(|id| voter(*id)).collect();
            replicas.sort();
            ops.push(ControllerOp::PutGroup(GroupDescriptor {
                group_id: group.group_id,
                replicas,
            }));
            // A table may have been dropped meanwhile.
            let ranges = group.ranges.iter();
            let ranges = ranges.filter(|range| catalog.tables.contains_key(&range.bounds.table));
            ops.extend(ranges.cloned().map(ControllerOp::PutRange));
        }
        match self.change(ops).await {
            Ok(_) => {
                let line = format!("{} group(s) serve", groups.len());
                Ok(match (then_move, groups.first()) {
                    (Some(range), Some(first)) => Taken::Turn(
                        Step::MoveRange(MoveRange {
                            phase: MovePhase::Begin,
                            range: range.clone(),
                            to: first.group_id,
                        }),
                        line,
                    ),
                    _ => Taken::Done(line),
                })
            }
            Err(Stop::Refused(rejection)) => Ok(Taken::Wait(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }

    /// Whether the node was judged down or removed since it was chosen.
    pub(super) fn is_gone(&self, node_id: NodeId) -> bool {
        let catalog = self.meta.catalog();
        let state = catalog.nodes.get(&node_id).map(|node| node.state);
        matches!(state, Some(NodeState::Down | NodeState::Removed))
    }
}

fn voter(node_id: NodeId) -> Replica {
    Replica {
        node_id,
        role: Role::Voter,
    }
}

/// An answer, for a job's log.
pub(super) fn said(answer: Result<ServerAnswer, String>) -> String {
    match answer {
        Ok(ServerAnswer::Failed(reason)) | Err(reason) => reason,
        Ok(answer) => format!("{answer:?}"),
    }
}
