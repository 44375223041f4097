//! A plan: the actions to carry out now, and the refusals.

use bytes::Bytes;
use coterie_protocol::catalog::{Effect, Traffic};
use coterie_types::{GroupId, JobId, KeyRange, NodeId, NodeState, RangeDescriptor};

use crate::job::Step;

/// A group to be created. It gets its ids when its job begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    /// Its voters. The first leads it first.
    pub voters: Vec<NodeId>,
    /// The ranges it owns from the start. The ids in them are placeholders.
    pub ranges: Vec<RangeDescriptor>,
}

/// An action for the executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Writes a node's state.
    SetNodeState {
        /// The node.
        node_id: NodeId,
        /// Its new state.
        state: NodeState,
        /// The reason, for the log.
        reason: String,
    },
    /// Begins a job that creates groups.
    MakeGroups {
        /// The kind of job.
        kind: &'static str,
        /// The groups.
        groups: Vec<GroupPlan>,
        /// The reasons, for the job's log.
        reasons: Vec<String>,
    },
    /// Begins a job that needs no new ids of groups or ranges.
    Begin {
        /// The kind of job.
        kind: &'static str,
        /// Its first step.
        step: Step,
        /// The reasons, for the job's log.
        reasons: Vec<String>,
        /// For a job for load, the traffic of its range before it. Its effect is judged by that.
        before: Option<Traffic>,
    },
    /// Begins a job that gives the ranges of a new table to a group.
    AddRanges {
        /// The kind of job.
        kind: &'static str,
        /// The group.
        group_id: GroupId,
        /// The bounds of the ranges.
        bounds: Vec<KeyRange>,
        /// The reasons, for the job's log.
        reasons: Vec<String>,
    },
    /// Begins a job that splits a range.
    Split {
        /// The range.
        range: RangeDescriptor,
        /// The first key of the right part. `None`: in the middle.
        at: Option<Bytes>,
        /// The kind of job.
        kind: &'static str,
        /// The reasons, for the job's log.
        reasons: Vec<String>,
        /// For a split for load, the traffic of the range before it. Its effect is judged by that.
        before: Option<Traffic>,
    },
    /// Writes the effect of a job for load.
    Judge {
        /// The job.
        job_id: JobId,
        /// Its effect.
        effect: Effect,
        /// The effect in words, for the job's log.
        line: String,
    },
    /// Writes a range to meta's map, which is behind the range's group.
    MendRange(RangeDescriptor),
    /// Has a node delete a replica of a group that it is no longer a member of.
    DestroyStray {
        /// The node.
        node_id: NodeId,
        /// The group.
        group_id: GroupId,
        /// The reason, for the log.
        reason: String,
    },
    /// Deletes a job that is over.
    ForgetJob(JobId),
}

/// The planner's result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The actions, in their order.
    pub actions: Vec<Action>,
    /// Wanted changes that have to wait, each with its reason.
    pub refusals: Vec<String>,
}
