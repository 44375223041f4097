//! A transfer of leadership. The leader is asked once: if the transfer fails, the job ends, and the
//! planner decides again by the state of the cluster at that time.

use std::time::Duration;

use coterie_protocol::server::{ServerAnswer, ServerRequest};

use super::cx::{Cx, Stop, Taken, reason};
use crate::job::TransferLeader;
use crate::ports::{Meta, Servers};

/// The server's own limit is shorter; this bound is for a server that hangs.
const TIMEOUT: Duration = Duration::from_secs(15);

impl TransferLeader {
    pub(super) async fn take(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let Self {
            group_id, from, to, ..
        } = *self;
        let request = ServerRequest::TransferLeader {
            group_id,
            to,
            fence: cx.fence,
        };
        Ok(match cx.ask(from, request, TIMEOUT).await? {
            Ok(ServerAnswer::Ok) => Taken::Done(format!("node {to} leads group {group_id}")),
            Ok(ServerAnswer::NotLeader { leader }) if leader == Some(to) => {
                Taken::Done(format!("node {to} leads group {group_id} already"))
            }
            Ok(ServerAnswer::NotLeader { leader }) => Taken::GiveUp(match leader {
                Some(leader) => format!("node {leader} leads group {group_id} now"),
                None => format!("nobody leads group {group_id} now"),
            }),
            answer => Taken::GiveUp(format!("node {from}: {}", reason(answer))),
        })
    }
}
