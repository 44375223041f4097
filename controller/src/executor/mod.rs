//! Does what the planner decided, and drives jobs step by step.
//!
//! A job's step is in meta before it is taken, and is taken as often as needed: whoever holds the
//! lease next goes on from there. Everything carries the fencing number; the first to say that it
//! is an old one ends all of this controller's doings.
//!
//! One file per kind of step; this one has what they share.

use std::sync::Arc;
use std::time::Duration;

use coterie_meta_client::MetaError;
use coterie_protocol::catalog::{Effect, JobDescriptor, JobState, Progress, Traffic};
use coterie_protocol::meta::{Command, ControllerOp, Outcome, Rejection};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{
    Epoch, GroupId, JobId, KeyRange, NodeId, NodeState, RangeDescriptor, RangeId, Revision,
    UnixMillis,
};
use tracing::{info, warn};

use crate::job::{
    self, AddRanges, AddReplica, DropRanges, MakeGroups, MergeRanges, MoveRange, NewGroup, Recover,
    RemoveGroup, ReplaceReplica, SplitRange, Step, TransferLeader,
};
use crate::planner::{Action, GroupPlan, Settings};
use crate::ports::{Meta, Servers};
use move_range::Moving;
use recall::Recall;
use recover::Recovery;
use replace::Replacement;
use split::Splitting;

mod jobs;
mod leader;
mod make_groups;
mod merge;
mod move_range;
mod patience;
mod ranges;
mod recall;
mod recover;
mod remove_group;
mod replace;
mod split;
#[cfg(test)]
mod tests;
mod transfer_leader;
mod wish;

/// Between two attempts at a step that has to wait; doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a server may take over an ordinary request.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a node is waited for that removes what is not its own: it goes on after that, and the
/// planner sees whether it is done.
const STRAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Why nothing more is done for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// Another controller holds the lease.
    #[error("another controller is active")]
    Fenced,
    /// Meta does not answer, or its answer was lost: what it holds is to be looked at again.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Meta refused; the view that led here is no longer true.
    #[error("meta refused: {0}")]
    Refused(Rejection),
}

/// What came of one attempt at a step.
enum Taken {
    /// It is done, and this comes next.
    Next(Step),
    /// This comes next, and why.
    Turn(Step, String),
    /// The job is done.
    Done(String),
    /// The job is given up.
    GiveUp(String),
    /// Not yet.
    Wait(String),
    /// Not yet; how far it is, and what is in its way.
    Copying(Progress, Option<String>),
    /// All is copied, so much; this comes next.
    Copied(Step, Progress),
}

/// See the module's head.
pub(crate) struct Executor<M, S> {
    meta: Arc<M>,
    servers: Arc<S>,
    settings: Settings,
    fence: u64,
}

impl<M, S> Clone for Executor<M, S> {
    fn clone(&self) -> Self {
        Self {
            meta: Arc::clone(&self.meta),
            servers: Arc::clone(&self.servers),
            settings: self.settings.clone(),
            fence: self.fence,
        }
    }
}

impl<M: Meta, S: Servers> Executor<M, S> {
    /// An executor for as long as the lease with this number is held.
    pub(crate) fn new(meta: Arc<M>, servers: Arc<S>, settings: Settings, fence: u64) -> Self {
        Self {
            meta,
            servers,
            settings,
            fence,
        }
    }

