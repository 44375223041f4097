//! Steps as text, for a job's log and the controller's own.

use std::fmt;

use coterie_protocol::catalog::Wish;

use super::parameters::{
    AddRanges, AddReplica, DropRanges, MakeGroups, MergeRanges, MoveRange, Recover, RemoveGroup,
    ReplaceReplica, SplitRange, TransferLeader,
};
use super::phases::{
    AddPhase, MakePhase, MergePhase, MovePhase, RecoverPhase, RemovePhase, ReplacePhase, SplitPhase,
};
use super::step::Step;

/// Bytes of a key that are shown: a key may have a million.
const KEY_SHOWN: usize = 64;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeGroups(step) => step.fmt(f),
            Self::TransferLeader(step) => step.fmt(f),
            Self::ReplaceReplica(step) => step.fmt(f),
            Self::AddRanges(step) => step.fmt(f),
            Self::DropRanges(step) => step.fmt(f),
            Self::Wish(wish) => fmt_wish(f, wish),
            Self::SplitRange(step) => step.fmt(f),
            Self::MergeRanges(step) => step.fmt(f),
            Self::MoveRange(step) => step.fmt(f),
            Self::RemoveGroup(step) => step.fmt(f),
            Self::AddReplica(step) => step.fmt(f),
            Self::Recover(step) => step.fmt(f),
        }
    }
}

impl fmt::Display for MakeGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            MakePhase::Create => "create replicas of",
            MakePhase::Init => "start",
            MakePhase::Publish => "publish",
        };
        write!(f, "{phase} {} group(s)", self.groups.len())?;
        match &self.then_move {
            Some(range) => write!(f, ", for range {}", range.range_id),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TransferLeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group_id, from, to, ..
        } = self;
        write!(
            f,
            "transfer the leader of group {group_id} from node {from} to {to}"
        )
    }
}

impl fmt::Display for ReplaceReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, group_id) = (shown_phase(self.phase), self.group_id);
        let (from, to) = (self.from, self.to);
        write!(f, "{phase} group {group_id}: node {to} for node {from}")
    }
}

impl fmt::Display for AddReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, group_id, to) = (shown_phase(self.phase), self.group_id, self.to);
        write!(f, "{phase} group {group_id}: node {to} in addition")
    }
}

fn shown_phase(phase: ReplacePhase) -> &'static str {
    match phase {
        ReplacePhase::Create => "create the replica of",
        ReplacePhase::Learn => "bring up the replica of",
        ReplacePhase::Verify => "compare the replicas of",
        ReplacePhase::Change => "change the members of",
        ReplacePhase::Publish => "publish",
        ReplacePhase::Destroy => "destroy the old replica of",
        ReplacePhase::Undo | ReplacePhase::Refuse => "remove the new replica of",
    }
}

impl fmt::Display for Recover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group_id, node_id) = (self.group_id, self.node_id);
        match self.phase {
            RecoverPhase::Lose => {
                let lost: Vec<String> = self.lost.iter().map(ToString::to_string).collect();
                write!(f, "remove the lost node(s) {}", lost.join(", "))
            }
            RecoverPhase::Alone => {
                write!(f, "go on with group {group_id} from node {node_id} alone")
            }
            RecoverPhase::Publish => {
                write!(f, "publish group {group_id}: node {node_id} alone")
            }
        }
    }
}

impl fmt::Display for AddRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            AddPhase::Add => "add",
            AddPhase::Publish => "publish",
        };
        let (count, group_id) = (self.ranges.len(), self.group_id);
        write!(f, "{phase} {count} range(s) of group {group_id}")
    }
}

impl fmt::Display for DropRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, group_id) = (self.ranges.len(), self.group_id);
        write!(f, "drop {count} range(s) of group {group_id}")
    }
}

impl fmt::Display for SplitRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            SplitPhase::Split => "split",
            SplitPhase::Publish => "publish the split of",
        };
        let range_id = self.range.range_id;
        match &self.at {
            Some(at) => write!(f, "{phase} range {range_id} at \"{}\"", at.escape_ascii()),
            None => write!(f, "{phase} range {range_id} in the middle"),
        }
    }
}

impl fmt::Display for MergeRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            MergePhase::Merge => "merge",
            MergePhase::Publish => "publish the merge of",
        };
        let (left_id, right_id) = (self.left.range_id, self.right.range_id);
        write!(f, "{phase} ranges {left_id} and {right_id}")
    }
}

impl fmt::Display for MoveRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            MovePhase::Begin => "announce",
            MovePhase::HandOff => "hand off",
            MovePhase::Activate => "activate",
            MovePhase::Publish => "publish",
            MovePhase::Copy => "copy",
            MovePhase::Drop => "drop the old copy of",
            MovePhase::Cancel => "cancel the move of",
        };
        let (range_id, from, to) = (self.range.range_id, self.range.group_id, self.to);
        write!(f, "{phase} range {range_id}: from group {from} to {to}")
    }
}

impl fmt::Display for RemoveGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            RemovePhase::Forget => "forget",
            RemovePhase::Destroy => "destroy the replicas of",
        };
        write!(f, "{phase} group {}", self.group.group_id)
    }
}

fn fmt_wish(f: &mut fmt::Formatter<'_>, wish: &Wish) -> fmt::Result {
    match wish {
        Wish::Split { table, at } => {
            write!(f, "split table {table} at \"{}\"", shown(at))
        }
        Wish::Merge { table, key } => write!(
            f,
            "merge the range of \"{}\" of table {table} with the next",
            shown(key)
        ),
        Wish::Move { table, key, to } => {
            write!(
                f,
                "move the range of \"{}\" of table {table} to ",
                shown(key)
            )?;
            match to {
                Some(group) => write!(f, "group {group}"),
                None => write!(f, "a new group"),
            }
        }
        Wish::Replace { group_id, node_id } => {
            write!(
                f,
                "replace the replica of group {group_id} on node {node_id}"
            )
        }
        Wish::Recover { group_id, node_id } => {
            write!(f, "recover group {group_id} from node {node_id}")
        }
    }
}

/// A key as text. Of a long key only the beginning.
pub(crate) fn shown(key: &[u8]) -> String {
    match key.get(..KEY_SHOWN) {
        Some(beginning) if beginning.len() < key.len() => {
            format!("{}...", beginning.escape_ascii())
        }
        _ => key.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_shown_by_its_beginning() {
        assert_eq!(shown(b"a\xff"), "a\\xff");
        assert_eq!(shown(&[b'a'; 64]), "a".repeat(64));
        assert_eq!(shown(&[b'a'; 65]), "a".repeat(64) + "...");
    }
}
