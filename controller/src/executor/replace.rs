//! Replacing a replica whose node is lost: an empty replica on another node, then the group's own
//! change of members, then the map.
//!
//! The group's log decides who its members are. Until it was asked, a new node that went away only
//! costs this attempt. Afterwards too: what was begun is undone or finished by the next change,
//! which says what the members are to be and not what is to be different.

use std::time::Duration;

use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, GroupId, NodeId, Replica};

use super::make_groups::said;
use super::{ASK_TIMEOUT, Executor, Stop, Taken};
use crate::job::{ReplacePhase, Step};
use crate::ports::{Meta, Servers};

/// The server answers before, with how far it is: a snapshot may take many times as long.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The parameters of [`Step::ReplaceReplica`].
#[derive(Clone, Copy)]
pub(super) struct Replacement<'a> {
    pub(super) group_id: GroupId,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) replicas: &'a [Replica],
}

impl Replacement<'_> {
    fn next(self, phase: ReplacePhase) -> Taken {
        Taken::Next(Step::ReplaceReplica {
            phase,
            group_id: self.group_id,
            from: self.from,
            to: self.to,
            replicas: self.replicas.to_vec(),
        })
    }
}

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn replace(
        &self,
        phase: ReplacePhase,
        replacement: Replacement<'_>,
    ) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        if phase < ReplacePhase::Publish && self.is_gone(to) {
            return Ok(Taken::GiveUp(format!(
                "node {to} went away before it was a member of group {group_id}"
            )));
        }
        match phase {
            ReplacePhase::Create => self.create_replacement(replacement).await,
            ReplacePhase::Learn | ReplacePhase::Verify | ReplacePhase::Destroy => {
                Ok(Taken::GiveUp("not built yet".to_owned()))
            }
            ReplacePhase::Change => self.change_members(replacement).await,
            ReplacePhase::Publish => self.publish_members(replacement).await,
        }
    }

    async fn create_replacement(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let fence = self.fence;
        let request = ServerRequest::CreateReplica { group_id, fence };
        let answer = self.ask(to, request, ASK_TIMEOUT).await?;
        if answer == Ok(ServerAnswer::Ok) {
            return Ok(replacement.next(ReplacePhase::Change));
        }
        Ok(Taken::Wait(format!(
            "node {to} has no replica of group {group_id} yet: {}",
            said(answer)
        )))
    }

    async fn change_members(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let Replacement {
            group_id,
            from,
            replicas,
            ..
        } = replacement;
        let request = ServerRequest::ChangeReplicas {
            group_id,
            replicas: replicas.to_vec(),
            fence: self.fence,
        };
        let members = replicas.iter().map(|replica| replica.node_id);
        let asked = self.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
        Ok(match asked.await? {
            Ok(()) => replacement.next(ReplacePhase::Publish),
            Err(reason) => Taken::Wait(format!(
                "group {group_id} does not do without node {from} yet: {reason}"
            )),
        })
    }

    async fn publish_members(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let Replacement {
            group_id,
            from,
            to,
            replicas,
        } = replacement;
        let row = GroupDescriptor {
            group_id,
            replicas: replicas.to_vec(),
        };
        match self.change(vec![ControllerOp::PutGroup(row)]).await {
            Ok(_) => Ok(Taken::Done(format!(
                "node {to} holds the replica of group {group_id} that was on node {from}"
            ))),
            Err(Stop::Refused(rejection)) => Ok(Taken::GiveUp(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }
}
