//! What jobs mind of one another.
//!
//! A step is in meta before it is taken, and whoever takes it sees all that was in meta before: of
//! two jobs about the same range, at least one sees the other. The one with the higher number waits
//! before its first phase, or the one that is not under way yet. What slips through is refused by
//! the group, whose log has the epoch.

use coterie_protocol::catalog::{Catalog, JobDescriptor, JobState};
use coterie_types::{GroupId, JobId, RangeId};

use super::{Executor, Taken};
use crate::job::{RemoveGroup, Step};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    /// Why a job about these ranges, which is not under way, has to wait for another.
    pub(super) fn after_another(&self, job: &JobDescriptor, ranges: &[RangeId]) -> Option<Taken> {
        let catalog = self.meta.catalog();
        let mut others = others(&catalog, job.job_id);
        let found = others.find(|(other, step)| {
            (*other < job.job_id || step.is_under_way())
                && ranges.iter().any(|range| step.is_about_range(*range))
        });
        found.map(wait_for)
    }

    /// Why what is not begun yet has to wait, whoever was first.
    pub(super) fn while_busy(
        &self,
        job: &JobDescriptor,
        ranges: &[RangeId],
        groups: &[GroupId],
    ) -> Option<Taken> {
        let catalog = self.meta.catalog();
        let mut others = others(&catalog, job.job_id);
        let found = others.find(|(other, step)| {
            // Of two that nobody has begun, the first goes first.
            if matches!(step, Step::Wish(_)) && *other > job.job_id {
                return false;
            }
            ranges.iter().any(|range| step.is_about_range(*range))
                || groups.iter().any(|group| step.is_about(*group))
        });
        found.map(wait_for)
    }

    /// Why a move into or out of these groups has to wait: one of them is being removed.
    pub(super) fn while_removed(&self, job: &JobDescriptor, groups: &[GroupId]) -> Option<Taken> {
        let catalog = self.meta.catalog();
        let mut others = others(&catalog, job.job_id);
        let found = others.find(|(_, step)| {
            matches!(step, Step::RemoveGroup(RemoveGroup { group, .. }) if groups.contains(&group.group_id))
        });
        found.map(wait_for)
    }

    /// Another job about this group, if one runs.
    pub(super) fn other_about(&self, job: &JobDescriptor, group_id: GroupId) -> Option<JobId> {
        let catalog = self.meta.catalog();
        let mut others = others(&catalog, job.job_id);
        let found = others.find(|(_, step)| step.is_about(group_id));
        found.map(|(job_id, _)| job_id)
    }
}

/// The other jobs that run, with their steps.
fn others(catalog: &Catalog, job_id: JobId) -> impl Iterator<Item = (JobId, Step)> {
    catalog
        .jobs
        .values()
        .filter(move |job| job.job_id != job_id && job.state == JobState::Running)
        .filter_map(|job| Some((job.job_id, Step::of(job).ok()?)))
}

fn wait_for((job_id, step): (JobId, Step)) -> Taken {
    Taken::Wait(format!("after job {job_id}: {step}"))
}

/// What an operator wished for is looked at again when what was known of it is no longer true;
/// what the planner wanted, by its next plan.
pub(super) fn reconsider(job: &JobDescriptor, reason: String) -> Taken {
    match &job.wish {
        Some(wish) => Taken::Turn(Step::Wish(wish.clone()), reason),
        None => Taken::GiveUp(reason),
    }
}
