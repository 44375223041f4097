//! The view, ordered once for all duties of a plan: the leader of each group, the cost of each
//! range, the recent jobs. A cluster may have 100,000 ranges, so nothing here is searched twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_protocol::server::{RangeLoad, ReplicaStatus};
use coterie_protocol::settings::BALANCE;
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, NodeId, RangeDescriptor, RangeId, UnixMillis,
};

use super::hosts::Hosts;
use super::settings::Settings;
use super::tried::Tried;
use crate::job::{MoveRange, SplitRange, Step};
use crate::view::View;

/// The load at which a range is split, in the units of [`Range::load`].
pub(super) const FULL: u64 = 1_000_000;

/// The weight of a range besides its bytes: an empty range is not free.
pub(super) const RANGE_BYTES: u64 = 256 << 10;

/// How long a job counts against repeating it.
pub(super) const DAMPING: Duration = Duration::from_secs(600);

/// How often the pause after a failed search for a middle is doubled: up to five hours.
const HALVING_DOUBLINGS: u32 = 5;

/// A group with more than this part of its share of the load is noted.
const LOADED_PERCENT: u64 = 105;

/// See the module's head.
pub(super) struct Facts<'a> {
    pub(super) view: &'a View,
    pub(super) settings: &'a Settings,
    /// Ordered by id.
    pub(super) groups: Vec<GroupFacts<'a>>,
    /// Ordered by id.
    pub(super) ranges: Vec<Range<'a>>,
    /// All jobs whose steps can be decoded, running and over.
    pub(super) jobs: Vec<(&'a JobDescriptor, Step)>,
    /// The moves of each range within [`DAMPING`], running moves included.
    pub(super) moves: BTreeMap<RangeId, usize>,
    /// The parts of recent splits.
    pub(super) split_lately: BTreeSet<RangeId>,
    /// The hosts of the nodes.
    pub(super) hosts: Hosts,
    /// Actions for load that still count, by job.
    pub(super) tried: Vec<Tried>,
    /// Indexes into `tried`, by range.
    tried_on: BTreeMap<RangeId, Vec<usize>>,
    /// Failed searches for a range's middle: their number, and the time of the last.
    halvings: BTreeMap<(RangeId, Epoch), (u32, UnixMillis)>,
}

/// A group.
pub(super) struct GroupFacts<'a> {
    pub(super) row: &'a GroupDescriptor,
    /// The leader's node, and its report.
    pub(super) leader: Option<(NodeId, &'a ReplicaStatus)>,
    /// Indexes of its ranges, ordered by range id.
    pub(super) ranges: Vec<usize>,
}

/// A range.
pub(super) struct Range<'a> {
    pub(super) row: &'a RangeDescriptor,
    /// The index of its group.
    pub(super) group: Option<usize>,
    /// Its cost, as its leader reports it.
    pub(super) cost: Option<&'a RangeLoad>,
    /// The highest of its shares of operations, bytes and CPU. At [`FULL`] the range is split.
    pub(super) load: u64,
}

impl GroupFacts<'_> {
    pub(super) fn id(&self) -> GroupId {
        self.row.group_id
    }
}

impl Range<'_> {
    pub(super) fn size_bytes(&self) -> u64 {
        self.cost.map_or(0, |cost| cost.size_bytes)
    }

    /// The weight when sizes are evened out.
    pub(super) fn weight(&self) -> u64 {
        self.size_bytes() + RANGE_BYTES
    }

    /// Commands per second.
    pub(super) fn ops(&self) -> u64 {
        let cost = |cost: &RangeLoad| cost.reads_per_second + cost.writes_per_second;
        self.cost.map_or(0, cost)
    }
}

