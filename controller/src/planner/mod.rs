//! Decides: a view in, actions with reasons out. Pure: the same view gives the same plan.
//!
//! One file per duty; each looks at the whole view and adds to the plan. What is wanted and cannot
//! be done yet is a refusal, with its reason, so that somebody who wonders can read why nothing
//! happens. A group or table that a running job is about is left to that job.

use std::time::Duration;

use bytes::Bytes;
use coterie_types::{GroupId, JobId, KeyRange, NodeId, NodeState, RangeDescriptor};

use crate::job::Step;
use crate::view::View;

mod bootstrap;
mod dropped;
mod leaders;
mod liveness;
mod placement;
mod prune;
mod replace;
mod strays;
mod tables;
#[cfg(test)]
mod tests;
mod wishes;

pub(crate) use wishes::{place_group, place_replica};

/// What is wanted of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Groups that a new cluster begins with.
    pub groups: usize,
    /// Replicas of each group.
    pub replicas: usize,
    /// Nodes that must have joined before they are made.
    pub bootstrap_nodes: usize,
    /// Where table 0 of a new cluster is cut.
    pub split_at: Vec<Bytes>,
    /// Silence after which a node counts as down.
    pub liveness_timeout: Duration,
}

/// A group that is to be made; ids are given when the job is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    /// Its voters; the first is to lead.
    pub voters: Vec<NodeId>,
    /// What it is to own; the ids of groups and ranges here are not yet meant.
    pub ranges: Vec<RangeDescriptor>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write a node's state.
    SetNodeState {
        /// The node.
        node_id: NodeId,
        /// Its new state.
        state: NodeState,
        /// Why.
        reason: String,
    },
    /// Begin a job that makes groups.
    MakeGroups {
        /// The kind of job.
        kind: &'static str,
        /// The groups.
        groups: Vec<GroupPlan>,
        /// Why.
        reasons: Vec<String>,
    },
    /// Begin a job whose step is known already.
    Begin {
        /// The kind of job.
        kind: &'static str,
        /// What it does.
        step: Step,
        /// Why.
        reasons: Vec<String>,
    },
    /// Begin a job that gives a group the ranges of a new table.
    AddRanges {
        /// The kind of job.
        kind: &'static str,
        /// The group.
        group_id: GroupId,
        /// What is to be its own.
        bounds: Vec<KeyRange>,
        /// Why.
        reasons: Vec<String>,
    },
    /// Begin a job that cuts a range in two.
    Split {
        /// The range.
        range: RangeDescriptor,
        /// The first key of the right part; `None` is where it is halved.
        at: Option<Bytes>,
        /// The kind of job.
        kind: &'static str,
        /// Why.
        reasons: Vec<String>,
    },
    /// Write a range as its group says it is, where the map is behind.
    MendRange(RangeDescriptor),
    /// Have a node remove a replica that is not its own any more.
    DestroyStray {
        /// The node.
        node_id: NodeId,
        /// The group.
        group_id: GroupId,
        /// Why.
        reason: String,
    },
    /// Forget a job that is over.
    ForgetJob(JobId),
}

/// What to do now, and what not, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// What is wanted and has to wait.
    pub refusals: Vec<String>,
}

/// Looks at the view and decides.
#[must_use]
pub fn plan(view: &View, settings: &Settings) -> Plan {
    let mut plan = Plan::default();
    liveness::plan(view, settings, &mut plan);
    bootstrap::plan(view, settings, &mut plan);
    tables::plan(view, settings, &mut plan);
    dropped::plan(view, &mut plan);
    replace::plan(view, settings, &mut plan);
    strays::plan(view, settings, &mut plan);
    leaders::plan(view, settings, &mut plan);
    prune::plan(view, &mut plan);
    plan
}
