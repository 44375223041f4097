//! Ranges of dropped tables: their groups delete the records.
//!
//! Only ranges that meta lists as dropped are deleted, never ranges of a group that meta does not
//! know: a meta restored from an old backup must not cost anybody's data.

use std::collections::BTreeMap;

use coterie_types::{GroupId, RangeId};

use super::draft::Draft;
use super::facts::Facts;
use crate::job::{DropRanges, Step};

/// The kind of job.
const KIND: &str = "drop-table";

/// Ranges that a group deletes in a job.
const AT_ONCE: usize = 1000;

pub(super) fn plan(facts: &Facts<'_>, draft: &mut Draft<'_>) {
    let mut by_group: BTreeMap<GroupId, Vec<RangeId>> = BTreeMap::new();
    let dropped = facts.view.catalog.dropped.values();
    // A moving range is dropped where its move ends.
    for range in dropped.filter(|range| draft.is_free_range(range.range_id)) {
        let ranges = by_group.entry(range.group_id).or_default();
        if ranges.len() < AT_ONCE {
            ranges.push(range.range_id);
        }
    }
    // Beside a long copy this is allowed; beside another job of this kind it is not.
    by_group.retain(|group_id, _| draft.is_pliant(*group_id));
    for (group_id, ranges) in by_group {
        let reasons = vec![format!(
            "{} range(s) of group {group_id} belong to dropped tables",
            ranges.len()
        )];
        let step = Step::DropRanges(DropRanges { group_id, ranges });
        draft.begin(KIND, step, reasons);
    }
}
