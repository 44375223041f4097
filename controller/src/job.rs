//! What jobs are made of: their parameters and how far they are, as they stand in meta.
//!
//! A step that stands here may have been taken, in part or whole, any number of times. The encoding
//! is postcard of [`Step`]; a variant is never given a second meaning, since a job may have been
//! begun by another version.

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, JobState, Wish};
use coterie_protocol::{DecodeError, decode, encode};
use coterie_types::{
    GroupDescriptor, GroupId, JobId, NodeId, RangeDescriptor, RangeId, Replica, TableId, UnixMillis,
};
use serde::{Deserialize, Serialize};

mod show;

pub(crate) use show::shown;

/// Lines of a job's log that are kept from its beginning, and from its end.
const FIRST_LINES: usize = 20;
const LAST_LINES: usize = 60;

/// A group that is to be made, with all it begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGroup {
    /// Its id.
    pub group_id: GroupId,
    /// Its voters; the first is asked to start it, and so leads first.
    pub voters: Vec<NodeId>,
    /// What it owns.
    pub ranges: Vec<RangeDescriptor>,
}

/// How far the making of groups is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MakePhase {
    /// Each member gets an empty replica. Nothing is decided yet: the job may be given up.
    Create,
    /// Each group is started; from now on it only goes forward.
    Init,
    /// Meta's map says where the ranges are.
    Publish,
}

/// How far the replacing of a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReplacePhase {
    /// The new node gets an empty replica. Nothing is decided yet.
    Create,
    /// The group takes it in as a learner, until it has caught up.
    Learn,
    /// Its records are compared with the leader's, at one log index.
    Verify,
    /// It becomes a voter, and the group forgets the old one.
    Change,
    /// Meta's map says who the members are.
    Publish,
    /// The old replica's node removes it, if it is there.
    Destroy,
    /// It does not become a voter: the group forgets it, and its node removes it.
    Undo,
    /// The same, as the new node cannot take it in, or not as it should be.
    Refuse,
}

/// How far the cutting of a range is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SplitPhase {
    /// The group's log says so.
    Split,
    /// Meta's map says so.
    Publish,
}

/// How far the joining of two ranges is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MergePhase {
    /// The group's log says so.
    Merge,
    /// Meta's map says so.
    Publish,
}

/// How far a move is (design §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MovePhase {
    /// The destination gets to know the range. Nothing is decided yet: the job may be given up.
    Begin,
    /// The source gives the range up; from now on it only goes forward.
    HandOff,
    /// The destination serves it.
    Activate,
    /// Meta's map says so.
    Publish,
    /// The destination copies what it has not got yet.
    Copy,
    /// The source removes its copy.
    Drop,
    /// The source did not give it up: the destination forgets it.
    Cancel,
}

/// How far the removal of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RemovePhase {
    /// Meta forgets it. Refused while it owns anything.
    Forget,
    /// Its members remove their replicas.
    Destroy,
}

/// How far the adding of ranges is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AddPhase {
    /// The group takes them in.
    Add,
    /// Meta's map says where they are.
    Publish,
}

/// How far the recovering of a group is that has lost its majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecoverPhase {
    /// Meta removes the nodes that are lost: from now on nobody listens to them.
    Lose,
    /// The replica that is kept goes on as the only voter.
    Alone,
    /// Meta's map says so.
    Publish,
}

