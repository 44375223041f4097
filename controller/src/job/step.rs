//! A job's next step.

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, Wish};
use coterie_protocol::{DecodeError, decode, encode};
use coterie_types::{GroupId, RangeDescriptor, RangeId, TableId};
use serde::{Deserialize, Serialize};

use super::parameters::{
    AddRanges, AddReplica, DropRanges, MakeGroups, MergeRanges, MoveRange, Recover, RemoveGroup,
    ReplaceReplica, SplitRange, TransferLeader,
};
use super::phases::{MergePhase, MovePhase, RecoverPhase, RemovePhase, ReplacePhase, SplitPhase};

/// A job's next step. Postcard encodes the kind as its number: a new kind is appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Creates groups.
    MakeGroups(MakeGroups),
    /// Transfers a group's leadership.
    TransferLeader(TransferLeader),
    /// Replaces a replica by a new replica on another node.
    ReplaceReplica(ReplaceReplica),
    /// Gives the ranges of a new table to a group.
    AddRanges(AddRanges),
    /// Has a group delete ranges of dropped tables.
    DropRanges(DropRanges),
    /// Turns an operator's wish into steps.
    Wish(Wish),
    /// Splits a range within its group.
    SplitRange(SplitRange),
    /// Merges two neighbouring ranges of a group.
    MergeRanges(MergeRanges),
    /// Moves a range to another group.
    MoveRange(MoveRange),
    /// Removes a group that owns nothing.
    RemoveGroup(RemoveGroup),
    /// Adds a replica to a group that has too few.
    AddReplica(AddReplica),
    /// Has a group that lost its majority go on from a single replica.
    Recover(Recover),
}

impl Step {
    /// The next step of a job. A wish that has no step yet is its own first step.
    pub fn of(job: &JobDescriptor) -> Result<Self, DecodeError> {
        match &job.wish {
            Some(wish) if job.step.is_empty() => Ok(Self::Wish(wish.clone())),
            _ => decode(&job.step),
        }
    }

    /// The encoding in the job's row.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Whether the step changes this group, or ranges of it.
    #[must_use]
    pub fn is_about(&self, group: GroupId) -> bool {
        match self {
            Self::MakeGroups(MakeGroups {
                groups, then_move, ..
            }) => {
                groups.iter().any(|new| new.group_id == group)
                    || then_move
                        .as_ref()
                        .is_some_and(|range| range.group_id == group)
            }
            Self::Wish(wish) => match wish {
                Wish::Replace { group_id, .. } | Wish::Recover { group_id, .. } => {
                    *group_id == group
                }
                Wish::Split { .. } | Wish::Merge { .. } | Wish::Move { .. } => false,
            },
            Self::SplitRange(SplitRange { range, .. }) => range.group_id == group,
            Self::MergeRanges(MergeRanges { left, .. }) => left.group_id == group,
            Self::MoveRange(MoveRange { range, to, .. }) => range.group_id == group || *to == group,
            Self::RemoveGroup(RemoveGroup { group: removed, .. }) => removed.group_id == group,
            Self::TransferLeader(TransferLeader { group_id, .. })
            | Self::ReplaceReplica(ReplaceReplica { group_id, .. })
            | Self::AddReplica(AddReplica { group_id, .. })
            | Self::Recover(Recover { group_id, .. })
            | Self::AddRanges(AddRanges { group_id, .. })
            | Self::DropRanges(DropRanges { group_id, .. }) => *group_id == group,
        }
    }

