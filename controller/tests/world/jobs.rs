//! The executor of this world: jobs begin, and have their effect at their end.

use bytes::Bytes;
use coterie_controller::job::{
    self, MakeGroups, MergeRanges, MoveRange, RemoveGroup, ReplaceReplica, SplitRange, Step,
    TransferLeader,
};
use coterie_controller::planner::Action;
use coterie_protocol::catalog::{Effect, Row, RowKey, Traffic};
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, JobId, KeyRange, RangeDescriptor, RangeId, UnixMillis,
};

use super::{Cost, World, group_row, middle};

impl World {
    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::SetNodeState { node_id, state, .. } => self.set_state(node_id, state),
            // Nothing is left behind in this world.
            Action::DestroyStray { .. } => {}
            Action::MakeGroups { kind, groups, .. } => {
                let new = groups.into_iter().map(|group| job::NewGroup {
                    group_id: GroupId(self.new_id()),
                    voters: group.voters,
                    ranges: vec![],
                });
                let step = Step::MakeGroups(MakeGroups {
                    phase: job::MakePhase::Create,
                    groups: new.collect(),
                    then_move: None,
                });
                self.begin(kind, step, None);
            }
            Action::Begin {
                kind, step, before, ..
            } => {
                if let Step::MoveRange(MoveRange { range, .. }) = &step {
                    self.moves.push((self.ticks, range.range_id));
                }
                self.begin(kind, step, before);
            }
            Action::Split {
                kind,
                range,
                at,
                before,
                ..
            } => {
                let at = at.unwrap_or_else(|| middle(&range));
                let right_id = RangeId(self.new_id());
                let phase = job::SplitPhase::Split;
                let step = Step::SplitRange(SplitRange {
                    phase,
                    range,
                    at: Some(at),
                    right_id,
                });
                self.begin(kind, step, before);
            }
            Action::Judge {
                job_id,
                effect,
                line,
            } => self.judge(job_id, effect, line),
            Action::MendRange(range) => self.write(vec![Row::Range(range)], vec![]),
            Action::ForgetJob(job_id) => self.write(vec![], vec![RowKey::Job(job_id)]),
            Action::AddRanges {
                group_id, bounds, ..
            } => {
                for bounds in bounds {
                    let range_id = RangeId(self.new_id());
                    self.costs.insert(range_id, Cost::default());
                    let row = RangeDescriptor {
                        range_id,
                        epoch: Epoch(1),
                        bounds,
                        group_id,
                    };
                    self.write(vec![Row::Range(row)], vec![]);
                }
            }
        }
    }

    fn judge(&mut self, job_id: JobId, effect: Effect, line: String) {
        let mut job = self.catalog.jobs[&job_id].clone();
        job.effect = Some(effect);
        job::add_line(&mut job, line);
        self.write(vec![Row::Job(job)], vec![]);
    }

    fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn begin(&mut self, kind: &str, step: Step, before: Option<Traffic>) {
        let job_id = JobId(self.new_id());
        let now = UnixMillis(1_000_000_000 + self.ticks * 1000);
        let mut job = job::begin(job_id, kind, &step, vec![], now);
        job.effect = before.map(|before| Effect {
            before,
            after: None,
            helped: false,
        });
        let (least, most) = self.job_ticks;
        let ticks = least + self.chance(most - least + 1);
        self.due.insert(job_id, self.ticks + ticks);
        self.write(vec![Row::Job(job)], vec![]);
    }

    pub(super) fn finish(&mut self, step: Step) {
        match step {
            Step::MakeGroups(MakeGroups { groups, .. }) => {
                for new in groups {
                    self.leaders.insert(new.group_id, new.voters[0]);
                    let row = group_row(new.group_id, new.voters.into_iter().collect());
                    self.write(vec![row], vec![]);
                }
            }
            Step::TransferLeader(TransferLeader { group_id, to, .. }) => {
                self.leaders.insert(group_id, to);
            }
            Step::ReplaceReplica(ReplaceReplica {
                group_id, replicas, ..
            }) => {
                let row = Row::Group(GroupDescriptor { group_id, replicas });
                self.write(vec![row], vec![]);
            }
            Step::SplitRange(SplitRange {
                range,
                at,
                right_id,
                ..
            }) => {
                let at = at.unwrap_or_else(|| middle(&range));
                self.split(range, at, right_id);
            }
            Step::MergeRanges(MergeRanges { left, right, .. }) => {
                let cost = self.costs.remove(&right.range_id).unwrap();
                let merged = self.costs.get_mut(&left.range_id).unwrap();
                merged.size += cost.size;
                merged.ops += cost.ops;
                let row = Row::Range(RangeDescriptor {
                    epoch: left.epoch.max(right.epoch).next(),
                    bounds: KeyRange {
                        end: right.bounds.end,
                        ..left.bounds
                    },
                    ..left
                });
                self.write(vec![row], vec![RowKey::Range(right.range_id)]);
            }
            Step::MoveRange(MoveRange { range, to, .. }) => {
                let row = Row::Range(RangeDescriptor {
                    epoch: range.epoch.next(),
                    group_id: to,
                    ..range
                });
                self.write(vec![row], vec![]);
            }
            Step::RemoveGroup(RemoveGroup { group, .. }) => {
                self.leaders.remove(&group.group_id);
                self.write(vec![], vec![RowKey::Group(group.group_id)]);
            }
            other => panic!("nobody plans this here: {other}"),
        }
    }

    fn split(&mut self, range: RangeDescriptor, at: Bytes, right_id: RangeId) {
        let cost = self.costs[&range.range_id];
        let half = Cost {
            size: cost.size / 2,
            ops: cost.ops / 2,
        };
        self.costs.insert(range.range_id, half);
        self.costs.insert(right_id, half);
        let part = |range_id, start, end| {
            Row::Range(RangeDescriptor {
                range_id,
                epoch: range.epoch.next(),
                bounds: KeyRange {
                    table: range.bounds.table,
                    start,
                    end,
                },
                group_id: range.group_id,
            })
        };
        let left = part(range.range_id, range.bounds.start.clone(), Some(at.clone()));
        let right = part(right_id, at, range.bounds.end.clone());
        self.write(vec![left, right], vec![]);
    }
}
