//! Removing a group that owns nothing: meta forgets it, then its members remove their replicas.
//!
//! Its leader is asked first, as ranges may be under way to it or be copied from it. A job that
//! brings it something later sees this one, and waits.

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::{ControllerOp, Rejection};
use coterie_types::{GroupDescriptor, NodeId, NodeState};

use super::{Executor, Stop, Taken};
use crate::job::{RemoveGroup, RemovePhase, Step};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn remove_group(
        &self,
        phase: RemovePhase,
        group: &GroupDescriptor,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        match phase {
            RemovePhase::Forget => self.forget_group(group, job).await,
            RemovePhase::Destroy => self.destroy_replicas(group).await,
        }
    }

    async fn forget_group(
        &self,
        group: &GroupDescriptor,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let group_id = group.group_id;
        // Its row as it is now: members may have changed since it was decided.
        let Some(now) = self.meta.catalog().groups.get(&group_id).cloned() else {
            return Ok(destroy(group));
        };
        if now != *group {
            let phase = RemovePhase::Forget;
            return Ok(Taken::Next(Step::RemoveGroup(RemoveGroup {
                phase,
                group: now,
            })));
        }
        if let Some(other) = self.other_about(job, group_id) {
            return Ok(Taken::GiveUp(format!(
                "job {other} is about group {group_id}"
            )));
        }
        let status = match self.leader_status(group_id).await? {
            Ok((_, status)) => status,
            Err(reason) => return Ok(Taken::Wait(reason)),
        };
        let held = [
            (status.ranges.len(), "owns"),
            (status.importing.len(), "imports"),
            (status.frozen.len(), "holds copies of"),
        ];
        if let Some((count, what)) = held.iter().find(|(count, _)| *count > 0) {
            return Ok(Taken::GiveUp(format!(
                "group {group_id} {what} {count} range(s)"
            )));
        }
        Ok(
            match self.change(vec![ControllerOp::DeleteGroup(group_id)]).await {
                Ok(_) | Err(Stop::Refused(Rejection::NotFound(_))) => destroy(group),
                Err(Stop::Refused(rejection)) => Taken::GiveUp(format!("meta: {rejection}")),
                Err(stop) => return Err(stop),
            },
        )
    }

    async fn destroy_replicas(&self, group: &GroupDescriptor) -> Result<Taken, Stop> {
        let group_id = group.group_id;
        let mut missing = Vec::new();
        for replica in &group.replicas {
            let node_id = replica.node_id;
            if self.is_removed(node_id) {
                continue;
            }
            missing.extend(self.destroy(node_id, group_id).await?.err());
        }
        Ok(if missing.is_empty() {
            Taken::Done(format!("group {group_id} is gone"))
        } else {
            Taken::Wait(missing.join("; "))
        })
    }

    /// Whether the node is gone for good, with all it held.
    pub(super) fn is_removed(&self, node_id: NodeId) -> bool {
        let catalog = self.meta.catalog();
        let node = catalog.nodes.get(&node_id);
        node.is_none_or(|node| node.state == NodeState::Removed)
    }
}

fn destroy(group: &GroupDescriptor) -> Taken {
    Taken::Next(Step::RemoveGroup(RemoveGroup {
        phase: RemovePhase::Destroy,
        group: group.clone(),
    }))
}
