//! Jobs that are over are kept for people to read, and not for ever.

use coterie_protocol::catalog::JobState;

use super::{Action, Plan};
use crate::view::View;

/// Finished jobs that are kept, the newest.
const KEPT: usize = 200;

/// Jobs forgotten in one plan.
const AT_ONCE: usize = 50;

pub(super) fn plan(view: &View, plan: &mut Plan) {
    let over: Vec<_> = view
        .catalog
        .jobs
        .values()
        .filter(|job| job.state != JobState::Running)
        .map(|job| job.job_id)
        .collect();
    let forget = over.len().saturating_sub(KEPT).min(AT_ONCE);
    plan.actions
        .extend(over[..forget].iter().copied().map(Action::ForgetJob));
}
