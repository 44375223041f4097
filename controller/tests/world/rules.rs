//! The rules that every plan keeps on every cluster: one job for a group, limits, current rows,
//! zones.

use std::collections::{BTreeMap, BTreeSet};

use coterie_controller::job::{self, MergeRanges, MoveRange, ReplaceReplica, SplitRange, Step};
use coterie_controller::planner::{Action, Plan};
use coterie_protocol::catalog::JobState;
use coterie_types::{GroupId, NodeId, NodeState, RangeDescriptor, RangeId};

use super::World;

impl World {
    /// The rules that every plan keeps.
    pub(super) fn check(&self, plan: &Plan) {
        let jobs = self.catalog.jobs.values();
        let running = jobs.filter(|job| job.state == JobState::Running);
        let running: Vec<Step> = running.map(|job| Step::of(job).unwrap()).collect();
        let planned = plan.actions.iter().filter_map(|action| match action {
            Action::Begin { step, .. } => Some(step.clone()),
            Action::Split { range, at, .. } => Some(Step::SplitRange(SplitRange {
                phase: job::SplitPhase::Split,
                range: range.clone(),
                at: at.clone(),
                right_id: RangeId(u64::MAX),
            })),
            _ => None,
        });
        let planned: Vec<Step> = planned.collect();
        let mut about: BTreeMap<GroupId, &Step> = BTreeMap::new();
        // A job that copies a range blocks no other job.
        let is_copying = |step: &&Step| {
            let phase = match step {
                Step::MoveRange(MoveRange { phase, .. }) => Some(*phase),
                _ => None,
            };
            phase == Some(job::MovePhase::Copy)
        };
        for (step, is_planned) in running
            .iter()
            .filter(|step| !is_copying(step))
            .map(|step| (step, false))
            .chain(planned.iter().map(|step| (step, true)))
        {
            let groups = self.catalog.groups.keys();
            for group_id in groups.filter(|group_id| step.is_about(**group_id)) {
                let other = about.insert(*group_id, step);
                assert!(!is_planned || other.is_none(), "{step} beside {other:?}");
            }
        }
        for step in &planned {
            self.check_step(step);
        }
        let moves = |steps: &[Step]| {
            let moves = steps.iter().filter(|s| matches!(s, Step::MoveRange(_)));
            moves.count()
        };
        let begun = moves(&planned);
        assert!(begun == 0 || moves(&running) + begun <= self.settings.moves_max);
        let receivers = |steps: &[Step]| -> Vec<NodeId> {
            let to = steps.iter().filter_map(|step| match step {
                Step::ReplaceReplica(ReplaceReplica { to, .. }) => Some(*to),
                _ => None,
            });
            to.collect()
        };
        let all = [receivers(&running), receivers(&planned)].concat();
        assert!(receivers(&planned).is_empty() || all.len() <= self.settings.snapshots_max);
        let each: BTreeSet<NodeId> = all.iter().copied().collect();
        assert_eq!(
            each.len(),
            all.len(),
            "a node takes in one replica at a time"
        );
    }

    fn check_step(&self, step: &Step) {
        let is_row = |range: &RangeDescriptor| {
            assert_eq!(
                self.catalog.ranges.get(&range.range_id),
                Some(range),
                "{step}"
            );
        };
        match step {
            Step::SplitRange(SplitRange { range, .. }) => is_row(range),
            Step::MergeRanges(MergeRanges { left, right, .. }) => {
                is_row(left);
                is_row(right);
                assert_eq!(left.bounds.end.as_ref(), Some(&right.bounds.start));
                assert_eq!(left.group_id, right.group_id);
            }
            Step::MoveRange(MoveRange { range, to, .. }) => {
                is_row(range);
                assert_ne!(range.group_id, *to);
            }
            Step::ReplaceReplica(ReplaceReplica {
                group_id,
                from,
                to,
                replicas,
                ..
            }) => {
                let before: BTreeSet<NodeId> = self.catalog.groups[group_id].voters().collect();
                let after: BTreeSet<NodeId> = replicas.iter().map(|r| r.node_id).collect();
                assert!(before.contains(from) && !before.contains(to), "{step}");
                assert_eq!(&(&before - &[*from].into()) | &[*to].into(), after);
                let was_fit = self.is_zoned(&before);
                assert!(
                    !was_fit || self.is_zoned(&after),
                    "a zone gets a majority: {step}"
                );
            }
            _ => {}
        }
    }

    /// Whether no zone has a majority of these nodes, or fewer than three zones have nodes.
    pub(crate) fn is_zoned(&self, members: &BTreeSet<NodeId>) -> bool {
        let nodes = self.catalog.nodes.values();
        let up = nodes
            .filter(|node| node.state == NodeState::Up && !self.silent.contains(&node.node_id));
        let zones: BTreeSet<&str> = up.map(|node| node.zone.as_str()).collect();
        let zone = |id: &NodeId| self.catalog.nodes[id].zone.as_str();
        let in_zone = |of: &str| members.iter().filter(|id| zone(id) == of).count();
        zones.len() < 3 || zones.into_iter().all(|of| 2 * in_zone(of) <= members.len())
    }
}