    /// Does one action, or begins its job, at the time of the view; the revision after it.
    pub(crate) async fn apply(&self, action: Action, now: UnixMillis) -> Result<Revision, Stop> {
        match action {
            Action::SetNodeState {
                node_id,
                state,
                reason,
            } => self.set_node_state(node_id, state, &reason).await,
            Action::MakeGroups {
                kind,
                groups,
                reasons,
            } => {
                let ranges = groups.iter().map(|group| group.ranges.len()).sum();
                let ids = self.allocate(groups.len(), ranges).await?;
                let step = Step::MakeGroups(MakeGroups {
                    phase: job::MakePhase::Create,
                    groups: number(groups, ids),
                    then_move: None,
                });
                self.begin(kind, ids.job, step, reasons, None, now).await
            }
            Action::Begin {
                kind,
                step,
                reasons,
                before,
            } => {
                let ids = self.allocate(0, 0).await?;
                self.begin(kind, ids.job, step, reasons, before, now).await
            }
            Action::AddRanges {
                kind,
                group_id,
                bounds,
                reasons,
            } => {
                let ids = self.allocate(0, bounds.len()).await?;
                let step = add_ranges(group_id, ids, bounds);
                self.begin(kind, ids.job, step, reasons, None, now).await
            }
            Action::Split {
                range,
                at,
                kind,
                reasons,
                before,
            } => {
                let ids = self.allocate(0, 1).await?;
                let step = split_range(range, at, ids);
                self.begin(kind, ids.job, step, reasons, before, now).await
            }
            Action::Judge {
                job_id,
                effect,
                line,
            } => self.write_effect(job_id, effect, line).await,
            Action::MendRange(range) => self.mend_range(range).await,
            Action::DestroyStray {
                node_id,
                group_id,
                reason,
            } => self.destroy_stray(node_id, group_id, &reason).await,
            Action::ForgetJob(job_id) => {
                revision(self.change(vec![ControllerOp::DeleteJob(job_id)]).await?)
            }
        }
    }

