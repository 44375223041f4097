//! Ranges of tables that were dropped: their groups remove the records.
//!
//! Only what meta says was dropped, never what a group has and meta does not know of: a meta that
//! was restored from an old backup must not cost anybody's data.

use std::collections::BTreeMap;

use coterie_types::{GroupId, RangeId};

use super::draft::Draft;
use super::facts::Facts;
use crate::job::{DropRanges, Step};

/// The kind of job.
const KIND: &str = "drop-table";

/// Ranges that a group removes in one job.
const AT_ONCE: usize = 1000;

pub(super) fn plan(facts: &Facts<'_>, draft: &mut Draft<'_>) {
    let mut by_group: BTreeMap<GroupId, Vec<RangeId>> = BTreeMap::new();
    let dropped = facts.view.catalog.dropped.values();
    // One that is still under way is dropped where it ends.
    for range in dropped.filter(|range| draft.is_free_range(range.range_id)) {
        let ranges = by_group.entry(range.group_id).or_default();
        if ranges.len() < AT_ONCE {
            ranges.push(range.range_id);
        }
    }
    // Beside a job that copies for long it may be done, and beside its own like it not again.
    by_group.retain(|group_id, _| draft.is_pliant(*group_id));
    for (group_id, ranges) in by_group {
        let reasons = vec![format!(
            "{} range(s) of group {group_id} are of tables that were dropped",
            ranges.len()
        )];
        let step = Step::DropRanges(DropRanges { group_id, ranges });
        draft.begin(KIND, step, reasons);
    }
}
