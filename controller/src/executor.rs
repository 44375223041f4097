//! Carries out the planner's actions, and drives jobs step by step.
//!
//! A job's step is written to meta before it is taken, and may be taken any number of times: the
//! controller that holds the lease next goes on from it. Each kind of step has a file, with a
//! struct whose `take` makes an attempt. The struct keeps the memory of its attempts; it may be
//! lost at any time, so no decision depends on it but when to give up.

use std::sync::Arc;
use std::time::Duration;

use coterie_protocol::catalog::{JobDescriptor, JobState, Wish};
use coterie_protocol::meta::ControllerOp;
use coterie_types::{Revision, UnixMillis};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::job::{
    self, AddRanges, DropRanges, MakeGroups, Recover, RemoveGroup, Step, TransferLeader,
};
use crate::planner::{Action, Settings};
use crate::ports::{Meta, Servers};
use cx::{Cx, Taken};
use merge::Merging;
use move_range::Moving;
use replace::Replacing;
use split::Splitting;

mod actions;
mod change_own;
mod cx;
mod digest;
mod dropped;
mod jobs;
mod leader;
mod lost;
mod make_groups;
mod map;
mod merge;
mod move_range;
mod patience;
mod ranges;
mod rate;
mod recover;
mod remove_group;
mod replace;
mod split;
#[cfg(test)]
mod tests;
mod transfer_leader;
mod tries;
mod wish;

pub(crate) use cx::Stop;

/// Between two attempts at a step that has to wait: the first pause, doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Between two writes of a copy's progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// See the module's head.
pub(crate) struct Executor<M, S> {
    cx: Arc<Cx<M, S>>,
}

impl<M, S> Clone for Executor<M, S> {
    fn clone(&self) -> Self {
        Self {
            cx: Arc::clone(&self.cx),
        }
    }
}

impl<M: Meta, S: Servers> Executor<M, S> {
    /// An executor for as long as the lease with this number is held.
    pub(crate) fn new(meta: Arc<M>, servers: Arc<S>, settings: Settings, fence: u64) -> Self {
        Self {
            cx: Arc::new(Cx::new(meta, servers, settings, fence)),
        }
    }

    /// Carries out an action, or begins its job, at the time of the view. Returns the revision
    /// after it.
    pub(crate) async fn apply(&self, action: Action, now: UnixMillis) -> Result<Revision, Stop> {
        actions::apply(&self.cx, action, now).await
    }

    /// Writes the planner's refusals to meta.
    pub(crate) async fn write_refusals(&self, lines: Vec<String>) -> Result<Revision, Stop> {
        let ops = vec![ControllerOp::PutRefusals(lines)];
        cx::revision(self.cx.change(ops).await?)
    }

    /// Drives a job to its end. Returns the revision of the end.
    pub(crate) async fn drive(&self, mut job: JobDescriptor) -> Result<Revision, Stop> {
        if job.state != JobState::Running {
            return Ok(Revision(0));
        }
        let mut doing = match Step::of(&job) {
            Ok(step) => Doing::of(step),
            Err(error) => return self.end(job, JobState::Failed, error.to_string()).await,
        };
        let mut pause = PAUSE_MIN;
        let mut written_at = None;
        loop {
            let step = match doing.take(&self.cx, &job).await? {
                Taken::Next(step) => step,
                Taken::Turn(step, reason) => {
                    let (job_id, kind) = (job.job_id, &job.kind);
                    info!(%job_id, kind, reason, %step, "a job goes on");
                    job::add_line(&mut job, reason);
                    step
                }
                Taken::Copied(step, progress) => {
                    job::add_line(
                        &mut job,
                        format!("the copy is complete, {} bytes", progress.bytes),
                    );
                    job.progress = Some(progress);
                    step
                }
                Taken::Done(line) => return self.end(job, JobState::Done, line).await,
                Taken::GiveUp(line) => return self.end(job, JobState::Failed, line).await,
                Taken::Wait(line) => {
                    if job::add_line(&mut job, line) {
                        self.cx.write(&job).await?;
                    }
                    wait(&mut pause).await;
                    continue;
                }
                Taken::Copying(progress, problem) => {
                    job.progress = Some(progress);
                    let is_news = problem.is_some_and(|line| job::add_line(&mut job, line));
                    if is_due(&mut written_at) || is_news {
                        self.cx.write(&job).await?;
                    }
                    wait(&mut pause).await;
                    continue;
                }
            };
            pause = PAUSE_MIN;
            job.step = step.encode();
            job::add_line(&mut job, format!("next: {step}"));
            self.write(&job).await?;
            doing = doing.next(step);
        }
    }