/// What a job does next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Make groups, which then own these ranges.
    MakeGroups {
        /// How far it is.
        phase: MakePhase,
        /// The groups.
        groups: Vec<NewGroup>,
        /// The range that is then moved to the first of them.
        then_move: Option<RangeDescriptor>,
    },
    /// Bring a group's leadership to another voter.
    TransferLeader {
        /// The group.
        group_id: GroupId,
        /// Who led when it was decided.
        from: NodeId,
        /// Who should.
        to: NodeId,
        /// Away from a node that is being emptied, or for balance.
        urgent: bool,
    },
    /// Put a replica on another node in the place of one that cannot come back.
    ReplaceReplica {
        /// How far it is.
        phase: ReplacePhase,
        /// The group.
        group_id: GroupId,
        /// The node that is lost.
        from: NodeId,
        /// The node that takes its place.
        to: NodeId,
        /// The replicas afterwards.
        replicas: Vec<Replica>,
    },
    /// Give a group the ranges of a new table.
    AddRanges {
        /// How far it is.
        phase: AddPhase,
        /// The group.
        group_id: GroupId,
        /// The ranges.
        ranges: Vec<RangeDescriptor>,
    },
    /// Have a group remove ranges of dropped tables, and their records.
    DropRanges {
        /// The group.
        group_id: GroupId,
        /// The ranges.
        ranges: Vec<RangeId>,
    },
    /// Find out what an operator's wish comes to.
    Wish(Wish),
    /// Cut a range in two within its group.
    SplitRange {
        /// How far it is.
        phase: SplitPhase,
        /// The range before; it keeps its id for the left part.
        range: RangeDescriptor,
        /// The first key of the right part; `None` is where it is halved, which is asked first.
        at: Option<Bytes>,
        /// The id of the right part.
        right_id: RangeId,
    },
    /// Make one range of two neighbours of one group.
    MergeRanges {
        /// How far it is.
        phase: MergePhase,
        /// The left one before; it keeps its id.
        left: RangeDescriptor,
        /// The right one before.
        right: RangeDescriptor,
    },
    /// Bring a range to another group.
    MoveRange {
        /// How far it is.
        phase: MovePhase,
        /// The range before, with the group that owned it then.
        range: RangeDescriptor,
        /// The group that is to own it.
        to: GroupId,
    },
    /// Remove a group that owns nothing.
    RemoveGroup {
        /// How far it is.
        phase: RemovePhase,
        /// The group, with its members.
        group: GroupDescriptor,
    },
    /// Give a group that has too few replicas one more.
    AddReplica {
        /// How far it is.
        phase: ReplacePhase,
        /// The group.
        group_id: GroupId,
        /// The node that gets it.
        to: NodeId,
        /// The replicas afterwards.
        replicas: Vec<Replica>,
    },
    /// Have a group that has lost its majority go on from what one replica has.
    Recover {
        /// How far it is.
        phase: RecoverPhase,
        /// The group.
        group_id: GroupId,
        /// The node whose replica is kept.
        node_id: NodeId,
        /// The voters that are lost for good.
        lost: Vec<NodeId>,
    },
}

impl Step {
    /// The step of a job.
    pub fn of(job: &JobDescriptor) -> Result<Self, DecodeError> {
        match &job.wish {
            Some(wish) if job.step.is_empty() => Ok(Self::Wish(wish.clone())),
            _ => decode(&job.step),
        }
    }