impl<'a> Facts<'a> {
    pub(super) fn of(view: &'a View, settings: &'a Settings) -> Self {
        let timeout = settings.liveness_timeout;
        let groups = view.catalog.groups.values().map(|row| {
            let leader = view.leader(row.group_id, timeout);
            let leader = leader.and_then(|id| Some((id, view.replica(id, row.group_id)?)));
            GroupFacts {
                row,
                leader,
                ranges: Vec::new(),
            }
        });
        let jobs = view.catalog.jobs.values();
        let mut facts = Self {
            view,
            settings,
            groups: groups.collect(),
            ranges: Vec::with_capacity(view.catalog.ranges.len()),
            jobs: jobs
                .filter_map(|job| Some((job, Step::of(job).ok()?)))
                .collect(),
            moves: BTreeMap::new(),
            split_lately: BTreeSet::new(),
            hosts: Hosts::of(&view.catalog),
            tried: Vec::new(),
            tried_on: BTreeMap::new(),
            halvings: BTreeMap::new(),
        };
        facts.place_ranges();
        facts.read_costs();
        facts.read_jobs();
        facts
    }

    fn place_ranges(&mut self) {
        let mut last = None;
        for row in self.view.catalog.ranges.values() {
            let group = match last {
                Some((group_id, place)) if group_id == row.group_id => Some(place),
                _ => self.group_place(row.group_id),
            };
            last = group.map(|place| (row.group_id, place));
            if let Some(place) = group {
                self.groups[place].ranges.push(self.ranges.len());
            }
            self.ranges.push(Range {
                row,
                group,
                cost: None,
                load: 0,
            });
        }
    }

    fn read_costs(&mut self) {
        for group in &self.groups {
            let Some((_, status)) = group.leader else {
                continue;
            };
            for (turn, cost) in status.loads.iter().enumerate() {
                let Some(place) = place_in(&self.ranges, &group.ranges, turn, cost.range_id) else {
                    continue;
                };
                self.ranges[place].load = load(cost, self.settings);
                self.ranges[place].cost = Some(cost);
            }
        }
    }

    fn read_jobs(&mut self) {
        for (job, step) in &self.jobs {
            if let Some(tried) = Tried::by(self.view, job, step) {
                for range_id in &tried.ranges {
                    let places = self.tried_on.entry(*range_id).or_default();
                    places.push(self.tried.len());
                }
                self.tried.push(tried);
            }
            if let Step::SplitRange(SplitRange {
                range, at: None, ..
            }) = step
                && job.state == JobState::Failed
            {
                let key = (range.range_id, range.epoch);
                let halving = self.halvings.entry(key).or_default();
                *halving = (halving.0 + 1, halving.1.max(job.started_at));
            }
            let is_running = job.state == JobState::Running;
            if !is_running && !self.view.is_recent(job, DAMPING) {
                continue;
            }
            match step {
                Step::MoveRange(MoveRange { range, .. }) => {
                    *self.moves.entry(range.range_id).or_default() += 1;
                }
                Step::SplitRange(SplitRange {
                    range, right_id, ..
                }) => self.split_lately.extend([range.range_id, *right_id]),
                _ => {}
            }
        }
    }

    /// How long the planner does not search the range's middle after failed searches. The pause
    /// grows, since a search walks over the whole range.
    pub(super) fn not_halved_for(&self, range: &RangeDescriptor) -> Option<Duration> {
        let (times, last) = self.halvings.get(&(range.range_id, range.epoch))?;
        let pause = DAMPING * (1 << (times - 1).min(HALVING_DOUBLINGS));
        let apart = Duration::from_millis(self.view.now.0.abs_diff(last.0));
        pause.checked_sub(apart).filter(|left| !left.is_zero())
    }

    /// Actions for the load of the range that still count.
    pub(super) fn tried_on(&self, range_id: RangeId) -> impl Iterator<Item = &Tried> {
        let places = self.tried_on.get(&range_id).into_iter().flatten();
        places.map(|place| &self.tried[*place])
    }

    /// The steps of the running jobs.
    pub(super) fn running(&self) -> impl Iterator<Item = &Step> {
        let running = self
            .jobs
            .iter()
            .filter(|(job, _)| job.state == JobState::Running);
        running.map(|(_, step)| step)
    }

    pub(super) fn group_place(&self, group_id: GroupId) -> Option<usize> {
        self.groups
            .binary_search_by_key(&group_id, GroupFacts::id)
            .ok()
    }

