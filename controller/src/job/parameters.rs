//! The parameters of each kind of step, as they are stored in meta.

use bytes::Bytes;
use coterie_types::{GroupDescriptor, GroupId, NodeId, RangeDescriptor, RangeId, Replica};
use serde::{Deserialize, Serialize};

use super::phases::{
    AddPhase, MakePhase, MergePhase, MovePhase, RecoverPhase, RemovePhase, ReplacePhase, SplitPhase,
};

/// A group to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGroup {
    /// Its id.
    pub group_id: GroupId,
    /// Its voters. The first is asked to start the group, and so leads it first.
    pub voters: Vec<NodeId>,
    /// The ranges it owns from the start.
    pub ranges: Vec<RangeDescriptor>,
}

/// Creates groups, with ranges that they own from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeGroups {
    /// The phase that comes next.
    pub phase: MakePhase,
    /// The groups.
    pub groups: Vec<NewGroup>,
    /// A range that the job then moves to the first of the groups.
    pub then_move: Option<RangeDescriptor>,
}

/// Transfers a group's leadership to another voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLeader {
    /// The group.
    pub group_id: GroupId,
    /// The leader when the planner decided.
    pub from: NodeId,
    /// The new leader.
    pub to: NodeId,
    /// Whether the old leader's node is drained or stops; otherwise it is for balance.
    pub urgent: bool,
}

/// Replaces a group's replica by a new replica on another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaceReplica {
    /// The phase that comes next.
    pub phase: ReplacePhase,
    /// The group.
    pub group_id: GroupId,
    /// The node of the old replica.
    pub from: NodeId,
    /// The node of the new replica.
    pub to: NodeId,
    /// The group's replicas afterwards.
    pub replicas: Vec<Replica>,
}

/// Gives the ranges of a new table to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddRanges {
    /// The phase that comes next.
    pub phase: AddPhase,
    /// The group.
    pub group_id: GroupId,
    /// The ranges.
    pub ranges: Vec<RangeDescriptor>,
}

/// Has a group delete ranges of dropped tables, and their records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRanges {
    /// The group.
    pub group_id: GroupId,
    /// The ranges.
    pub ranges: Vec<RangeId>,
}

/// Splits a range within its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRange {
    /// The phase that comes next.
    pub phase: SplitPhase,
    /// The range before the split. The left part keeps its id.
    pub range: RangeDescriptor,
    /// The first key of the right part. `None`: the group is asked for the middle first.
    pub at: Option<Bytes>,
    /// The id of the right part.
    pub right_id: RangeId,
}

/// Merges two neighbouring ranges of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRanges {
    /// The phase that comes next.
    pub phase: MergePhase,
    /// The left range before the merge. The merged range keeps its id.
    pub left: RangeDescriptor,
    /// The right range before the merge.
    pub right: RangeDescriptor,
}

/// Moves a range to another group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRange {
    /// The phase that comes next.
    pub phase: MovePhase,
    /// The range before the move, with the source group.
    pub range: RangeDescriptor,
    /// The destination group.
    pub to: GroupId,
}

/// Removes a group that owns nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveGroup {
    /// The phase that comes next.
    pub phase: RemovePhase,
    /// The group, with its members.
    pub group: GroupDescriptor,
}

/// Adds a replica to a group that has too few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddReplica {
    /// The phase that comes next.
    pub phase: ReplacePhase,
    /// The group.
    pub group_id: GroupId,
    /// The node of the new replica.
    pub to: NodeId,
    /// The group's replicas afterwards.
    pub replicas: Vec<Replica>,
}

/// Has a group that lost its majority go on from the records of a single replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// The phase that comes next.
    pub phase: RecoverPhase,
    /// The group.
    pub group_id: GroupId,
    /// The node of the surviving replica.
    pub node_id: NodeId,
    /// The voters that are lost for good.
    pub lost: Vec<NodeId>,
}