    /// Ends a job.
    async fn end(
        &self,
        mut job: JobDescriptor,
        state: JobState,
        line: String,
    ) -> Result<Revision, Stop> {
        let (job_id, kind) = (job.job_id, &job.kind);
        if state == JobState::Done {
            info!(%job_id, kind, line, "a job is done");
        } else {
            warn!(%job_id, kind, line, "a job is given up");
        }
        job.state = state;
        job::add_line(&mut job, line);
        self.write(&job).await
    }

    /// Writes the job's row, and waits for the copy of the catalog: the next step reads the map
    /// that this step wrote.
    async fn write(&self, job: &JobDescriptor) -> Result<Revision, Stop> {
        let revision = self.cx.write(job).await?;
        self.cx.reached(revision).await?;
        Ok(revision)
    }
}

/// The step of a job, with the memory of its attempts.
enum Doing {
    MakeGroups(MakeGroups),
    TransferLeader(TransferLeader),
    Replace(Replacing),
    AddRanges(AddRanges),
    DropRanges(DropRanges),
    Wish(Wish),
    Split(Splitting),
    Merge(Merging),
    Move(Moving),
    RemoveGroup(RemoveGroup),
    Recover(Recover),
}

impl Doing {
    fn of(step: Step) -> Self {
        match step {
            Step::MakeGroups(step) => Self::MakeGroups(step),
            Step::TransferLeader(step) => Self::TransferLeader(step),
            Step::ReplaceReplica(step) => Self::Replace(step.into()),
            Step::AddReplica(step) => Self::Replace(step.into()),
            Step::AddRanges(step) => Self::AddRanges(step),
            Step::DropRanges(step) => Self::DropRanges(step),
            Step::Wish(wish) => Self::Wish(wish),
            Step::SplitRange(step) => Self::Split(Splitting::new(step)),
            Step::MergeRanges(step) => Self::Merge(Merging::new(step)),
            Step::MoveRange(step) => Self::Move(Moving::new(step)),
            Step::RemoveGroup(step) => Self::RemoveGroup(step),
            Step::Recover(step) => Self::Recover(step),
        }
    }

    /// The next step. Only a move remembers its earlier phases.
    fn next(self, step: Step) -> Self {
        match (self, step) {
            (Self::Move(moving), Step::MoveRange(step)) => Self::Move(moving.next_phase(step)),
            (_, step) => Self::of(step),
        }
    }

    /// Makes an attempt at the step.
    async fn take(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        match self {
            Self::MakeGroups(step) => step.take(cx, job).await,
            Self::TransferLeader(step) => step.take(cx).await,
            Self::Replace(step) => step.take(cx, job).await,
            Self::AddRanges(step) => step.take(cx).await,
            Self::DropRanges(step) => step.take(cx).await,
            Self::Wish(wish) => wish::take(wish, cx, job).await,
            Self::Split(step) => step.take(cx, job).await,
            Self::Merge(step) => step.take(cx, job).await,
            Self::Move(step) => step.take(cx, job).await,
            Self::RemoveGroup(step) => step.take(cx, job).await,
            Self::Recover(step) => step.take(cx).await,
        }
    }
}

async fn wait(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSE_MAX);
}

/// Whether progress has to be written now. The caller then writes it.
fn is_due(written_at: &mut Option<Instant>) -> bool {
    let is_due = written_at.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY);
    if is_due {
        *written_at = Some(Instant::now());
    }
    is_due
}