    /// Drives a job until it is over; the revision at which it was.
    pub(crate) async fn drive(&self, mut job: JobDescriptor) -> Result<Revision, Stop> {
        let mut pause = PAUSE_MIN;
        let mut revision = Revision(0);
        let mut recall = Recall::default();
        while job.state == JobState::Running {
            let taken = match Step::of(&job) {
                Ok(step) => self.take(&step, &job, &mut recall).await?,
                Err(error) => Taken::GiveUp(error.to_string()),
            };
            let job_id = job.job_id;
            let line = match taken {
                Taken::Next(step) => {
                    job.step = step.encode();
                    format!("next: {step}")
                }
                Taken::Turn(step, reason) => {
                    info!(%job_id, kind = job.kind, reason, %step, "a job turns");
                    job::add_line(&mut job, reason);
                    job.step = step.encode();
                    format!("next: {step}")
                }
                Taken::Copied(step, progress) => {
                    job::add_line(&mut job, format!("all is copied, {} bytes", progress.bytes));
                    job.progress = Some(progress);
                    job.step = step.encode();
                    format!("next: {step}")
                }
                Taken::Done(line) => {
                    info!(%job_id, kind = job.kind, line, "a job is done");
                    job.state = JobState::Done;
                    line
                }
                Taken::GiveUp(line) => {
                    warn!(%job_id, kind = job.kind, line, "a job is given up");
                    job.state = JobState::Failed;
                    line
                }
                Taken::Wait(line) => {
                    if job::add_line(&mut job, line) {
                        self.write(&job).await?;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    continue;
                }
                Taken::Copying(progress, problem) => {
                    job.progress = Some(progress);
                    let is_news = problem.is_some_and(|line| job::add_line(&mut job, line));
                    if recall.is_due() || is_news {
                        self.write(&job).await?;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    continue;
                }
            };
            pause = PAUSE_MIN;
            recall.turn();
            job::add_line(&mut job, line);
            revision = self.write(&job).await?;
            // The next step looks at a map that has what this one wrote.
            self.meta.reached(revision).await?;
        }
        Ok(revision)
    }

    async fn take(
        &self,
        step: &Step,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        match step {
            Step::MakeGroups(MakeGroups {
                phase,
                groups,
                then_move,
            }) => {
                let then_move = then_move.as_ref();
                self.make_groups(*phase, groups, then_move, job).await
            }
            Step::TransferLeader(TransferLeader {
                group_id, from, to, ..
            }) => self.transfer_leader(*group_id, *from, *to).await,
            Step::ReplaceReplica(_) | Step::AddReplica(_) | Step::Recover(_) => {
                self.take_members(step, job, recall).await
            }
            Step::AddRanges(AddRanges {
                phase,
                group_id,
                ranges,
            }) => self.add_ranges(*phase, *group_id, ranges).await,
            Step::DropRanges(DropRanges { group_id, ranges }) => {
                self.drop_ranges(*group_id, ranges).await
            }
            Step::Wish(wish) => self.wish(wish, job).await,
            Step::SplitRange(SplitRange {
                phase,
                range,
                at,
                right_id,
            }) => {
                let splitting = Splitting {
                    range,
                    at: at.as_ref(),
                    right_id: *right_id,
                };
                self.split_range(*phase, splitting, job, recall).await
            }
            Step::MergeRanges(MergeRanges { phase, left, right }) => {
                self.merge_ranges(*phase, (left, right), job, recall).await
            }
            Step::MoveRange(MoveRange { phase, range, to }) => {
                let moving = Moving { range, to: *to };
                self.move_range(*phase, moving, job, recall).await
            }
            Step::RemoveGroup(RemoveGroup { phase, group }) => {
                self.remove_group(*phase, group, job).await
            }
        }
    }

    /// A step that changes where a group's replicas are.
    async fn take_members(
        &self,
        step: &Step,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        match step {
            Step::ReplaceReplica(ReplaceReplica {
                phase,
                group_id,
                from,
                to,
                replicas,
            }) => {
                let replacement = Replacement {
                    group_id: *group_id,
                    from: Some(*from),
                    to: *to,
                    replicas,
                };
                self.replace(*phase, replacement, job, recall).await
            }
            Step::AddReplica(AddReplica {
                phase,
                group_id,
                to,
                replicas,
            }) => {
                let replacement = Replacement {
                    group_id: *group_id,
                    from: None,
                    to: *to,
                    replicas,
                };
                self.replace(*phase, replacement, job, recall).await
            }
            Step::Recover(Recover {
                phase,
                group_id,
                node_id,
                lost,
            }) => {
                let recovery = Recovery {
                    group_id: *group_id,
                    node_id: *node_id,
                    lost,
                };
                self.recover(*phase, recovery).await
            }
            other => Ok(Taken::GiveUp(format!("not about replicas: {other}"))),
        }
    }

    async fn set_node_state(
        &self,
        node_id: NodeId,
        state: NodeState,
        reason: &str,
    ) -> Result<Revision, Stop> {
        info!(%node_id, ?state, reason, "the state of a node changes");
        let fence = self.fence;
        let command = Command::SetNodeState {
            node_id,
            state,
            fence,
        };
        revision(self.propose(command).await?)
    }

    /// Writes a range as its group says it is. Meta refuses what is older than it has, or leaves
    /// the table untiled: then it is not the time.
    async fn mend_range(&self, range: RangeDescriptor) -> Result<Revision, Stop> {
        info!(range_id = %range.range_id, epoch = %range.epoch, "the map follows a group");
        match self.change(vec![ControllerOp::PutRange(range)]).await {
            Ok(outcome) => revision(outcome),
            Err(Stop::Refused(rejection)) => {
                warn!(%rejection, "the map does not follow yet");
                Ok(Revision(0))
            }
            Err(stop) => Err(stop),
        }
    }

    async fn destroy_stray(
        &self,
        node_id: NodeId,
        group_id: GroupId,
        reason: &str,
    ) -> Result<Revision, Stop> {
        info!(%node_id, %group_id, reason, "a replica is nobody's any more");
        let fence = self.fence;
        let request = ServerRequest::DestroyReplica { group_id, fence };
        match self.ask(node_id, request, STRAY_TIMEOUT).await? {
            Ok(ServerAnswer::Ok | ServerAnswer::NoSuchGroup) => {}
            answer => {
                let error = make_groups::said(answer);
                warn!(%node_id, %group_id, error, "the replica is not removed yet");
            }
        }
        Ok(Revision(0))
    }

    async fn begin(
        &self,
        kind: &str,
        job_id: JobId,
        step: Step,
        reasons: Vec<String>,
        before: Option<Traffic>,
        now: UnixMillis,
    ) -> Result<Revision, Stop> {
        info!(%job_id, kind, %step, ?reasons, "a job begins");
        let mut job = job::begin(job_id, kind, &step, reasons, now);
        job.effect = before.map(|before| Effect {
            before,
            after: None,
            helped: false,
        });
        self.write(&job).await
    }

    /// Writes down the effect of a finished job, unless it is written already.
    async fn write_effect(
        &self,
        job_id: JobId,
        effect: Effect,
        line: String,
    ) -> Result<Revision, Stop> {
        let job = self.meta.catalog().jobs.get(&job_id).cloned();
        let is_open = |job: &JobDescriptor| {
            job.state == JobState::Done && job.effect.is_some_and(|known| known.after.is_none())
        };
        let Some(mut job) = job.filter(is_open) else {
            return Ok(Revision(0));
        };
        info!(%job_id, kind = job.kind, line, "a job is judged");
        job.effect = Some(effect);
        job::add_line(&mut job, line);
        self.write(&job).await
    }

    /// Keeps in meta what is wanted and cannot be done now.
    pub(crate) async fn write_refusals(&self, lines: Vec<String>) -> Result<Revision, Stop> {
        revision(self.change(vec![ControllerOp::PutRefusals(lines)]).await?)
    }

    async fn write(&self, job: &JobDescriptor) -> Result<Revision, Stop> {
        let ops = vec![ControllerOp::PutJob(job.clone())];
        revision(self.change(ops).await?)
    }

    async fn allocate(&self, groups: usize, ranges: usize) -> Result<Ids, Stop> {
        let ops = vec![ControllerOp::AllocateIds {
            groups: groups as u64,
            ranges: ranges as u64,
            jobs: 1,
        }];
        match self.change(ops).await? {
            Outcome::Ids { group, range, job } => Ok(Ids {
                group,
                range,
                job: JobId(job),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn change(&self, ops: Vec<ControllerOp>) -> Result<Outcome, Stop> {
        let fence = self.fence;
        self.propose(Command::Controller { fence, ops }).await
    }

    async fn propose(&self, command: Command) -> Result<Outcome, Stop> {
        match self.meta.propose(command).await? {
            Outcome::Rejected(Rejection::Fenced { .. }) => Err(Stop::Fenced),
            Outcome::Rejected(rejection) => Err(Stop::Refused(rejection)),
            outcome => Ok(outcome),
        }
    }

    /// Asks a server; that it has seen a newer controller is this one's end.
    async fn ask(
        &self,
        node_id: NodeId,
        request: ServerRequest,
        timeout: Duration,
    ) -> Result<Result<ServerAnswer, String>, Stop> {
        match self.servers.ask(node_id, request, timeout).await {
            Ok(ServerAnswer::Fenced { .. }) => Err(Stop::Fenced),
            answer => Ok(answer),
        }
    }
}

/// The first ids that were set aside.
#[derive(Clone, Copy)]
struct Ids {
    group: u64,
    range: u64,
    job: JobId,
}

/// Gives planned groups and their ranges the ids that were set aside for them.
fn number(groups: Vec<GroupPlan>, ids: Ids) -> Vec<NewGroup> {
    let mut range_ids = (ids.range..).map(coterie_types::RangeId);
    let group_ids = (ids.group..).map(coterie_types::GroupId);
    group_ids
        .zip(groups)
        .map(|(group_id, group)| NewGroup {
            group_id,
            voters: group.voters,
            ranges: range_ids
                .by_ref()
                .zip(group.ranges)
                .map(|(range_id, range)| coterie_types::RangeDescriptor {
                    range_id,
                    group_id,
                    ..range
                })
                .collect(),
        })
        .collect()
}

/// The step that gives a group ranges with the ids that were set aside for them.
fn add_ranges(group_id: GroupId, ids: Ids, bounds: Vec<KeyRange>) -> Step {
    let numbered = (ids.range..).zip(bounds);
    let ranges = numbered.map(|(id, bounds)| RangeDescriptor {
        range_id: RangeId(id),
        epoch: Epoch(1),
        bounds,
        group_id,
    });
    Step::AddRanges(AddRanges {
        phase: job::AddPhase::Add,
        group_id,
        ranges: ranges.collect(),
    })
}

/// The step that splits a range, with the id that was set aside for its right part.
fn split_range(range: RangeDescriptor, at: Option<bytes::Bytes>, ids: Ids) -> Step {
    Step::SplitRange(SplitRange {
        phase: job::SplitPhase::Split,
        range,
        at,
        right_id: RangeId(ids.range),
    })
}

fn revision(outcome: Outcome) -> Result<Revision, Stop> {
    match outcome {
        Outcome::Done { revision } => Ok(revision),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(outcome: &Outcome) -> Stop {
    Stop::Refused(Rejection::Invalid(format!(
        "not what was asked: {outcome:?}"
    )))
}
