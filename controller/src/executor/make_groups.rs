//! Creating groups: empty replicas on every member, then the start of each group, then meta's map.
//!
//! Nothing is decided before a group is started: a member that goes down until then costs this
//! attempt only. From the start on the group exists by its own log, so the job only goes forward.
//! Meta's map gets all groups in one change: a table is never half in it.

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, NodeId, Replica, Role};

use super::cx::{ASK_TIMEOUT, Cx, Stop, Taken, reason};
use super::jobs::reconsider;
use super::map;
use crate::job::{MakeGroups, MakePhase, MovePhase, MoveRange, NewGroup, Step};
use crate::ports::{Meta, Servers};

impl MakeGroups {
    pub(super) async fn take(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        match self.phase {
            MakePhase::Create => {
                for group in &self.groups {
                    if let Some(not_yet) = create_replicas(cx, group, job).await? {
                        return Ok(not_yet);
                    }
                }
                Ok(self.next(MakePhase::Init))
            }
            MakePhase::Init => {
                for group in &self.groups {
                    if let Some(not_yet) = start(cx, group).await? {
                        return Ok(not_yet);
                    }
                }
                Ok(self.next(MakePhase::Publish))
            }
            MakePhase::Publish => self.publish(cx).await,
        }
    }

    fn next(&self, phase: MakePhase) -> Taken {
        Taken::Next(Step::MakeGroups(Self {
            phase,
            ..self.clone()
        }))
    }

    async fn publish(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let catalog = cx.catalog();
        let mut ops = Vec::new();
        for group in &self.groups {
            let mut replicas: Vec<Replica> = group.voters.iter().map(|id| voter(*id)).collect();
            replicas.sort();
            ops.push(ControllerOp::PutGroup(GroupDescriptor {
                group_id: group.group_id,
                replicas,
            }));
            // Ranges of a table that was dropped meanwhile are left out.
            let ranges = group.ranges.iter();
            let ranges = ranges.filter(|range| !map::is_dropped(&catalog, range));
            ops.extend(ranges.cloned().map(ControllerOp::PutRange));
        }
        match cx.change(ops).await {
            Ok(_) => {
                let line = format!("{} group(s) serve", self.groups.len());
                Ok(match (&self.then_move, self.groups.first()) {
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
}

/// Has each voter create an empty replica. `None` when all have.
async fn create_replicas(
    cx: &Cx<impl Meta, impl Servers>,
    group: &NewGroup,
    job: &JobDescriptor,
) -> Result<Option<Taken>, Stop> {
    let group_id = group.group_id;
    for node_id in group.voters.iter().copied() {
        if cx.is_gone(node_id) {
            let reason = format!("node {node_id} went away before group {group_id} was started");
            return Ok(Some(reconsider(job, reason)));
        }
        let fence = cx.fence;
        let request = ServerRequest::CreateReplica { group_id, fence };
        let answer = cx.ask(node_id, request, ASK_TIMEOUT).await?;
        if answer != Ok(ServerAnswer::Ok) {
            return Ok(Some(Taken::Wait(format!(
                "node {node_id} has no replica of group {group_id} yet: {}",
                reason(answer)
            ))));
        }
    }
    Ok(None)
}

/// Asks the voters in turn, or the leader that a voter names, to start the group. `None` when it is
/// started.
async fn start(cx: &Cx<impl Meta, impl Servers>, group: &NewGroup) -> Result<Option<Taken>, Stop> {
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
            fence: cx.fence,
        };
        match cx.ask(node_id, request, ASK_TIMEOUT).await? {
            Ok(ServerAnswer::Ok) => return Ok(None),
            Ok(ServerAnswer::NotLeader { leader }) => {
                hinted = leader.filter(|leader| *leader != node_id);
                last = format!("node {node_id} does not lead it");
            }
            answer => last = format!("node {node_id}: {}", reason(answer)),
        }
    }
    Ok(Some(Taken::Wait(format!(
        "group {group_id} is not started yet: {last}"
    ))))
}

fn voter(node_id: NodeId) -> Replica {
    Replica {
        node_id,
        role: Role::Voter,
    }
}
