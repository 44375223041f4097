//! Replacing a replica. A node creates an empty replica, which the group adds as a learner. Once
//! its records equal the leader's it becomes a voter in the place of the old replica. Then meta's
//! map follows, and the old replica is deleted. A group that has too few replicas gets another
//! replica in the same way, without an old replica to delete.
//!
//! The group's log decides its members. Until the group was asked to change them, the job may turn
//! back: a phase of its own, which leaves the group as it was. It also turns back if the new node
//! cannot host the replica (`patience`); the planner then avoids that node for a while. After the
//! change the map follows the group.

use std::time::Duration;

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, GroupId, NodeId, Replica};

use super::cx::{ASK_TIMEOUT, Cx, Stop, Taken, reason};
use super::digest::{Compared, Comparison};
use super::leader::has_voter;
use super::patience::Patience;
use crate::job::{self, AddReplica, ReplacePhase, ReplaceReplica, Step};
use crate::ports::{Meta, Servers};

/// The server answers earlier, with its progress: a snapshot may take many times as long.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the old replica's node is asked. If it does not answer, it is told when it comes back.
const DESTROY_ATTEMPTS: u32 = 3;

/// A replacement, or an addition of a replica, with the memory of its attempts.
pub(super) struct Replacing {
    phase: ReplacePhase,
    group_id: GroupId,
    /// The old replica's node, if there is an old replica.
    from: Option<NodeId>,
    to: NodeId,
    replicas: Vec<Replica>,
    comparison: Comparison,
    patience: Patience,
    /// Requests to the old replica's node that failed.
    destroy_attempts: u32,
}

impl From<ReplaceReplica> for Replacing {
    fn from(step: ReplaceReplica) -> Self {
        let added = AddReplica {
            phase: step.phase,
            group_id: step.group_id,
            to: step.to,
            replicas: step.replicas,
        };
        Self {
            from: Some(step.from),
            ..Self::from(added)
        }
    }
}

impl From<AddReplica> for Replacing {
    fn from(step: AddReplica) -> Self {
        Self {
            phase: step.phase,
            group_id: step.group_id,
            from: None,
            to: step.to,
            replicas: step.replicas,
            comparison: Comparison::default(),
            patience: Patience::default(),
            destroy_attempts: 0,
        }
    }
}

impl Replacing {
    pub(super) async fn take(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let (phase, group_id, to) = (self.phase, self.group_id, self.to);
        let is_early = phase < ReplacePhase::Publish;
        if is_early && cx.is_gone(to) {
            let reason = format!("node {to} went away before it was a member of group {group_id}");
            return self.turn_back(cx, &reason).await;
        }
        let members = cx.members(group_id);
        let mut staying = self.replicas.iter().map(|replica| replica.node_id);
        if is_early && let Some(gone) = staying.find(|id| *id != to && !members.contains(id)) {
            let reason = format!(
                "node {gone}, which was to stay, is no member of group {group_id} any more"
            );
            return self.turn_back(cx, &reason).await;
        }
        let taken = match phase {
            ReplacePhase::Create => self.create(cx).await,
            ReplacePhase::Learn => self.add_learner(cx).await,
            ReplacePhase::Verify => self.verify(cx).await,
            ReplacePhase::Change => self.change_members(cx).await,
            ReplacePhase::Publish => self.publish(cx).await,
            ReplacePhase::Destroy => self.destroy_old(cx).await,
            ReplacePhase::Undo | ReplacePhase::Refuse => self.undo(cx, job).await,
        };
        match taken? {
            Taken::Wait(line) if is_early => {
                let given_up = self.patience.given_up(cx, phase, group_id, to).await?;
                Ok(match given_up {
                    Some((phase, reason)) => self.back(phase, &reason),
                    None => Taken::Wait(line),
                })
            }
            taken => Ok(taken),
        }
    }

    /// Turns back, unless the group has made the change: then the map has to follow.
    async fn turn_back(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        reason: &str,
    ) -> Result<Taken, Stop> {
        if self.phase < ReplacePhase::Change {
            return Ok(self.back(ReplacePhase::Undo, reason));
        }
        Ok(match cx.leader_status(self.group_id).await? {
            Ok((_, status)) if has_voter(&status, self.to) => self.next(ReplacePhase::Publish),
            Ok(_) => self.back(ReplacePhase::Undo, reason),
            Err(unheard) => Taken::Wait(format!("{reason}; {unheard}")),
        })
    }

    async fn create(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let (group_id, to) = (self.group_id, self.to);
        let fence = cx.fence;
        let request = ServerRequest::CreateReplica { group_id, fence };
        let answer = cx.ask(to, request, ASK_TIMEOUT).await?;
        if answer == Ok(ServerAnswer::Ok) {
            return Ok(self.next(ReplacePhase::Learn));
        }
        Ok(Taken::Wait(format!(
            "node {to} has no replica of group {group_id} yet: {}",
            reason(answer)
        )))
    }

