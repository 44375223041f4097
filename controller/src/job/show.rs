//! Steps as people read them: in a job's log, and in the controller's.

use std::fmt;

use coterie_protocol::catalog::Wish;

use super::{
    AddPhase, MakePhase, MergePhase, MovePhase, RecoverPhase, RemovePhase, ReplacePhase,
    SplitPhase, Step,
};

/// Bytes of a key that are shown: one may have a million.
const KEY_SHOWN: usize = 64;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeGroups {
                phase,
                groups,
                then_move,
            } => {
                let phase = match phase {
                    MakePhase::Create => "create replicas of",
                    MakePhase::Init => "start",
                    MakePhase::Publish => "publish",
                };
                write!(f, "{phase} {} group(s)", groups.len())?;
                match then_move {
                    Some(range) => write!(f, ", for range {}", range.range_id),
                    None => Ok(()),
                }
            }
            Self::TransferLeader {
                group_id, from, to, ..
            } => {
                write!(
                    f,
                    "transfer the leader of group {group_id} from node {from} to {to}"
                )
            }
            Self::ReplaceReplica { .. } | Self::AddReplica { .. } | Self::Recover { .. } => {
                fmt_replicas(f, self)
            }
            Self::AddRanges {
                phase,
                group_id,
                ranges,
            } => {
                let phase = match phase {
                    AddPhase::Add => "add",
                    AddPhase::Publish => "publish",
                };
                write!(f, "{phase} {} range(s) of group {group_id}", ranges.len())
            }
            Self::DropRanges { group_id, ranges } => {
                write!(f, "drop {} range(s) of group {group_id}", ranges.len())
            }
            Self::Wish(wish) => fmt_wish(f, wish),
            Self::SplitRange { .. }
            | Self::MergeRanges { .. }
            | Self::MoveRange { .. }
            | Self::RemoveGroup { .. } => fmt_change(f, self),
        }
    }
}

/// A change of where a group's replicas are.
fn fmt_replicas(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::ReplaceReplica {
            phase,
            group_id,
            from,
            to,
            ..
        } => {
            let phase = shown_phase(*phase);
            write!(f, "{phase} group {group_id}: node {to} for node {from}")
        }
        Step::AddReplica {
            phase,
            group_id,
            to,
            ..
        } => {
            let phase = shown_phase(*phase);
            write!(f, "{phase} group {group_id}: node {to} besides the others")
        }
        Step::Recover {
            phase,
            group_id,
            node_id,
            lost,
        } => {
            let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
            let lost = lost.join(", ");
            match phase {
                RecoverPhase::Lose => write!(f, "remove what is lost: node(s) {lost}"),
                RecoverPhase::Alone => {
                    write!(f, "go on with group {group_id} from node {node_id} alone")
                }
                RecoverPhase::Publish => {
                    write!(f, "publish group {group_id}: node {node_id} alone")
                }
            }
        }
        _ => Ok(()),
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
        ReplacePhase::Undo | ReplacePhase::Refuse => "undo the bringing up of a replica of",
    }
}

/// A change of what groups there are and what they own.
fn fmt_change(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::SplitRange {
            phase, range, at, ..
        } => {
            let phase = match phase {
                SplitPhase::Split => "split",
                SplitPhase::Publish => "publish the split of",
            };
            let range_id = range.range_id;
            match at {
                Some(at) => write!(f, "{phase} range {range_id} at \"{}\"", at.escape_ascii()),
                None => write!(f, "{phase} range {range_id} in halves"),
            }
        }
        Step::MergeRanges { phase, left, right } => {
            let phase = match phase {
                MergePhase::Merge => "merge",
                MergePhase::Publish => "publish the merge of",
            };
            write!(f, "{phase} ranges {} and {}", left.range_id, right.range_id)
        }
        Step::MoveRange { phase, range, to } => {
            let phase = match phase {
                MovePhase::Begin => "announce",
                MovePhase::HandOff => "hand off",
                MovePhase::Activate => "activate",
                MovePhase::Publish => "publish",
                MovePhase::Copy => "copy",
                MovePhase::Drop => "drop the old copy of",
                MovePhase::Cancel => "leave where it is",
            };
            let (range_id, from) = (range.range_id, range.group_id);
            write!(f, "{phase} range {range_id}: from group {from} to {to}")
        }
        Step::RemoveGroup { phase, group } => {
            let phase = match phase {
                RemovePhase::Forget => "forget",
                RemovePhase::Destroy => "destroy the replicas of",
            };
            write!(f, "{phase} group {}", group.group_id)
        }
        _ => Ok(()),
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

/// A key for people to read: its beginning, if it is long.
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
