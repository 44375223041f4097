//! A plan in the making: what is in it claims its groups and ranges, and the limits it counts
//! against are the cluster's, with the jobs that run.

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
    /// Groups with a job that does more than copy.
    rigid: BTreeSet<GroupId>,
    /// Groups with a job that does more than copy a range.
    fixed: BTreeSet<GroupId>,
    /// Ranges under way to another group.
    pub(super) moves: usize,
    /// Nodes that take in a replica.
    pub(super) receivers: Vec<NodeId>,
    /// Hand-overs of leadership.
    pub(super) transfers: usize,
}

impl<'a> Draft<'a> {
    /// An empty plan beside the jobs that run.
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

    /// Begins a job that is judged by the traffic of its range.
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

    /// Begins a job that splits a range; a split for load is judged by the traffic of the range.
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

    /// Writes a range's row as its group has it.
    pub(super) fn mend(&mut self, range: &RangeDescriptor) {
        self.ranges.insert(range.range_id);
        self.plan.actions.push(Action::MendRange(range.clone()));
    }

    /// Says what is wanted and has to wait.
    pub(super) fn refuse(&mut self, reason: String) {
        self.plan.refusals.push(reason);
    }

    /// Whether no job is about the group.
    pub(super) fn is_free(&self, group_id: GroupId) -> bool {
        !self.groups.contains(&group_id)
    }

    /// Whether no job is about the range.
    pub(super) fn is_free_range(&self, range_id: RangeId) -> bool {
        !self.ranges.contains(&range_id)
    }

    /// Whether the group's leader may change: no job is about it but such as copy for long.
    pub(super) fn is_pliant(&self, group_id: GroupId) -> bool {
        !self.rigid.contains(&group_id)
    }

    /// Whether a replica of the group that is no good may be put elsewhere: no job is about it but
    /// such as copy a range. Both groups of a move know from their logs what is copied, whoever
    /// their members are, and a copy that is stuck would keep them from repair.
    pub(super) fn is_mendable(&self, group_id: GroupId) -> bool {
        !self.fixed.contains(&group_id)
    }

    /// A group that gets the ranges of a new table. It may get more at once.
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
            // One that was turned back takes nothing in, and may wait long for a leader.
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
