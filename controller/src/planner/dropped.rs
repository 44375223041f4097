//! Ranges of tables that were dropped: their groups remove the records.
//!
//! Only what meta says was dropped, never what a group has and meta does not know of: a meta that
//! was restored from an old backup must not cost anybody's data.

use std::collections::BTreeMap;

use coterie_types::{GroupId, RangeId};

use super::{Action, Plan};
use crate::job::Step;
use crate::view::View;

/// The kind of job.
const KIND: &str = "drop-table";

/// Ranges that a group removes in one job.
const AT_ONCE: usize = 1000;

pub(super) fn plan(view: &View, plan: &mut Plan) {
    let mut by_group: BTreeMap<GroupId, Vec<RangeId>> = BTreeMap::new();
    for range in view.catalog.dropped.values() {
        // Whoever owns it by the time that job is over; it sees to what it leaves behind.
        if is_changing(view, range.range_id) {
            continue;
        }
        let ranges = by_group.entry(range.group_id).or_default();
        if ranges.len() < AT_ONCE {
            ranges.push(range.range_id);
        }
    }
    for (_, step) in view.running_jobs() {
        if let Step::DropRanges { group_id, .. } = step {
            by_group.remove(&group_id);
        }
    }
    for (group_id, ranges) in by_group {
        let reasons = vec![format!(
            "{} range(s) of group {group_id} are of tables that were dropped",
            ranges.len()
        )];
        plan.actions.push(Action::Begin {
            kind: KIND,
            step: Step::DropRanges { group_id, ranges },
            reasons,
        });
    }
}

/// Whether a job moves, cuts or joins the range.
fn is_changing(view: &View, range_id: RangeId) -> bool {
    view.running_jobs()
        .any(|(_, step)| !matches!(step, Step::DropRanges { .. }) && step.is_about_range(range_id))
}
