//! Tables that have no ranges yet, because they were just made: each is given to a group that is
//! there, as one range.
//!
//! A group costs every node heartbeats, files and memory, and a table by itself needs none of its
//! own. The group with the fewest ranges gets it; how much it is used shows later.

use std::collections::BTreeMap;

use coterie_types::{GroupId, KeyRange, TableId};

use super::{Action, Plan, Settings};
use crate::job::Step;
use crate::view::View;

/// The kind of job.
const KIND: &str = "add-table";

/// Tables that are given to groups at once.
const AT_ONCE: usize = 16;

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let catalog = &view.catalog;
    if catalog.groups.is_empty() {
        // Its tables are part of the bootstrap.
        return;
    }
    let bare: Vec<TableId> = catalog
        .tables
        .keys()
        .copied()
        .filter(|table| catalog.ranges_of(*table).next().is_none())
        .filter(|table| {
            !view
                .running_jobs()
                .any(|(_, step)| step.makes_ranges_of(*table))
        })
        .take(AT_ONCE)
        .collect();
    if bare.is_empty() {
        return;
    }
    let mut counts = range_counts(view);
    for table in bare {
        let led = counts
            .iter_mut()
            .filter(|(group_id, _)| view.leader(**group_id, settings.liveness_timeout).is_some());
        let Some((group_id, count)) = led.min_by_key(|(group_id, count)| (**count, **group_id))
        else {
            plan.refusals.push(format!(
                "table {table}: it has no ranges, and no group that could take them has a leader"
            ));
            continue;
        };
        let reasons = vec![format!(
            "table {table} has no ranges yet; group {group_id} has the fewest, {count}"
        )];
        *count += 1;
        plan.actions.push(Action::AddRanges {
            kind: KIND,
            group_id: *group_id,
            bounds: vec![KeyRange::all(table)],
            reasons,
        });
    }
}

/// How many ranges each group owns, those that jobs are adding included.
fn range_counts(view: &View) -> BTreeMap<GroupId, usize> {
    let catalog = &view.catalog;
    let mut counts: BTreeMap<GroupId, usize> = catalog.groups.keys().map(|id| (*id, 0)).collect();
    let mut count = |group_id: GroupId, more: usize| {
        if let Some(count) = counts.get_mut(&group_id) {
            *count += more;
        }
    };
    for range in catalog.ranges.values() {
        count(range.group_id, 1);
    }
    for (_, step) in view.running_jobs() {
        if let Step::AddRanges {
            group_id, ranges, ..
        } = step
        {
            count(group_id, ranges.len());
        }
    }
    counts
}