    pub(super) fn group(&self, group_id: GroupId) -> Option<&GroupFacts<'a>> {
        Some(&self.groups[self.group_place(group_id)?])
    }

    pub(super) fn range_place(&self, range_id: RangeId) -> Option<usize> {
        let id = |range: &Range<'_>| range.row.range_id;
        self.ranges.binary_search_by_key(&range_id, id).ok()
    }

    pub(super) fn range(&self, range_id: RangeId) -> Option<&Range<'a>> {
        Some(&self.ranges[self.range_place(range_id)?])
    }

    /// Whether an operator has turned balancing off.
    pub(super) fn is_balance_off(&self) -> bool {
        !BALANCE.is_on(&self.view.catalog.settings)
    }

    /// The nodes that count for the size of the cluster: those neither removed nor draining.
    pub(super) fn nodes_that_stay(&self) -> usize {
        use coterie_types::NodeState::{Draining, Removed};
        let nodes = self.view.catalog.nodes.values();
        nodes
            .filter(|node| !matches!(node.state, Draining | Removed))
            .count()
    }

    pub(super) fn is_hot(&self, range: &Range<'_>) -> bool {
        range.load >= FULL
    }

    /// Whether the range is nearly idle by its leader's report.
    pub(super) fn is_cold(&self, range: &Range<'_>) -> bool {
        range.cost.is_some() && range.load < FULL / 200
    }

    /// Groups with more than their share of the load.
    pub(super) fn loaded_groups(&self) -> Vec<GroupId> {
        let load = |group: &GroupFacts<'_>| -> u64 {
            let loads = group.ranges.iter().map(|place| self.ranges[*place].load);
            loads.sum()
        };
        let loads: Vec<u64> = self.groups.iter().map(load).collect();
        let mean = loads.iter().sum::<u64>() / (loads.len() as u64).max(1);
        let loaded = self.groups.iter().zip(loads);
        loaded
            .filter(|(_, load)| *load > mean * LOADED_PERCENT / 100)
            .map(|(group, _)| group.id())
            .collect()
    }

    /// Ranges whose group reports a higher epoch than meta's map, in order.
    pub(super) fn ranges_ahead(&self) -> Vec<(RangeId, Epoch)> {
        let mut ahead: Vec<(RangeId, Epoch)> = self
            .told_ahead()
            .map(|(_, told)| (told.range_id, told.epoch))
            .collect();
        ahead.sort_unstable();
        ahead.dedup();
        ahead
    }

    /// The ranges of each group that its leader reports at a higher epoch than meta's map.
    pub(super) fn told_ahead(
        &self,
    ) -> impl Iterator<Item = (&GroupFacts<'a>, &'a RangeDescriptor)> {
        self.groups.iter().flat_map(move |group| {
            let told = group.leader.map_or(&[][..], |(_, status)| &status.ranges);
            told.iter().enumerate().filter_map(move |(turn, told)| {
                let place = place_in(&self.ranges, &group.ranges, turn, told.range_id)
                    .or_else(|| self.range_place(told.range_id))?;
                let is_own = told.group_id == group.id();
                (is_own && told.epoch > self.ranges[place].row.epoch).then_some((group, told))
            })
        })
    }
}

/// The index of a range among those of its group. Leaders mostly report them in the same order.
fn place_in(ranges: &[Range<'_>], own: &[usize], turn: usize, range_id: RangeId) -> Option<usize> {
    let id = |place: &usize| ranges[*place].row.range_id;
    match own.get(turn) {
        Some(place) if id(place) == range_id => Some(*place),
        _ => Some(own[own.binary_search_by_key(&range_id, id).ok()?]),
    }
}

/// See [`Range::load`].
fn load(cost: &RangeLoad, settings: &Settings) -> u64 {
    let cpu_max = u64::try_from(settings.split_cpu.as_micros()).unwrap_or(u64::MAX);
    let ops = cost.reads_per_second.saturating_add(cost.writes_per_second);
    let share = |value: u64, most: u64| value.saturating_mul(FULL) / most.max(1);
    share(ops, settings.split_ops)
        .max(share(cost.bytes_per_second, settings.split_bytes))
        .max(share(cost.cpu_micros_per_second, cpu_max))
}
