//! A hand-over of leadership: asked once. When it does not work out, the job ends, and the planner
//! looks at the cluster as it is then.

use std::time::Duration;

use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupId, NodeId};

use super::make_groups::said;
use super::{Executor, Stop, Taken};
use crate::ports::{Meta, Servers};

/// The server gives up before; this is for one that hangs.
const TIMEOUT: Duration = Duration::from_secs(15);

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn transfer_leader(
        &self,
        group_id: GroupId,
        from: NodeId,
        to: NodeId,
    ) -> Result<Taken, Stop> {
        let request = ServerRequest::TransferLeader {
            group_id,
            to,
            fence: self.fence,
        };
        Ok(match self.ask(from, request, TIMEOUT).await? {
            Ok(ServerAnswer::Ok) => Taken::Done(format!("node {to} leads group {group_id}")),
            Ok(ServerAnswer::NotLeader { leader }) if leader == Some(to) => {
                Taken::Done(format!("node {to} leads group {group_id} already"))
            }
            Ok(ServerAnswer::NotLeader { leader }) => Taken::GiveUp(match leader {
                Some(leader) => format!("node {leader} leads group {group_id} now"),
                None => format!("nobody leads group {group_id} now"),
            }),
            answer => Taken::GiveUp(format!("node {from}: {}", said(answer))),
        })
    }
}
