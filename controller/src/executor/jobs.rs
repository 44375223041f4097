//! How jobs avoid each other.
//!
//! A step is in meta before it is taken, and the executor then sees everything that was in meta
//! before. So of two jobs about the same range, at least one sees the other. Before its first
//! phase, a job waits for a job with a lower number, and for a job that is under way. The group
//! refuses the rest: its log has the range's epoch.

use coterie_protocol::catalog::{Catalog, JobDescriptor, JobState};
use coterie_types::{GroupId, JobId, RangeId};

use super::cx::Taken;
use crate::job::{RemoveGroup, Step};

/// Why a job about these ranges, which is not under way yet, has to wait for another job.
pub(super) fn after_another(
    catalog: &Catalog,
    job: &JobDescriptor,
    ranges: &[RangeId],
) -> Option<Taken> {
    let mut others = others(catalog, job.job_id);
    let found = others.find(|(other, step)| {
        (*other < job.job_id || step.is_under_way())
            && ranges.iter().any(|range| step.is_about_range(*range))
    });
    found.map(wait_for)
}

/// Why a wish about these ranges and groups has to wait for another job.
pub(super) fn while_busy(
    catalog: &Catalog,
    job: &JobDescriptor,
    ranges: &[RangeId],
    groups: &[GroupId],
) -> Option<Taken> {
    let mut others = others(catalog, job.job_id);
    let found = others.find(|(other, step)| {
        // Of two wishes that have no step yet, the lower number goes first.
        if matches!(step, Step::Wish(_)) && *other > job.job_id {
            return false;
        }
        ranges.iter().any(|range| step.is_about_range(*range))
            || groups.iter().any(|group| step.is_about(*group))
    });
    found.map(wait_for)
}

/// Why a move into or out of these groups has to wait: another job removes a group of them.
pub(super) fn while_removed(
    catalog: &Catalog,
    job: &JobDescriptor,
    groups: &[GroupId],
) -> Option<Taken> {
    let mut others = others(catalog, job.job_id);
    let found = others.find(|(_, step)| {
        matches!(
            step,
            Step::RemoveGroup(RemoveGroup { group, .. }) if groups.contains(&group.group_id)
        )
    });
    found.map(wait_for)
}

/// Another running job about this group.
pub(super) fn other_about(
    catalog: &Catalog,
    job: &JobDescriptor,
    group_id: GroupId,
) -> Option<JobId> {
    let mut others = others(catalog, job.job_id);
    let found = others.find(|(_, step)| step.is_about(group_id));
    found.map(|(job_id, _)| job_id)
}

/// The other running jobs, with their steps.
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

/// The cluster has changed under a job. An operator's wish is turned into steps anew; a job of the
/// planner is given up, since the planner decides again.
pub(super) fn reconsider(job: &JobDescriptor, reason: String) -> Taken {
    match &job.wish {
        Some(wish) => Taken::Turn(Step::Wish(wish.clone()), reason),
        None => Taken::GiveUp(reason),
    }
}
