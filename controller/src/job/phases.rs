//! The phases of each kind of step, in the order in which a job goes through them.
//!
//! Postcard encodes a phase as its number: a new phase is appended.

use serde::{Deserialize, Serialize};

/// Phases of [`MakeGroups`](super::MakeGroups).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MakePhase {
    /// Each member creates an empty replica. The job may still be given up.
    Create,
    /// Each group is started. From now on the job only goes forward.
    Init,
    /// Meta's map gets the groups and their ranges.
    Publish,
}

/// Phases of [`ReplaceReplica`](super::ReplaceReplica) and [`AddReplica`](super::AddReplica).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReplacePhase {
    /// The new node creates an empty replica. The job may still be given up.
    Create,
    /// The group adds the replica as a learner and waits until it has caught up.
    Learn,
    /// The learner's records are compared with the leader's at one log index.
    Verify,
    /// The learner becomes a voter, and the group removes the old replica.
    Change,
    /// Meta's map gets the new members.
    Publish,
    /// The old replica's node deletes it, if there is an old replica.
    Destroy,
    /// The group removes the learner again, and its node deletes it.
    Undo,
    /// As `Undo`, because the new node cannot host the replica; it is avoided for a while.
    Refuse,
}

/// Phases of [`SplitRange`](super::SplitRange).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SplitPhase {
    /// The group splits the range, by an entry of its log.
    Split,
    /// Meta's map gets the two parts.
    Publish,
}

/// Phases of [`MergeRanges`](super::MergeRanges).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MergePhase {
    /// The group merges the ranges, by an entry of its log.
    Merge,
    /// Meta's map gets the merged range.
    Publish,
}

/// Phases of [`MoveRange`](super::MoveRange) (design §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MovePhase {
    /// The destination is told of the range. The job may still be given up.
    Begin,
    /// The source hands the range off. From now on the job only goes forward.
    HandOff,
    /// The destination begins to serve the range.
    Activate,
    /// Meta's map gets the new owner.
    Publish,
    /// The destination copies the records that it does not have yet.
    Copy,
    /// The source deletes its copy.
    Drop,
    /// The source did not hand the range off: the destination forgets it.
    Cancel,
}

/// Phases of [`RemoveGroup`](super::RemoveGroup).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RemovePhase {
    /// Meta deletes the group's row. It refuses while the group owns a range.
    Forget,
    /// The members delete their replicas.
    Destroy,
}

/// Phases of [`AddRanges`](super::AddRanges).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AddPhase {
    /// The group adds the ranges, by an entry of its log.
    Add,
    /// Meta's map gets the ranges.
    Publish,
}

/// Phases of [`Recover`](super::Recover).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecoverPhase {
    /// Meta removes the lost nodes. From now on no node listens to them.
    Lose,
    /// The surviving replica goes on as the only voter.
    Alone,
    /// Meta's map gets the only voter.
    Publish,
}
