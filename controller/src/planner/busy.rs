//! What a job is about: those groups and ranges are left alone meanwhile.

use coterie_protocol::catalog::{Catalog, Wish};
use coterie_types::{GroupId, RangeId};

use crate::job::{MovePhase, ReplacePhase, Step};

/// The groups that a job changes something about.
pub(super) fn groups_of(step: &Step, catalog: &Catalog) -> Vec<GroupId> {
    match step {
        Step::MakeGroups {
            groups, then_move, ..
        } => {
            let source = then_move.iter().map(|range| range.group_id);
            groups
                .iter()
                .map(|new| new.group_id)
                .chain(source)
                .collect()
        }
        Step::TransferLeader { group_id, .. }
        | Step::ReplaceReplica { group_id, .. }
        | Step::AddReplica { group_id, .. }
        | Step::Recover { group_id, .. }
        | Step::AddRanges { group_id, .. }
        | Step::DropRanges { group_id, .. } => vec![*group_id],
        Step::SplitRange { range, .. } => vec![range.group_id],
        Step::MergeRanges { left, .. } => vec![left.group_id],
        Step::MoveRange { range, to, .. } => vec![range.group_id, *to],
        Step::RemoveGroup { group, .. } => vec![group.group_id],
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

/// The ranges that a job changes something about.
pub(super) fn ranges_of(step: &Step, catalog: &Catalog) -> Vec<RangeId> {
    match step {
        Step::MakeGroups { then_move, .. } => then_move.iter().map(|r| r.range_id).collect(),
        Step::SplitRange {
            range, right_id, ..
        } => vec![range.range_id, *right_id],
        Step::MergeRanges { left, right, .. } => vec![left.range_id, right.range_id],
        Step::MoveRange { range, .. } => vec![range.range_id],
        Step::AddRanges { ranges, .. } => ranges.iter().map(|r| r.range_id).collect(),
        Step::DropRanges { ranges, .. } => ranges.clone(),
        Step::Wish(wish) => ranges_of_wish(wish, catalog),
        Step::TransferLeader { .. }
        | Step::ReplaceReplica { .. }
        | Step::AddReplica { .. }
        | Step::Recover { .. }
        | Step::RemoveGroup { .. } => Vec::new(),
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

/// Whether the job copies in the background, for minutes perhaps: leaders may change meanwhile.
pub(super) fn is_copying(step: &Step) -> bool {
    match step {
        Step::MoveRange { .. } => is_copying_range(step),
        Step::ReplaceReplica { phase, .. } | Step::AddReplica { phase, .. } => {
            *phase == ReplacePhase::Learn
        }
        _ => false,
    }
}

/// Whether the job copies a range that is served by its new owner already: members may change
/// meanwhile, too.
pub(super) fn is_copying_range(step: &Step) -> bool {
    matches!(
        step,
        Step::MoveRange {
            phase: MovePhase::Copy,
            ..
        }
    )
}
