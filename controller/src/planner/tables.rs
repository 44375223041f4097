//! Tables that have no ranges yet, because they were just made: each gets a group of its own.
//!
//! What a group owns is in its log from its first entry on, and changes only by moves; so a table
//! that nobody owns begins with a group. The group is one more in the balance of leaders, and its
//! table may be merged into others like any range.

use coterie_types::{KeyRange, TableId};

use super::bootstrap::unnumbered;
use super::placement::Placement;
use super::{Action, GroupPlan, Plan, Settings};
use crate::view::View;

/// The kind of job.
const KIND: &str = "table-group";

/// Tables that are given groups at once.
const AT_ONCE: usize = 4;

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
    let mut placement = Placement::new(view, settings);
    for table in bare {
        let Some(voters) = placement.choose(settings.replicas) else {
            plan.refusals.push(format!(
                "table {table}: it has no group, and {} of {} nodes that one needs are up",
                placement.usable(),
                settings.replicas
            ));
            continue;
        };
        let reasons = vec![format!("table {table} has no ranges yet")];
        let ranges = vec![unnumbered(KeyRange::all(table))];
        plan.actions.push(Action::MakeGroups {
            kind: KIND,
            groups: vec![GroupPlan { voters, ranges }],
            reasons,
        });
    }
}
