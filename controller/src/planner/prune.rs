//! Finished jobs are kept for people to read, and because the planner does not repeat recent jobs,
//! nor for longer those that did not help. They are not kept for ever.

use coterie_protocol::catalog::{JobDescriptor, JobState};

use super::facts::DAMPING;
use super::plan::{Action, Plan};
use super::tried::is_remembered;
use crate::view::View;

/// The newest finished jobs, which are kept at any age. Older jobs that still count are kept too,
/// up to the second number of all.
const KEPT: usize = 200;
const KEPT_RECENT: usize = 2000;

/// Jobs deleted in a plan.
const AT_ONCE: usize = 50;

pub(super) fn plan(view: &View, plan: &mut Plan) {
    let over: Vec<_> = view
        .catalog
        .jobs
        .values()
        .filter(|job| job.state != JobState::Running)
        .collect();
    let extra = over.len().saturating_sub(KEPT);
    let far_too_many = over.len().saturating_sub(KEPT_RECENT);
    let forget = over[..extra].iter().enumerate();
    let counts = |job: &JobDescriptor| view.is_recent(job, DAMPING) || is_remembered(view, job);
    let forget = forget.filter(|(turn, job)| *turn < far_too_many || !counts(job));
    plan.actions.extend(
        forget
            .take(AT_ONCE)
            .map(|(_, job)| Action::ForgetJob(job.job_id)),
    );
}
