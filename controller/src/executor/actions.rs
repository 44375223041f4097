//! The planner's actions: changes of meta that are done at once, and the begin of jobs.

use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::catalog::{Effect, JobDescriptor, JobState, Traffic};
use coterie_protocol::meta::{Command, ControllerOp};
use coterie_types::{
    Epoch, GroupId, JobId, KeyRange, NodeId, NodeState, RangeDescriptor, RangeId, Revision,
    UnixMillis,
};
use tracing::{info, warn};

use super::cx::{Cx, Ids, Stop, revision};
use crate::job::{
    self, AddPhase, AddRanges, MakeGroups, MakePhase, NewGroup, SplitPhase, SplitRange, Step,
};
use crate::planner::{Action, GroupPlan};
use crate::ports::{Meta, Servers};

/// How long to wait for a node to delete a stray replica. The deletion continues after that, and
/// the planner checks later.
const STRAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Carries an action out, or begins its job. Returns the revision after it.
pub(super) async fn apply(
    cx: &Cx<impl Meta, impl Servers>,
    action: Action,
    now: UnixMillis,
) -> Result<Revision, Stop> {
    match action {
        Action::SetNodeState {
            node_id,
            state,
            reason,
        } => set_node_state(cx, node_id, state, &reason).await,
        Action::MakeGroups {
            kind,
            groups,
            reasons,
        } => {
            let ranges = groups.iter().map(|group| group.ranges.len()).sum();
            let ids = cx.allocate(groups.len(), ranges, 1).await?;
            let step = make_groups(groups, ids);
            let job = job::begin(ids.job, kind, &step, reasons, now);
            begin(cx, job, &step, None).await
        }
        Action::Begin {
            kind,
            step,
            reasons,
            before,
        } => {
            let ids = cx.allocate(0, 0, 1).await?;
            let job = job::begin(ids.job, kind, &step, reasons, now);
            begin(cx, job, &step, before).await
        }
        Action::AddRanges {
            kind,
            group_id,
            bounds,
            reasons,
        } => {
            let ids = cx.allocate(0, bounds.len(), 1).await?;
            let step = add_ranges(group_id, ids, bounds);
            let job = job::begin(ids.job, kind, &step, reasons, now);
            begin(cx, job, &step, None).await
        }
        Action::Split {
            range,
            at,
            kind,
            reasons,
            before,
        } => {
            let ids = cx.allocate(0, 1, 1).await?;
            let step = split_range(range, at, ids);
            let job = job::begin(ids.job, kind, &step, reasons, now);
            begin(cx, job, &step, before).await
        }
        Action::Judge {
            job_id,
            effect,
            line,
        } => write_effect(cx, job_id, effect, line).await,
        Action::MendRange(range) => mend_range(cx, range).await,
        Action::DestroyStray {
            node_id,
            group_id,
            reason,
        } => destroy_stray(cx, node_id, group_id, &reason).await,
        Action::ForgetJob(job_id) => forget_job(cx, job_id).await,
    }
}

/// Writes the row of a new job. A job for load gets the traffic before it, and is judged by that.
async fn begin(
    cx: &Cx<impl Meta, impl Servers>,
    mut job: JobDescriptor,
    step: &Step,
    before: Option<Traffic>,
) -> Result<Revision, Stop> {
    job.effect = before.map(|before| Effect {
        before,
        after: None,
        helped: false,
    });
    info!(job_id = %job.job_id, kind = job.kind, %step, reasons = ?job.log, "a job begins");
    cx.write(&job).await
}

async fn set_node_state(
    cx: &Cx<impl Meta, impl Servers>,
    node_id: NodeId,
    state: NodeState,
    reason: &str,
) -> Result<Revision, Stop> {
    info!(%node_id, ?state, reason, "the state of a node changes");
    let command = Command::SetNodeState {
        node_id,
        state,
        fence: cx.fence,
    };
    revision(cx.propose(command).await?)
}

/// Writes a range to the map as its group reports it. Meta refuses a range that is older than the
/// map's, and a range that leaves a gap or an overlap: then the planner tries again later.
async fn mend_range(
    cx: &Cx<impl Meta, impl Servers>,
    range: RangeDescriptor,
) -> Result<Revision, Stop> {
    info!(range_id = %range.range_id, epoch = %range.epoch, "the map follows a group");
    match cx.change(vec![ControllerOp::PutRange(range)]).await {
        Ok(outcome) => revision(outcome),
        Err(Stop::Refused(rejection)) => {
            warn!(%rejection, "the map does not follow yet");
            Ok(Revision(0))
        }
        Err(stop) => Err(stop),
    }
}

async fn destroy_stray(
    cx: &Cx<impl Meta, impl Servers>,
    node_id: NodeId,
    group_id: GroupId,
    reason: &str,
) -> Result<Revision, Stop> {
    info!(%node_id, %group_id, reason, "a stray replica is deleted");
    if let Err(error) = cx.destroy(node_id, group_id, STRAY_TIMEOUT).await? {
        warn!(%group_id, error, "a stray replica is not deleted yet");
    }
    Ok(Revision(0))
}

/// Writes the effect of a finished job, unless the job has it already.
async fn write_effect(
    cx: &Cx<impl Meta, impl Servers>,
    job_id: JobId,
    effect: Effect,
    line: String,
) -> Result<Revision, Stop> {
    let job = cx.catalog().jobs.get(&job_id).cloned();
    let is_open = |job: &JobDescriptor| {
        job.state == JobState::Done && job.effect.is_some_and(|known| known.after.is_none())
    };
    let Some(mut job) = job.filter(is_open) else {
        return Ok(Revision(0));
    };
    info!(%job_id, kind = job.kind, line, "a job is judged");
    job.effect = Some(effect);
    job::add_line(&mut job, line);
    cx.write(&job).await
}

async fn forget_job(cx: &Cx<impl Meta, impl Servers>, job_id: JobId) -> Result<Revision, Stop> {
    let ops = vec![ControllerOp::DeleteJob(job_id)];
    revision(cx.change(ops).await?)
}

/// The step that creates planned groups, with allocated ids.
fn make_groups(groups: Vec<GroupPlan>, ids: Ids) -> Step {
    let mut range_ids = (ids.range.0..).map(RangeId);
    let group_ids = (ids.group.0..).map(GroupId);
    let groups = group_ids.zip(groups).map(|(group_id, group)| NewGroup {
        group_id,
        voters: group.voters,
        ranges: range_ids
            .by_ref()
            .zip(group.ranges)
            .map(|(range_id, range)| RangeDescriptor {
                range_id,
                group_id,
                ..range
            })
            .collect(),
    });
    Step::MakeGroups(MakeGroups {
        phase: MakePhase::Create,
        groups: groups.collect(),
        then_move: None,
    })
}

/// The step that gives ranges to a group, with allocated ids.
fn add_ranges(group_id: GroupId, ids: Ids, bounds: Vec<KeyRange>) -> Step {
    let numbered = (ids.range.0..).map(RangeId).zip(bounds);
    let ranges = numbered.map(|(range_id, bounds)| RangeDescriptor {
        range_id,
        epoch: Epoch(1),
        bounds,
        group_id,
    });
    Step::AddRanges(AddRanges {
        phase: AddPhase::Add,
        group_id,
        ranges: ranges.collect(),
    })
}

/// The step that splits a range, with an allocated id for its right part.
fn split_range(range: RangeDescriptor, at: Option<Bytes>, ids: Ids) -> Step {
    Step::SplitRange(SplitRange {
        phase: SplitPhase::Split,
        range,
        at,
        right_id: ids.range,
    })
}
