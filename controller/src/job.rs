//! What jobs are made of: their parameters and how far they are, as they stand in meta.
//!
//! A step that stands here may have been taken, in part or whole, any number of times. The encoding
//! is postcard of [`Step`]; a variant is never given a second meaning, since a job may have been
//! begun by another version.

use std::fmt;

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_protocol::{DecodeError, decode, encode};
use coterie_types::{
    GroupId, JobId, NodeId, RangeDescriptor, RangeId, Replica, TableId, UnixMillis,
};
use serde::{Deserialize, Serialize};

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
    /// The group takes it in, once it has caught up, and forgets the old one.
    Change,
    /// Meta's map says who the members are.
    Publish,
}

/// How far the adding of ranges is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AddPhase {
    /// The group takes them in.
    Add,
    /// Meta's map says where they are.
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
}

impl Step {
    /// The step of a job.
    pub fn of(job: &JobDescriptor) -> Result<Self, DecodeError> {
        decode(&job.step)
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
            Self::MakeGroups { groups, .. } => groups.iter().any(|new| new.group_id == group),
            Self::TransferLeader { group_id, .. }
            | Self::ReplaceReplica { group_id, .. }
            | Self::AddRanges { group_id, .. }
            | Self::DropRanges { group_id, .. } => *group_id == group,
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
            Self::TransferLeader { .. } | Self::ReplaceReplica { .. } | Self::DropRanges { .. } => {
                false
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeGroups { phase, groups } => {
                let phase = match phase {
                    MakePhase::Create => "create replicas of",
                    MakePhase::Init => "start",
                    MakePhase::Publish => "publish",
                };
                write!(f, "{phase} {} group(s)", groups.len())
            }
            Self::TransferLeader {
                group_id, from, to, ..
            } => {
                write!(
                    f,
                    "transfer the leader of group {group_id} from node {from} to {to}"
                )
            }
            Self::ReplaceReplica {
                phase,
                group_id,
                from,
                to,
                ..
            } => {
                let phase = match phase {
                    ReplacePhase::Create => "create the replica of",
                    ReplacePhase::Change => "change the members of",
                    ReplacePhase::Publish => "publish",
                };
                write!(f, "{phase} group {group_id}: node {to} for node {from}")
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
        state: JobState::Running,
        log: reasons,
        started_at: now,
    }
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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
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
