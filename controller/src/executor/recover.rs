//! Recovering a group that has lost its majority for good: what one replica has is what there is.
//!
//! An operator has seen what may be lost, and wished for it (`coterie recover`). First meta removes the
//! voters that are lost: whatever they say is not listened to any more, and should they come
//! back, they wipe themselves. Then the replica that is kept goes on alone, and meta's map says
//! so. The planner brings the group back to its number of replicas, as it does for any.

use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, GroupId, NodeId, Replica, Role};

use super::make_groups::said;
use super::{ASK_TIMEOUT, Executor, Stop, Taken};
use crate::job::{Recover, RecoverPhase, Step};
use crate::ports::{Meta, Servers};
use crate::view::View;

/// The parameters of [`Step::Recover`].
#[derive(Clone, Copy)]
pub(super) struct Recovery<'a> {
    pub(super) group_id: GroupId,
    pub(super) node_id: NodeId,
    pub(super) lost: &'a [NodeId],
}

impl Recovery<'_> {
    fn next(self, phase: RecoverPhase) -> Taken {
        Taken::Next(Step::Recover(Recover {
            phase,
            group_id: self.group_id,
            node_id: self.node_id,
            lost: self.lost.to_vec(),
        }))
    }
}

impl<M: Meta, S: Servers> Executor<M, S> {
    /// Whether it is as bad as that, and the replica the best there is. Other jobs about the group
    /// are not waited for: they wait for a leader.
    pub(super) async fn wish_recover(
        &self,
        group_id: GroupId,
        node_id: NodeId,
    ) -> Result<Taken, Stop> {
        let view = self.meta.view().await?;
        if view.listening_for < self.settings.liveness_timeout {
            let reason = "meta's leader is new: it does not know yet which nodes are up";
            return Ok(Taken::Wait(reason.to_owned()));
        }
        Ok(match self.lost_for_good(&view, group_id, node_id) {
            Ok(lost) => Taken::Next(Step::Recover(Recover {
                phase: RecoverPhase::Lose,
                group_id,
                node_id,
                lost,
            })),
            Err(reason) => Taken::GiveUp(reason),
        })
    }

    /// The voters that are not heard, if they are so many that the group cannot do without them.
    fn lost_for_good(
        &self,
        view: &View,
        group_id: GroupId,
        kept: NodeId,
    ) -> Result<Vec<NodeId>, String> {
        let timeout = self.settings.liveness_timeout;
        let row = view.catalog.groups.get(&group_id);
        let row = row.ok_or_else(|| format!("there is no group {group_id}"))?;
        let heard = |node_id: NodeId| {
            let status = view.replica(node_id, group_id);
            status.filter(|_| view.is_heard(node_id, timeout))
        };
        if let Some(leader) = view.leader(group_id, timeout) {
            return Err(format!("node {leader} leads group {group_id}"));
        }
        if !row.voters().any(|id| id == kept) {
            return Err(format!("node {kept} is no voter of group {group_id}"));
        }
        let Some(status) = heard(kept) else {
            return Err(format!("nothing is heard of a replica on node {kept}"));
        };
        if let Some(fault) = &status.fault {
            return Err(format!("the replica on node {kept} has stopped ({fault})"));
        }
        let (alive, lost): (Vec<NodeId>, Vec<NodeId>) =
            row.voters().partition(|id| view.is_heard(*id, timeout));
        let voters = alive.len() + lost.len();
        if 2 * alive.len() > voters {
            let alive = alive.len();
            return Err(format!(
                "{alive} of {voters} voters are up: they can elect a leader"
            ));
        }
        let reach = |status: &ReplicaStatus| (status.last_term, status.last_index);
        let others = alive.iter().filter_map(|id| Some((*id, heard(*id)?)));
        if let Some((best, other)) = others.max_by_key(|(_, other)| reach(other))
            && reach(other) > reach(status)
        {
            return Err(format!(
                "the log of node {best} reaches to entry {} of term {}, that of node {kept} to {} \
                 of term {}: recover from node {best}",
                other.last_index, other.last_term, status.last_index, status.last_term
            ));
        }
        Ok(lost)
    }

    pub(super) async fn recover(
        &self,
        phase: RecoverPhase,
        recovery: Recovery<'_>,
    ) -> Result<Taken, Stop> {
        match phase {
            RecoverPhase::Lose => self.lose(recovery).await,
            RecoverPhase::Alone => self.make_alone(recovery).await,
            RecoverPhase::Publish => self.publish_alone(recovery).await,
        }
    }

    async fn lose(&self, recovery: Recovery<'_>) -> Result<Taken, Stop> {
        let lost = recovery.lost.iter().copied();
        let ops = lost.map(ControllerOp::LoseNode).collect();
        self.change(ops).await?;
        Ok(recovery.next(RecoverPhase::Alone))
    }

    async fn make_alone(&self, recovery: Recovery<'_>) -> Result<Taken, Stop> {
        let Recovery {
            group_id,
            node_id,
            lost,
        } = recovery;
        let request = ServerRequest::RecoverAlone {
            group_id,
            lost: lost.to_vec(),
            fence: self.fence,
        };
        let answer = self.ask(node_id, request, ASK_TIMEOUT).await?;
        if answer == Ok(ServerAnswer::Ok) {
            return Ok(recovery.next(RecoverPhase::Publish));
        }
        Ok(Taken::Wait(format!("node {node_id}: {}", said(answer))))
    }

    async fn publish_alone(&self, recovery: Recovery<'_>) -> Result<Taken, Stop> {
        let (group_id, node_id) = (recovery.group_id, recovery.node_id);
        let row = GroupDescriptor {
            group_id,
            replicas: vec![Replica {
                node_id,
                role: Role::Voter,
            }],
        };
        match self.change(vec![ControllerOp::PutGroup(row)]).await {
            Ok(_) => Ok(Taken::Done(format!(
                "group {group_id} goes on from what node {node_id} had; further replicas follow"
            ))),
            Err(Stop::Refused(rejection)) => Ok(Taken::GiveUp(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }
}
