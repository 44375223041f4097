//! Recovering a group that lost its majority for good, from the records of a single replica.
//!
//! An operator has seen the possible loss, and asked for the recovery (`coterie recover`). First
//! meta removes the lost voters: no node listens to them any more, and they wipe themselves if they
//! come back. Then the surviving replica goes on as the only voter, and meta's map says so. The
//! planner then adds replicas, as for every group that has too few.

use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, Replica, Role};

use super::cx::{ASK_TIMEOUT, Cx, Stop, Taken, reason};
use crate::job::{Recover, RecoverPhase, Step};
use crate::ports::{Meta, Servers};

impl Recover {
    pub(super) async fn take(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        match self.phase {
            RecoverPhase::Lose => self.lose(cx).await,
            RecoverPhase::Alone => self.make_alone(cx).await,
            RecoverPhase::Publish => self.publish(cx).await,
        }
    }

    async fn lose(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let lost = self.lost.iter().copied();
        cx.change(lost.map(ControllerOp::LoseNode).collect())
            .await?;
        Ok(self.next(RecoverPhase::Alone))
    }

    async fn make_alone(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let node_id = self.node_id;
        let request = ServerRequest::RecoverAlone {
            group_id: self.group_id,
            lost: self.lost.clone(),
            fence: cx.fence,
        };
        let answer = cx.ask(node_id, request, ASK_TIMEOUT).await?;
        if answer == Ok(ServerAnswer::Ok) {
            return Ok(self.next(RecoverPhase::Publish));
        }
        Ok(Taken::Wait(format!("node {node_id}: {}", reason(answer))))
    }

    async fn publish(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let (group_id, node_id) = (self.group_id, self.node_id);
        let row = GroupDescriptor {
            group_id,
            replicas: vec![Replica {
                node_id,
                role: Role::Voter,
            }],
        };
        match cx.change(vec![ControllerOp::PutGroup(row)]).await {
            Ok(_) => Ok(Taken::Done(format!(
                "group {group_id} goes on from the records of node {node_id}; further replicas \
                 follow"
            ))),
            Err(Stop::Refused(rejection)) => Ok(Taken::GiveUp(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }

    fn next(&self, phase: RecoverPhase) -> Taken {
        Taken::Next(Step::Recover(Self {
            phase,
            ..self.clone()
        }))
    }
}
