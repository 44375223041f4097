//! Small neighbouring ranges that are nearly idle are merged.
//!
//! Both must have been nearly idle for `--merge-after`. The merged range must be so small beside
//! its group that `balance` never splits it again. Neighbours of two groups are first brought
//! together: the smaller range moves. Parts of a recent split stay apart, and so do ranges at the
//! keys where an operator split the table.

use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_types::TableId;

use super::Memory;
use super::bootstrap;
use super::draft::Draft;
use super::facts::{Facts, RANGE_BYTES, Range};
use super::split::is_settled;
use crate::job::{MergePhase, MergeRanges, MovePhase, MoveRange, Step};

/// The kind of job.
pub(super) const KIND: &str = "merge";

/// The largest merged range: this part of the split size, and of the group's bytes.
const PART_OF_SPLIT_SIZE: u64 = 8;
const PART_OF_GROUP: u64 = 16;

/// Merges, and moves for them, that begin in a plan.
const AT_ONCE: usize = 4;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    if facts.is_balance_off() || memory.watched_for() < facts.settings.merge_after {
        return;
    }
    let size_max = size_max(facts);
    let is_candidate = |range: &Range<'_>| {
        facts.is_cold(range) && range.size_bytes() < size_max && range.group.is_some()
    };
    let starts = bootstrap::split_keys(facts.view, facts.settings).unwrap_or_default();
    let starts: BTreeSet<&Bytes> = starts.iter().collect();
    let (mut begun, mut before) = (0, None);
    for range_id in facts.view.catalog.range_starts.values() {
        let Some(range) = facts.range(*range_id).filter(|range| is_candidate(range)) else {
            before = None;
            continue;
        };
        let left = before.replace(range);
        if let Some(left) = left
            && left.row.bounds.table == range.row.bounds.table
            && left.size_bytes() + range.size_bytes() < size_max
            && !is_start(facts, &starts, range)
            && is_quiet(facts, memory, draft, left)
            && is_quiet(facts, memory, draft, range)
        {
            begun += usize::from(begin(facts, draft, left, range));
            before = None;
        }
        if begun == AT_ONCE {
            return;
        }
    }
}

fn size_max(facts: &Facts<'_>) -> u64 {
    let total: u64 = facts.ranges.iter().map(Range::size_bytes).sum();
    let mean = total / (facts.groups.len() as u64).max(1);
    let of_group = (mean / PART_OF_GROUP).max(2 * RANGE_BYTES);
    of_group.min(facts.settings.split_size / PART_OF_SPLIT_SIZE)
}

/// Whether the table was requested with a split at the start of this range.
fn is_start(facts: &Facts<'_>, starts: &BTreeSet<&Bytes>, range: &Range<'_>) -> bool {
    let bounds = &range.row.bounds;
    let table = facts.view.catalog.tables.get(&bounds.table);
    table.is_none_or(|table| table.split_at.binary_search(&bounds.start).is_ok())
        || bounds.table == TableId(0) && starts.contains(&bounds.start)
}

fn is_quiet(facts: &Facts<'_>, memory: &Memory, draft: &Draft<'_>, range: &Range<'_>) -> bool {
    let range_id = range.row.range_id;
    let cold_for = memory.cold_for(range_id);
    cold_for.is_some_and(|lasts| lasts >= facts.settings.merge_after)
        && !facts.split_lately.contains(&range_id)
        && is_settled(facts, draft, range)
}

/// Begins the merge, or the move that must come first.
fn begin(facts: &Facts<'_>, draft: &mut Draft<'_>, left: &Range<'_>, right: &Range<'_>) -> bool {
    let reason = format!(
        "ranges {} and {} have {} and {} bytes, and at most {} commands/s for {} s",
        left.row.range_id,
        right.row.range_id,
        left.size_bytes(),
        right.size_bytes(),
        left.ops().max(right.ops()),
        facts.settings.merge_after.as_secs()
    );
    if left.row.group_id == right.row.group_id {
        let step = Step::MergeRanges(MergeRanges {
            phase: MergePhase::Merge,
            left: left.row.clone(),
            right: right.row.clone(),
        });
        draft.begin(KIND, step, vec![reason]);
        return true;
    }
    let (moved, to) = if left.size_bytes() < right.size_bytes() {
        (left, right)
    } else {
        (right, left)
    };
    let moved_before = facts.moves.contains_key(&moved.row.range_id);
    if moved_before || draft.moves >= facts.settings.moves_max {
        return false;
    }
    let together = format!(
        "range {} moves to group {} to be merged there",
        moved.row.range_id, to.row.group_id
    );
    let step = Step::MoveRange(MoveRange {
        phase: MovePhase::Begin,
        range: moved.row.clone(),
        to: to.row.group_id,
    });
    draft.begin(KIND, step, vec![reason, together]);
    true
}