    /// For the job's row.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Whether the job changes something about this group.
    #[must_use]
    pub fn is_about(&self, group: GroupId) -> bool {
        match self {
            Self::MakeGroups {
                groups, then_move, ..
            } => {
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
            Self::SplitRange { range, .. } => range.group_id == group,
            Self::MergeRanges { left, .. } => left.group_id == group,
            Self::MoveRange { range, to, .. } => range.group_id == group || *to == group,
            Self::RemoveGroup { group: removed, .. } => removed.group_id == group,
            Self::TransferLeader { group_id, .. }
            | Self::ReplaceReplica { group_id, .. }
            | Self::AddReplica { group_id, .. }
            | Self::Recover { group_id, .. }
            | Self::AddRanges { group_id, .. }
            | Self::DropRanges { group_id, .. } => *group_id == group,
        }
    }

    /// Whether the job changes something about this range.
    #[must_use]
    pub fn is_about_range(&self, range_id: RangeId) -> bool {
        match self {
            Self::MakeGroups { then_move, .. } => then_move
                .as_ref()
                .is_some_and(|range| range.range_id == range_id),
            Self::SplitRange {
                range, right_id, ..
            } => range.range_id == range_id || *right_id == range_id,
            Self::MergeRanges { left, right, .. } => {
                left.range_id == range_id || right.range_id == range_id
            }
            Self::MoveRange { range, .. } => range.range_id == range_id,
            Self::AddRanges { ranges, .. } => ranges.iter().any(|r| r.range_id == range_id),
            Self::DropRanges { ranges, .. } => ranges.contains(&range_id),
            Self::TransferLeader { .. }
            | Self::ReplaceReplica { .. }
            | Self::AddReplica { .. }
            | Self::Recover { .. }
            | Self::Wish(_)
            | Self::RemoveGroup { .. } => false,
        }
    }

    /// Whether something was asked of a group that may have taken effect, as far as the phase says.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        match self {
            Self::MakeGroups { .. } | Self::Wish(_) => false,
            Self::SplitRange { phase, .. } => *phase > SplitPhase::Split,
            Self::MergeRanges { phase, .. } => *phase > MergePhase::Merge,
            Self::MoveRange { phase, .. } => *phase > MovePhase::Begin,
            Self::ReplaceReplica { phase, .. } | Self::AddReplica { phase, .. } => {
                *phase > ReplacePhase::Create
            }
            Self::Recover { phase, .. } => *phase > RecoverPhase::Lose,
            Self::RemoveGroup { phase, .. } => *phase > RemovePhase::Forget,
            Self::AddRanges { .. } | Self::DropRanges { .. } | Self::TransferLeader { .. } => true,
        }
    }

    /// Whether the job will give this table its ranges.
    #[must_use]
    pub fn makes_ranges_of(&self, table: TableId) -> bool {
        let of_table = |range: &RangeDescriptor| range.bounds.table == table;
        match self {
            Self::MakeGroups { groups, .. } => {
                groups.iter().flat_map(|group| &group.ranges).any(of_table)
            }
            Self::AddRanges { ranges, .. } => ranges.iter().any(of_table),
            _ => false,
        }
    }
}

/// A job as it is begun.
#[must_use]
pub fn begin(
    job_id: JobId,
    kind: &str,
    step: &Step,
    reasons: Vec<String>,
    now: UnixMillis,
) -> JobDescriptor {
    JobDescriptor {
        job_id,
        kind: kind.to_owned(),
        step: step.encode(),
        wish: None,
        progress: None,
        effect: None,
        state: JobState::Running,
        log: reasons,
        started_at: now,
    }
}

/// Begins the line that says why a job goes back to where it came from.
const TURNED_BACK: &str = "turned back: ";

/// The line that says why a job goes back.
pub(crate) fn turned_back(reason: &str) -> String {
    format!("{TURNED_BACK}{reason}")
}

/// Why a job went back, for its last line: that is read first.
pub(crate) fn why_turned_back(job: &JobDescriptor) -> String {
    let mut lines = job.log.iter().rev();
    let reason = lines.find_map(|line| line.strip_prefix(TURNED_BACK));
    reason.unwrap_or("it was turned back").to_owned()
}

/// Adds a line to a job's log, unless it only says again what the last one said; the middle of a
/// long log is dropped.
pub fn add_line(job: &mut JobDescriptor, line: String) -> bool {
    if job.log.last() == Some(&line) {
        return false;
    }
    job.log.push(line);
    if job.log.len() > FIRST_LINES + LAST_LINES {
        job.log.remove(FIRST_LINES);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_beginning_and_its_end() {
        let step = Step::TransferLeader {
            group_id: GroupId(1),
            from: NodeId(1),
            to: NodeId(2),
            urgent: false,
        };
        let mut job = begin(JobId(1), "test", &step, vec!["why".into()], UnixMillis(0));
        assert_eq!(Step::of(&job).unwrap(), step);
        for number in 0..500 {
            assert!(add_line(&mut job, format!("line {number}")));
            assert!(!add_line(&mut job, format!("line {number}")));
        }
        assert_eq!(job.log.len(), FIRST_LINES + LAST_LINES);
        assert_eq!(
            (job.log[0].as_str(), job.log[1].as_str()),
            ("why", "line 0")
        );
        assert_eq!(job.log.last().unwrap(), "line 499");
    }
}
