//! New tables without ranges: each is given to an existing group, split at the requested keys.
//!
//! A group costs every node heartbeats, files and memory, and a table needs no group of its own.
//! The group with the fewest ranges gets the whole table, even if the table is split: each group
//! adds ranges by its own log, a table is published whole or not at all, and two logs cannot agree
//! on that without a third. Afterwards `balance` spreads the ranges like any others.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_protocol::catalog::TableDescriptor;
use coterie_types::{GroupId, TableId};

use super::bootstrap::divide;
use super::draft::Draft;
use super::facts::Facts;
use super::plan::Action;
use crate::job::{AddRanges, RemoveGroup, Step};

/// The kind of job.
const KIND: &str = "add-table";

/// Tables that are given to groups in a plan.
const AT_ONCE: usize = 16;

/// The bytes of the keys in a job, where each boundary counts twice: a job's row is bounded.
const KEY_BYTES_MAX: usize = 128 << 10;

pub(super) fn plan(facts: &Facts<'_>, draft: &mut Draft<'_>) {
    let catalog = &facts.view.catalog;
    if catalog.groups.is_empty() {
        // The tables are part of the bootstrap.
        return;
    }
    let is_given = |table: TableId| facts.running().any(|step| step.makes_ranges_of(table));
    let bare: Vec<&TableDescriptor> = catalog
        .tables
        .values()
        .filter(|table| catalog.ranges_of(table.table_id).next().is_none())
        .filter(|table| !is_given(table.table_id))
        .take(AT_ONCE)
        .collect();
    if bare.is_empty() {
        return;
    }
    let mut counts = range_counts(facts);
    for table in bare {
        let table_id = table.table_id;
        let least = counts
            .iter_mut()
            .min_by_key(|(group_id, count)| (**count, **group_id));
        let Some((group_id, count)) = least else {
            draft.refuse(format!(
                "table {table_id}: it has no ranges, and no group that could take them has a leader"
            ));
            continue;
        };
        let mut reasons = vec![format!(
            "table {table_id} has no ranges yet; group {group_id} has the fewest, {count}"
        )];
        let split_at = thinned(&table.split_at);
        if split_at.len() < table.split_at.len() {
            reasons.push(format!(
                "{} of its {} boundaries fit into a job",
                split_at.len(),
                table.split_at.len()
            ));
        }
        let bounds = divide(table_id, &split_at);
        *count += bounds.len();
        draft.claim_for_table(*group_id);
        draft.plan.actions.push(Action::AddRanges {
            kind: KIND,
            group_id: *group_id,
            bounds,
            reasons,
        });
    }
}

/// As many of the boundaries as fit, evenly chosen.
fn thinned(split_at: &[Bytes]) -> Vec<Bytes> {
    let mut keys = split_at.to_vec();
    while 2 * keys.iter().map(Bytes::len).sum::<usize>() > KEY_BYTES_MAX {
        keys = keys.into_iter().skip(1).step_by(2).collect();
    }
    keys
}

/// The ranges of each group that could add more, with those that jobs are adding.
fn range_counts(facts: &Facts<'_>) -> BTreeMap<GroupId, usize> {
    let removals = facts.running().filter_map(|step| match step {
        Step::RemoveGroup(RemoveGroup { group, .. }) => Some(group.group_id),
        _ => None,
    });
    let removed: BTreeSet<GroupId> = removals.collect();
    let open = facts.groups.iter();
    let open = open.filter(|group| group.leader.is_some() && !removed.contains(&group.id()));
    let mut counts: BTreeMap<GroupId, usize> =
        open.map(|group| (group.id(), group.ranges.len())).collect();
    for step in facts.running() {
        if let Step::AddRanges(AddRanges {
            group_id, ranges, ..
        }) = step
            && let Some(count) = counts.get_mut(group_id)
        {
            *count += ranges.len();
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_that_do_not_fit_are_thinned_evenly() {
        let key = |number: u32| Bytes::from(format!("{number:0>1024}"));
        let many: Vec<Bytes> = (0..200).map(key).collect();
        let kept = thinned(&many);
        assert_eq!(kept.len(), 50);
        assert_eq!(kept[0], key(3));
        assert_eq!(thinned(&many[..9]), many[..9]);
    }
}