    /// Whether the step changes this range.
    #[must_use]
    pub fn is_about_range(&self, range_id: RangeId) -> bool {
        match self {
            Self::MakeGroups(MakeGroups { then_move, .. }) => then_move
                .as_ref()
                .is_some_and(|range| range.range_id == range_id),
            Self::SplitRange(SplitRange {
                range, right_id, ..
            }) => range.range_id == range_id || *right_id == range_id,
            Self::MergeRanges(MergeRanges { left, right, .. }) => {
                left.range_id == range_id || right.range_id == range_id
            }
            Self::MoveRange(MoveRange { range, .. }) => range.range_id == range_id,
            Self::AddRanges(AddRanges { ranges, .. }) => {
                ranges.iter().any(|r| r.range_id == range_id)
            }
            Self::DropRanges(DropRanges { ranges, .. }) => ranges.contains(&range_id),
            Self::TransferLeader(_)
            | Self::ReplaceReplica(_)
            | Self::AddReplica(_)
            | Self::Recover(_)
            | Self::Wish(_)
            | Self::RemoveGroup(_) => false,
        }
    }

    /// Whether an earlier phase made a request to a group, which may have taken effect.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        match self {
            Self::MakeGroups(_) | Self::Wish(_) => false,
            Self::SplitRange(SplitRange { phase, .. }) => *phase > SplitPhase::Split,
            Self::MergeRanges(MergeRanges { phase, .. }) => *phase > MergePhase::Merge,
            Self::MoveRange(MoveRange { phase, .. }) => *phase > MovePhase::Begin,
            Self::ReplaceReplica(ReplaceReplica { phase, .. })
            | Self::AddReplica(AddReplica { phase, .. }) => *phase > ReplacePhase::Create,
            Self::Recover(Recover { phase, .. }) => *phase > RecoverPhase::Lose,
            Self::RemoveGroup(RemoveGroup { phase, .. }) => *phase > RemovePhase::Forget,
            Self::AddRanges(_) | Self::DropRanges(_) | Self::TransferLeader(_) => true,
        }
    }

    /// Whether the step gives this table its first ranges.
    #[must_use]
    pub fn makes_ranges_of(&self, table: TableId) -> bool {
        let of_table = |range: &RangeDescriptor| range.bounds.table == table;
        match self {
            Self::MakeGroups(MakeGroups { groups, .. }) => {
                groups.iter().flat_map(|group| &group.ranges).any(of_table)
            }
            Self::AddRanges(AddRanges { ranges, .. }) => ranges.iter().any(of_table),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a stored step, and encodes it again.
    fn check(encoded: &[u8], text: &str) {
        let step: Step = decode(encoded).unwrap();
        assert_eq!(step.to_string(), text);
        assert_eq!(step.encode(), encoded);
    }

    #[test]
    fn a_stored_step_keeps_its_meaning() {
        let range = [5, 1, 0, 1, b'a', 0, 7];
        let with = |kind: &[u8], end: &[u8]| [kind, &range, end].concat();
        check(&[0, 1, 1, 7, 2, 1, 2, 0, 0], "start 1 group(s)");
        check(
            &[1, 7, 1, 2, 0],
            "transfer the leader of group 7 from node 1 to 2",
        );
        check(
            &[2, 2, 7, 1, 2, 1, 2, 0],
            "compare the replicas of group 7: node 2 for node 1",
        );
        check(&with(&[3, 1, 7, 1], &[]), "publish 1 range(s) of group 7");
        check(&[4, 7, 2, 5, 6], "drop 2 range(s) of group 7");
        check(
            &[5, 1, 0, 1, b'k'],
            "merge the range of \"k\" of table 0 with the next",
        );
        check(&with(&[6, 0], &[1, 1, b'm', 8]), "split range 5 at \"m\"");
        check(
            &with(&with(&[7, 1], &[]), &[]),
            "publish the merge of ranges 5 and 5",
        );
        check(&with(&[8, 4], &[9]), "copy range 5: from group 7 to 9");
        check(&[9, 0, 7, 1, 2, 0], "forget group 7");
        check(
            &[10, 5, 7, 3, 1, 3, 0],
            "destroy the old replica of group 7: node 3 in addition",
        );
        check(
            &[11, 1, 7, 2, 2, 1, 3],
            "go on with group 7 from node 2 alone",
        );
    }
}
