//! Removing a group that owns nothing: meta deletes its row, then the members their replicas.
//!
//! Before that the group's leader is asked for ranges that are moving in, and for copies that other
//! groups still read. A later job that moves a range into the group sees this job, and waits.

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::{ControllerOp, Rejection};

use super::cx::{ASK_TIMEOUT, Cx, Stop, Taken};
use super::jobs;
use crate::job::{RemoveGroup, RemovePhase, Step};
use crate::ports::{Meta, Servers};

impl RemoveGroup {
    pub(super) async fn take(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        match self.phase {
            RemovePhase::Forget => self.forget(cx, job).await,
            RemovePhase::Destroy => self.destroy_replicas(cx).await,
        }
    }

    async fn forget(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let group_id = self.group.group_id;
        let catalog = cx.catalog();
        // The group's members may have changed since the planner decided.
        let Some(now) = catalog.groups.get(&group_id).cloned() else {
            return Ok(self.destroy());
        };
        if now != self.group {
            let phase = RemovePhase::Forget;
            let again = Self { phase, group: now };
            return Ok(Taken::Next(Step::RemoveGroup(again)));
        }
        if let Some(other) = jobs::other_about(&catalog, job, group_id) {
            return Ok(Taken::GiveUp(format!(
                "job {other} is about group {group_id}"
            )));
        }
        let status = match cx.leader_status(group_id).await? {
            Ok((_, status)) => status,
            Err(reason) => return Ok(Taken::Wait(reason)),
        };
        let held = [
            (status.ranges.len(), "owns"),
            (status.importing.len(), "imports"),
            (status.frozen.len(), "holds copies of"),
        ];
        if let Some((count, verb)) = held.iter().find(|(count, _)| *count > 0) {
            return Ok(Taken::GiveUp(format!(
                "group {group_id} {verb} {count} range(s)"
            )));
        }
        Ok(
            match cx.change(vec![ControllerOp::DeleteGroup(group_id)]).await {
                Ok(_) | Err(Stop::Refused(Rejection::NotFound(_))) => self.destroy(),
                Err(Stop::Refused(rejection)) => Taken::GiveUp(format!("meta: {rejection}")),
                Err(stop) => return Err(stop),
            },
        )
    }

    fn destroy(&self) -> Taken {
        Taken::Next(Step::RemoveGroup(Self {
            phase: RemovePhase::Destroy,
            group: self.group.clone(),
        }))
    }

    async fn destroy_replicas(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let group_id = self.group.group_id;
        let mut missing = Vec::new();
        for replica in &self.group.replicas {
            let node_id = replica.node_id;
            if cx.is_removed(node_id) {
                continue;
            }
            missing.extend(cx.destroy(node_id, group_id, ASK_TIMEOUT).await?.err());
        }
        Ok(if missing.is_empty() {
            Taken::Done(format!("group {group_id} is gone"))
        } else {
            Taken::Wait(missing.join("; "))
        })
    }
}
