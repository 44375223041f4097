//! Decides: a view in, actions with reasons out. Pure: the same views give the same plans.
//!
//! One file per duty; each looks at the whole view and adds to the plan. What is wanted and cannot
//! be done yet is a refusal, with its reason, so that somebody who wonders can read why nothing
//! happens. A group or range that a job is about, running or just planned, is left to that job, so
//! the order of the duties is their precedence. What must have been so for a while is so by the
//! [`Memory`] of earlier views.

use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::catalog::{Effect, Traffic};
use coterie_types::{GroupId, JobId, KeyRange, NodeId, NodeState, RangeDescriptor};

use crate::job::Step;
use crate::view::View;

mod balance;
mod bootstrap;
mod busy;
mod draft;
mod dropped;
mod effects;
mod facts;
mod fill;
mod groups;
mod hosts;
mod leaders;
mod liveness;
mod memory;
mod mend;
mod merge;
mod placement;
mod prune;
mod repair;
mod replicas;
mod slow;
mod split;
mod strays;
mod tables;
#[cfg(test)]
mod tests;
mod wishes;

pub(crate) use wishes::{place_group, place_replica};

use draft::Draft;
use facts::Facts;
pub use memory::Memory;

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
    /// Silence after which a node's replicas are put elsewhere.
    pub replace_after: Duration,
    /// Replicas that are brought to other nodes at once, in the whole cluster.
    pub snapshots_max: usize,
    /// Bytes above which a range is cut.
    pub split_size: u64,
    /// Commands per second above which a range is cut.
    pub split_ops: u64,
    /// Bytes of commands and replies per second above which a range is cut.
    pub split_bytes: u64,
    /// CPU time per second above which a range is cut.
    pub split_cpu: Duration,
    /// How long neighbours must hardly have been used to become one range.
    pub merge_after: Duration,
    /// Ranges that are moved at once, in the whole cluster.
    pub moves_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            groups: 3,
            replicas: 3,
            bootstrap_nodes: 3,
            split_at: Vec::new(),
            liveness_timeout: Duration::from_secs(3),
            replace_after: Duration::from_secs(60),
            snapshots_max: 2,
            split_size: 512 << 20,
            split_ops: 20_000,
            split_bytes: 64 << 20,
            split_cpu: Duration::from_millis(800),
            merge_after: Duration::from_secs(600),
            moves_max: 2,
        }
    }
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
        /// The present traffic of its range, if it is begun for load: it is judged by that.
        before: Option<Traffic>,
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
        /// The present traffic of the range, if it is split for load: the job is judged by that.
        before: Option<Traffic>,
    },
    /// Write down the effect of a job for load.
    Judge {
        /// The job.
        job_id: JobId,
        /// Its effect.
        effect: Effect,
        /// The same, in words.
        line: String,
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

/// Looks at the view and decides, as a controller does that has only just begun to look.
#[must_use]
pub fn plan(view: &View, settings: &Settings) -> Plan {
    plan_on(view, settings, &mut Memory::default())
}

/// Looks at the view, remembers what has to be remembered, and decides.
#[must_use]
pub fn plan_on(view: &View, settings: &Settings, memory: &mut Memory) -> Plan {
    let facts = Facts::of(view, settings);
    memory.observe(&facts);
    let memory = &*memory;
    let mut draft = Draft::of(&facts);
    liveness::plan(view, settings, &mut draft.plan);
    bootstrap::plan(view, settings, &mut draft.plan);
    tables::plan(&facts, &mut draft);
    dropped::plan(&facts, &mut draft);
    mend::plan(&facts, memory, &mut draft);
    leaders::plan(&facts, memory, &mut draft);
    repair::plan(&facts, memory, &mut draft);
    fill::plan(&facts, memory, &mut draft);
    strays::plan(view, settings, &mut draft.plan);
    split::plan(&facts, memory, &mut draft);
    groups::plan(&facts, memory, &mut draft);
    merge::plan(&facts, memory, &mut draft);
    balance::plan(&facts, memory, &mut draft);
    replicas::plan(&facts, memory, &mut draft);
    effects::plan(&facts, memory, &mut draft);
    prune::plan(view, &mut draft.plan);
    draft.plan
}
