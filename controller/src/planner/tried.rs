//! Actions for load that still count: those not judged yet, and those that did not help.

use std::time::Duration;

use coterie_protocol::catalog::{Effect, JobDescriptor, JobState};
use coterie_types::{JobId, RangeId};

use crate::job::{MoveRange, SplitRange, Step};
use crate::view::View;

/// How long an action that did not help is not repeated.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// An action for load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// A range is split.
    Split,
    /// A range is moved to another group.
    Move,
}

/// An action that is over and still counts.
pub(super) struct Tried {
    pub(super) job_id: JobId,
    pub(super) deed: Deed,
    /// The range, or its two parts.
    pub(super) ranges: Vec<RangeId>,
    pub(super) effect: Effect,
}

impl Tried {
    /// The action of a job, if it is not judged yet or did not help.
    pub(super) fn by(view: &View, job: &JobDescriptor, step: &Step) -> Option<Self> {
        let effect = job.effect.filter(|_| job.state == JobState::Done)?;
        if effect.after.is_some() && !is_remembered(view, job) {
            return None;
        }
        let (deed, ranges) = match step {
            Step::SplitRange(SplitRange {
                range, right_id, ..
            }) => (Deed::Split, vec![range.range_id, *right_id]),
            Step::MoveRange(MoveRange { range, .. }) => (Deed::Move, vec![range.range_id]),
            _ => return None,
        };
        Some(Self {
            job_id: job.job_id,
            deed,
            ranges,
            effect,
        })
    }

    pub(super) fn is_judged(&self) -> bool {
        self.effect.after.is_some()
    }

    /// Whether this action is a reason against another. A split alone gains nothing, so it is no
    /// reason against moves of its parts.
    pub(super) fn is_against(&self, deed: Deed) -> bool {
        deed == Deed::Split || self.deed == Deed::Move
    }
}

/// Whether the job did not help and still counts.
pub(super) fn is_remembered(view: &View, job: &JobDescriptor) -> bool {
    let is_useless = |effect: &Effect| effect.after.is_some() && !effect.helped;
    job.effect.as_ref().is_some_and(is_useless) && view.is_recent(job, REMEMBERED_FOR)
}