    async fn add_learner(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let group_id = self.group_id;
        let request = ServerRequest::AddLearner {
            group_id,
            node_id: self.to,
            fence: cx.fence,
        };
        let members = cx.members(group_id);
        let asked = cx.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
        Ok(match asked.await? {
            Ok(()) => self.next(ReplacePhase::Verify),
            Err(reason) => Taken::Wait(reason),
        })
    }

    async fn verify(&mut self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let compared = self.comparison.compare(cx, self.group_id, self.to).await?;
        Ok(match compared {
            Compared::Equal(line) => Taken::Turn(self.step(ReplacePhase::Change), line),
            Compared::Different(reason) => self.back(ReplacePhase::Refuse, &reason),
            Compared::NotYet(reason) => Taken::Wait(reason),
        })
    }

    async fn change_members(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let group_id = self.group_id;
        let request = ServerRequest::ChangeReplicas {
            group_id,
            replicas: self.replicas.clone(),
            fence: cx.fence,
        };
        let members = self.replicas.iter().map(|replica| replica.node_id);
        let asked = cx.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
        Ok(match asked.await? {
            Ok(()) => self.next(ReplacePhase::Publish),
            Err(reason) => Taken::Wait(match self.from {
                Some(from) => {
                    format!("group {group_id} has not removed node {from} yet: {reason}")
                }
                None => format!("group {group_id} has not added the replica yet: {reason}"),
            }),
        })
    }

    async fn publish(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let row = GroupDescriptor {
            group_id: self.group_id,
            replicas: self.replicas.clone(),
        };
        match cx.change(vec![ControllerOp::PutGroup(row)]).await {
            Ok(_) => Ok(self.next(ReplacePhase::Destroy)),
            Err(Stop::Refused(rejection)) => Ok(Taken::GiveUp(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }

    /// Asks a few times. A node that is away is told when it comes back (`planner/strays.rs`).
    async fn destroy_old(&mut self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let (group_id, to) = (self.group_id, self.to);
        let Some(from) = self.from else {
            let line = format!("node {to} holds one more replica of group {group_id}");
            return Ok(Taken::Done(line));
        };
        let line =
            format!("node {to} holds the replica of group {group_id} that was on node {from}");
        if cx.is_gone(from) || cx.is_removed(from) {
            return Ok(Taken::Done(line));
        }
        Ok(match cx.destroy(from, group_id, ASK_TIMEOUT).await? {
            Ok(()) => Taken::Done(line),
            Err(reason) => {
                self.destroy_attempts += 1;
                if self.destroy_attempts < DESTROY_ATTEMPTS {
                    Taken::Wait(reason)
                } else {
                    Taken::Done(format!("{line}, which has not removed it yet: {reason}"))
                }
            }
        })
    }

    /// The group removes the new replica, if it has it, and the node deletes it.
    async fn undo(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let (group_id, to) = (self.group_id, self.to);
        let members = match cx.leader_status(group_id).await? {
            Ok((_, status)) => status.replicas,
            Err(reason) => return Ok(Taken::Wait(reason)),
        };
        if members.iter().any(|replica| replica.node_id == to) {
            let others = members.iter().filter(|replica| replica.node_id != to);
            let others: Vec<Replica> = others.copied().collect();
            let request = ServerRequest::ChangeReplicas {
                group_id,
                replicas: others.clone(),
                fence: cx.fence,
            };
            let members = others.iter().map(|replica| replica.node_id);
            let asked = cx.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
            if let Err(reason) = asked.await? {
                return Ok(Taken::Wait(format!(
                    "group {group_id} has not removed node {to} yet: {reason}"
                )));
            }
        }
        if !cx.is_gone(to) {
            // Asked once. A node that does not answer is told later.
            let _ = cx.destroy(to, group_id, ASK_TIMEOUT).await?;
        }
        Ok(Taken::GiveUp(job::why_turned_back(job)))
    }

    fn next(&self, phase: ReplacePhase) -> Taken {
        Taken::Next(self.step(phase))
    }

    fn back(&self, phase: ReplacePhase, reason: &str) -> Taken {
        Taken::Turn(self.step(phase), job::turned_back(reason))
    }

    fn step(&self, phase: ReplacePhase) -> Step {
        let (group_id, to, replicas) = (self.group_id, self.to, self.replicas.clone());
        match self.from {
            Some(from) => Step::ReplaceReplica(ReplaceReplica {
                phase,
                group_id,
                from,
                to,
                replicas,
            }),
            None => Step::AddReplica(AddReplica {
                phase,
                group_id,
                to,
                replicas,
            }),
        }
    }
}
