//! The groups and ranges of a job. Other jobs leave them alone meanwhile.

use coterie_protocol::catalog::{Catalog, Wish};
use coterie_types::{GroupId, RangeId};

use crate::job::{
    AddRanges, AddReplica, DropRanges, MakeGroups, MergeRanges, MovePhase, MoveRange, Recover,
    RemoveGroup, ReplacePhase, ReplaceReplica, SplitRange, Step, TransferLeader,
};

/// The groups that a job changes.
pub(super) fn groups_of(step: &Step, catalog: &Catalog) -> Vec<GroupId> {
    match step {
        Step::MakeGroups(MakeGroups {
            groups, then_move, ..
        }) => {
            let source = then_move.iter().map(|range| range.group_id);
            groups
                .iter()
                .map(|new| new.group_id)
                .chain(source)
                .collect()
        }
        Step::TransferLeader(TransferLeader { group_id, .. })
        | Step::ReplaceReplica(ReplaceReplica { group_id, .. })
        | Step::AddReplica(AddReplica { group_id, .. })
        | Step::Recover(Recover { group_id, .. })
        | Step::AddRanges(AddRanges { group_id, .. })
        | Step::DropRanges(DropRanges { group_id, .. }) => vec![*group_id],
        Step::SplitRange(SplitRange { range, .. }) => vec![range.group_id],
        Step::MergeRanges(MergeRanges { left, .. }) => vec![left.group_id],
        Step::MoveRange(MoveRange { range, to, .. }) => vec![range.group_id, *to],
        Step::RemoveGroup(RemoveGroup { group, .. }) => vec![group.group_id],
        Step::Wish(Wish::Replace { group_id, .. } | Wish::Recover { group_id, .. }) => {
            vec![*group_id]
        }
        Step::Wish(wish) => {
            let ranges = ranges_of_wish(wish, catalog);
            let rows = ranges.iter().filter_map(|id| catalog.ranges.get(id));
            let mut groups: Vec<GroupId> = rows.map(|range| range.group_id).collect();
            if let Wish::Move { to, .. } = wish {
                groups.extend(*to);
            }
            groups
        }
    }
}

/// The ranges that a job changes.
pub(super) fn ranges_of(step: &Step, catalog: &Catalog) -> Vec<RangeId> {
    match step {
        Step::MakeGroups(MakeGroups { then_move, .. }) => {
            then_move.iter().map(|r| r.range_id).collect()
        }
        Step::SplitRange(SplitRange {
            range, right_id, ..
        }) => vec![range.range_id, *right_id],
        Step::MergeRanges(MergeRanges { left, right, .. }) => vec![left.range_id, right.range_id],
        Step::MoveRange(MoveRange { range, .. }) => vec![range.range_id],
        Step::AddRanges(AddRanges { ranges, .. }) => ranges.iter().map(|r| r.range_id).collect(),
        Step::DropRanges(DropRanges { ranges, .. }) => ranges.clone(),
        Step::Wish(wish) => ranges_of_wish(wish, catalog),
        Step::TransferLeader(_)
        | Step::ReplaceReplica(_)
        | Step::AddReplica(_)
        | Step::Recover(_)
        | Step::RemoveGroup(_) => Vec::new(),
    }
}

fn ranges_of_wish(wish: &Wish, catalog: &Catalog) -> Vec<RangeId> {
    let (table, key) = match wish {
        Wish::Split { table, at } => (table, at),
        Wish::Merge { table, key } | Wish::Move { table, key, .. } => (table, key),
        Wish::Replace { .. } | Wish::Recover { .. } => return Vec::new(),
    };
    let Some(range) = catalog.locate(*table, key) else {
        return Vec::new();
    };
    let next = match (wish, &range.bounds.end) {
        (Wish::Merge { .. }, Some(end)) => catalog.locate(*table, end),
        _ => None,
    };
    [Some(range), next]
        .into_iter()
        .flatten()
        .map(|range| range.range_id)
        .collect()
}

/// Whether the job copies in the background, perhaps for minutes. Leaders may change meanwhile.
pub(super) fn is_copying(step: &Step) -> bool {
    match step {
        Step::MoveRange(_) => is_copying_range(step),
        Step::ReplaceReplica(ReplaceReplica { phase, .. })
        | Step::AddReplica(AddReplica { phase, .. }) => *phase == ReplacePhase::Learn,
        _ => false,
    }
}

/// Whether the job copies a range that its new owner serves already. Members may change meanwhile,
/// too.
pub(super) fn is_copying_range(step: &Step) -> bool {
    matches!(
        step,
        Step::MoveRange(MoveRange {
            phase: MovePhase::Copy,
            ..
        })
    )
}
