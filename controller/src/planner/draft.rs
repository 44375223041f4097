//! A plan in the making. Each action claims its groups and ranges for the rest of the plan. Limits
//! count the actions of the plan and the running jobs of the cluster.

use std::collections::BTreeSet;

use coterie_protocol::catalog::{Catalog, Traffic};
use coterie_types::{GroupId, NodeId, RangeDescriptor, RangeId};

use super::busy::{groups_of, is_copying, is_copying_range, ranges_of};
use super::facts::Facts;
use super::plan::{Action, Plan};
use crate::job::{AddPhase, AddRanges, AddReplica, MakeGroups, ReplacePhase, ReplaceReplica, Step};

/// See the module's head.
pub(super) struct Draft<'a> {
    pub(super) plan: Plan,
    catalog: &'a Catalog,
    groups: BTreeSet<GroupId>,
    ranges: BTreeSet<RangeId>,
    /// Groups with a job, other than a long copy.
    rigid: BTreeSet<GroupId>,
    /// Groups with a job, other than the copy of a range.
    fixed: BTreeSet<GroupId>,
    /// Ranges that move to another group.
    pub(super) moves: usize,
    /// Nodes that receive a replica.
    pub(super) receivers: Vec<NodeId>,
    /// Transfers of leadership.
    pub(super) transfers: usize,
}

impl<'a> Draft<'a> {
    /// An empty plan, with the claims of the running jobs.
    pub(super) fn of(facts: &Facts<'a>) -> Self {
        let mut draft = Self {
            plan: Plan::default(),
            catalog: &facts.view.catalog,
            groups: BTreeSet::new(),
            ranges: BTreeSet::new(),
            rigid: BTreeSet::new(),
            fixed: BTreeSet::new(),
            moves: 0,
            receivers: Vec::new(),
            transfers: 0,
        };
        for step in facts.running() {
            draft.claim(step);
        }
        draft
    }

    /// Begins a job.
    pub(super) fn begin(&mut self, kind: &'static str, step: Step, reasons: Vec<String>) {
        self.begin_for_load(kind, step, reasons, None);
    }

    /// Begins a job whose effect is judged by the traffic of its range.
    pub(super) fn begin_for_load(
        &mut self,
        kind: &'static str,
        step: Step,
        reasons: Vec<String>,
        before: Option<Traffic>,
    ) {
        self.claim(&step);
        self.plan.actions.push(Action::Begin {
            kind,
            step,
            reasons,
            before,
        });
    }

    /// Begins a job that splits a range. The effect of a split for load is judged by the traffic of
    /// the range.
    pub(super) fn split(
        &mut self,
        kind: &'static str,
        range: &RangeDescriptor,
        at: Option<bytes::Bytes>,
        reasons: Vec<String>,
        before: Option<Traffic>,
    ) {
        self.groups.insert(range.group_id);
        self.rigid.insert(range.group_id);
        self.fixed.insert(range.group_id);
        self.ranges.insert(range.range_id);
        self.plan.actions.push(Action::Split {
            kind,
            range: range.clone(),
            at,
            reasons,
            before,
        });
    }

    /// Writes a range to meta's map as its group reports it.
    pub(super) fn mend(&mut self, range: &RangeDescriptor) {
        self.ranges.insert(range.range_id);
        self.plan.actions.push(Action::MendRange(range.clone()));
    }

    /// Adds a refusal.
    pub(super) fn refuse(&mut self, reason: String) {
        self.plan.refusals.push(reason);
    }

    /// Whether the group has no job.
    pub(super) fn is_free(&self, group_id: GroupId) -> bool {
        !self.groups.contains(&group_id)
    }

    /// Whether the range has no job.
    pub(super) fn is_free_range(&self, range_id: RangeId) -> bool {
        !self.ranges.contains(&range_id)
    }

    /// Whether the group's leader may change: the group has no job, or only long copies.
    pub(super) fn is_pliant(&self, group_id: GroupId) -> bool {
        !self.rigid.contains(&group_id)
    }

    /// Whether a lost replica of the group may be replaced: the group has no job, or only copies of
    /// a range. Both groups of a move know from their logs which records are copied, whichever
    /// nodes are members, and a stuck copy would prevent the repair of its groups.
    pub(super) fn is_mendable(&self, group_id: GroupId) -> bool {
        !self.fixed.contains(&group_id)
    }

    /// Claims the group for the ranges of a new table. It may get more tables in the same plan.
    pub(super) fn claim_for_table(&mut self, group_id: GroupId) {
        self.claim(&Step::AddRanges(AddRanges {
            phase: AddPhase::Add,
            group_id,
            ranges: Vec::new(),
        }));
    }

    fn claim(&mut self, step: &Step) {
        let groups = groups_of(step, self.catalog);
        if !is_copying(step) {
            self.rigid.extend(groups.iter().copied());
        }
        if !is_copying_range(step) {
            self.fixed.extend(groups.iter().copied());
        }
        self.groups.extend(groups);
        self.ranges.extend(ranges_of(step, self.catalog));
        match step {
            Step::MoveRange(_) => self.moves += 1,
            Step::MakeGroups(MakeGroups {
                then_move: Some(_), ..
            }) => self.moves += 1,
            // A job that was turned back brings no replica to the node, and may wait long for a
            // leader.
            Step::ReplaceReplica(ReplaceReplica { phase, to, .. })
            | Step::AddReplica(AddReplica { phase, to, .. })
                if *phase < ReplacePhase::Undo =>
            {
                self.receivers.push(*to);
            }
            Step::TransferLeader(_) => self.transfers += 1,
            _ => {}
        }
    }
}
