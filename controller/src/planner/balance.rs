//! Ranges evenly over groups, by size and by load.
//!
//! Every group has its shares of the bytes and of the load; an even share is 1. The worth of a move
//! is how much it lowers the sum of the squares of all shares. That sum covers bytes and load, so
//! no move for bytes is undone for load, and it falls with every move: nothing goes back and forth.
//! Of the ranges of two groups that are far apart, the range that lowers the sum most moves; where
//! every range is too large for that, a range is split by size first.
//!
//! A range moves for its size when it has not moved for ten minutes; for its load also a second
//! time, and between groups whose sizes are far apart: the facts behind the first moves may have
//! changed meanwhile, and an uneven cluster must not wait out its own damping. Each group gives or
//! takes a single range at a time.
//!
//! Load is not moved between groups that are led on the same host: they share its CPU. A move for
//! size between these counts bytes alone. If the same nodes hold both groups, a move would free no
//! disk, so there is none. Nor does a range move for its load again after a move that did not help
//! (`effects`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_protocol::catalog::JobState;
use coterie_types::{GroupId, NodeId};

use super::Memory;
use super::draft::Draft;
use super::effects;
use super::facts::{FULL, Facts, GroupFacts, RANGE_BYTES};
use super::groups::to_empty;
use super::split::{self, is_settled};
use super::tried::Deed;
use crate::job::{MovePhase, MoveRange, Step};

/// The kind of job.
const KIND: &str = "balance";

/// How far apart the shares of two groups may be: of the bytes, of the load.
const SIZE_APART: f64 = 0.25;
const LOAD_APART: f64 = 0.08;

/// How far apart the shares of the bytes of two groups must be for a range to move a second time.
const SIZE_FAR_APART: f64 = 0.5;

/// The smallest difference in load of two groups that matters.
const LOAD_MIN: u64 = FULL / 20;

/// How long a group must have had more than its share of the load.
const LOADED_AFTER: Duration = Duration::from_secs(5);

/// The least worth of a move, as a part of the square of the groups' difference.
const WORTH: f64 = 0.01;

/// Groups that are tried as destinations.
const TRIED: usize = 8;

/// When a destination is chosen, the load of its leader's node counts this much of the group's own
/// load.
const NODE_PART: f64 = 0.25;

/// Smallest piece worth splitting off for a move: 1/32 of `split_size`.
const PART_OF_SPLIT_SIZE: u64 = 32;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    if facts.is_balance_off() {
        return;
    }
    let emptied = to_empty(facts);
    let mut shares = Shares::of(facts, &emptied);
    shares.empty(draft);
    for dimension in [Dimension::Load, Dimension::Size] {
        while draft.moves < facts.settings.moves_max && shares.even_out(dimension, memory, draft) {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Size,
    Load,
}

/// The bytes and the load of a group or range, in even shares.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    size: f64,
    load: f64,
}

impl Share {
    fn of(self, dimension: Dimension) -> f64 {
        match dimension {
            Dimension::Size => self.size,
            Dimension::Load => self.load,
        }
    }

    /// The bytes alone.
    fn unloaded(self) -> Self {
        Self { load: 0.0, ..self }
    }

    /// Half of the amount that a move of `range` takes off the sum of squares.
    fn worth(from: Self, to: Self, range: Self) -> f64 {
        let of = |from: f64, to: f64, range: f64| range * (from - to - range);
        of(from.size, to.size, range.size) + of(from.load, to.load, range.load)
    }
}

struct Shares<'a> {
    facts: &'a Facts<'a>,
    emptied: &'a BTreeSet<GroupId>,
    /// By the index of the group. `None` for groups whose numbers are unknown.
    groups: Vec<Option<Share>>,
    /// The load that each node leads.
    nodes: BTreeMap<NodeId, f64>,
    /// The bytes of an even share.
    mean_size: f64,
    mean_load: f64,
    /// Groups that were examined in vain.
    passed: BTreeSet<(usize, bool)>,
    /// Splits of this plan.
    splits: usize,
}

impl<'a> Shares<'a> {
    fn of(facts: &'a Facts<'a>, emptied: &'a BTreeSet<GroupId>) -> Self {
        let mut sums = vec![(0u64, 0u64); facts.groups.len()];
        let moving = moving(facts);
        for (place, range) in facts.ranges.iter().enumerate() {
            let (to, bytes) = moving.get(&place).copied().unzip();
            if let Some(group) = to.or(range.group) {
                // The size of an unfinished copy is too small.
                sums[group].0 += range.weight().max(bytes.unwrap_or(0));
                sums[group].1 += range.load;
            }
        }
        // A range that has just moved is in the map before its new leader has reported its cost.
        let has_cost = |place: &usize| facts.ranges[*place].cost.is_some();
        let is_known =
            |group: &GroupFacts<'_>| group.leader.is_some() && group.ranges.iter().all(has_cost);
        let known = || facts.groups.iter().zip(&sums).filter(|(g, _)| is_known(g));
        let holders = known().filter(|(group, _)| !emptied.contains(&group.id()));
        let holders = (holders.count() as f64).max(1.0);
        let mean_size = known().map(|(_, sum)| sum.0).sum::<u64>() as f64 / holders;
        let load = known().map(|(_, sum)| sum.1).sum::<u64>();
        // When there is hardly any load, every group counts as even.
        let mean_load = match load {
            0..LOAD_MIN => f64::INFINITY,
            _ => load as f64 / holders,
        };
        let mut shares = Self {
            facts,
            emptied,
            groups: Vec::new(),
            nodes: BTreeMap::new(),
            mean_size: mean_size.max(1.0),
            mean_load,
            passed: BTreeSet::new(),
            splits: 0,
        };
        for (group, (size, load)) in facts.groups.iter().zip(sums) {
            let share = shares.share(size, load);
            if let Some((leader, _)) = group.leader {
                *shares.nodes.entry(leader).or_default() += share.load;
            }
            shares.groups.push(is_known(group).then_some(share));
        }
        shares
    }

    fn share(&self, size: u64, load: u64) -> Share {
        Share {
            size: size as f64 / self.mean_size,
            load: load as f64 / self.mean_load,
        }
    }

    fn share_of_range(&self, place: usize) -> Share {
        let range = &self.facts.ranges[place];
        self.share(range.weight(), range.load)
    }

    /// Moves the remaining ranges out of groups that are drained, the largest first.
    fn empty(&mut self, draft: &mut Draft<'_>) {
        for group_id in self.emptied {
            let Some(from) = self.facts.group_place(*group_id) else {
                continue;
            };
            let mut ranges = self.facts.groups[from].ranges.clone();
            ranges.sort_by_key(|place| Reverse(self.facts.ranges[*place].weight()));
            let may = |place: &usize| self.may_move(Dimension::Size, draft, *place, 1);
            let (range, takers) = (ranges.into_iter().find(may), self.takers(Dimension::Size));
            let to = takers.into_iter().find(|to| self.is_open(draft, *to));
            if let (Some(range), Some(to)) = (range, to)
                && draft.moves < self.facts.settings.moves_max
            {
                let reason = format!("group {group_id} is drained: there are fewer nodes");
                self.begin(Dimension::Size, draft, range, (from, to), reason);
            }
        }
    }

    /// Begins a move, or a split that must come first. Returns whether there may be more.
    fn even_out(&mut self, dimension: Dimension, memory: &Memory, draft: &mut Draft<'_>) -> bool {
        let takers: Vec<usize> = self
            .takers(dimension)
            .into_iter()
            .filter(|to| self.is_open(draft, *to))
            .take(TRIED)
            .collect();
        let givers = self.givers(dimension, memory, draft);
        for from in givers {
            let best = takers
                .iter()
                .filter(|to| **to != from && self.is_apart(dimension, from, **to))
                .filter_map(|to| Some((self.best_range(dimension, draft, from, *to)?, *to)))
                .reduce(|best, next| if next.0.0 > best.0.0 { next } else { best });
            if let Some(((_, range), to)) = best {
                let reason = self.describe(dimension, from, to);
                self.begin(dimension, draft, range, (from, to), reason);
                return true;
            }
            let apart = takers
                .iter()
                .find(|to| self.is_apart(dimension, from, **to));
            if let Some(to) = apart
                && dimension == Dimension::Size
                && self.splits < self.facts.settings.moves_max
                && self.split(draft, from, *to)
            {
                self.splits += 1;
                return true;
            }
            // The group is not examined again in this plan.
            self.passed.insert((from, dimension == Dimension::Load));
        }
        false
    }

    /// Groups with more than an even share, the largest first.
    fn givers(&self, dimension: Dimension, memory: &Memory, draft: &Draft<'_>) -> Vec<usize> {
        let is_load = dimension == Dimension::Load;
        let lasts = |group_id| {
            let loaded_for = memory.loaded_for(group_id);
            !is_load || loaded_for.is_some_and(|lasts| lasts >= LOADED_AFTER)
        };
        let mut givers: Vec<(f64, usize)> = self
            .groups
            .iter()
            .enumerate()
            .filter_map(|(place, share)| Some((share.as_ref()?.of(dimension), place)))
            .filter(|(share, place)| {
                let group_id = self.facts.groups[*place].id();
                *share > 1.0
                    && draft.is_free(group_id)
                    && lasts(group_id)
                    && !self.passed.contains(&(*place, is_load))
            })
            .collect();
        givers.sort_by(|(a, at), (b, bt)| b.total_cmp(a).then(at.cmp(bt)));
        givers.into_iter().map(|(_, place)| place).collect()
    }

    /// Groups that may take a range, the smallest first. For load, the load of its leader's node
    /// counts too.
    fn takers(&self, dimension: Dimension) -> Vec<usize> {
        let mean_node = self.nodes.values().sum::<f64>() / (self.nodes.len() as f64).max(1.0);
        let mut takers: Vec<(f64, usize)> = self
            .groups
            .iter()
            .enumerate()
            .filter_map(|(place, share)| {
                let group = &self.facts.groups[place];
                let node = self.nodes.get(&group.leader?.0).copied().unwrap_or(0.0);
                let share = (*share)?;
                let cost = match dimension {
                    Dimension::Load => share.load + NODE_PART * node / mean_node.max(1.0),
                    Dimension::Size => share.size,
                };
                (!self.emptied.contains(&group.id())).then_some((cost, place))
            })
            .collect();
        takers.sort_by(|(a, at), (b, bt)| a.total_cmp(b).then(at.cmp(bt)));
        takers.into_iter().map(|(_, place)| place).collect()
    }

    fn is_open(&self, draft: &Draft<'_>, place: usize) -> bool {
        draft.is_free(self.facts.groups[place].id())
    }

    fn is_apart(&self, dimension: Dimension, from: usize, to: usize) -> bool {
        let is_load = dimension == Dimension::Load;
        if self.are_together(from, to) && (is_load || self.have_same_nodes(from, to)) {
            return false;
        }
        let (Some(from), Some(to)) = (self.groups[from], self.groups[to]) else {
            return false;
        };
        let apart = from.of(dimension) - to.of(dimension);
        match dimension {
            // A difference of two empty ranges is no reason to move.
            Dimension::Size => {
                apart > SIZE_APART && apart * self.mean_size >= 2.0 * RANGE_BYTES as f64
            }
            Dimension::Load => apart > LOAD_APART && apart * self.mean_load >= LOAD_MIN as f64,
        }
    }

    /// Whether the leaders of two groups are on the same host.
    fn are_together(&self, a: usize, b: usize) -> bool {
        let leader = |place: usize| Some(self.facts.groups[place].leader?.0);
        let leaders = leader(a).zip(leader(b));
        leaders.is_some_and(|(a, b)| self.facts.hosts.are_together(a, b))
    }

    /// Whether the same nodes hold both groups: a move between them frees no disk.
    fn have_same_nodes(&self, a: usize, b: usize) -> bool {
        let nodes = |place: usize| {
            self.facts.groups[place]
                .row
                .replicas
                .iter()
                .map(|r| r.node_id)
        };
        nodes(a).collect::<BTreeSet<_>>() == nodes(b).collect::<BTreeSet<_>>()
    }

    /// The range whose move is worth the most, and its worth, if that is enough.
    fn best_range(
        &self,
        dimension: Dimension,
        draft: &Draft<'_>,
        from: usize,
        to: usize,
    ) -> Option<(f64, usize)> {
        let together = self.are_together(from, to);
        let counted = |share: Share| {
            if together { share.unloaded() } else { share }
        };
        let (giver, taker) = (counted(self.groups[from]?), counted(self.groups[to]?));
        let apart = giver.of(dimension) - taker.of(dimension);
        let may_again = dimension == Dimension::Load || apart > SIZE_FAR_APART;
        let moves_before = usize::from(may_again);
        let ranges = self.facts.groups[from].ranges.iter().copied();
        ranges
            .filter_map(|place| {
                let range = counted(self.share_of_range(place));
                // The gain in this dimension, and in both together.
                let own = range.of(dimension) * (apart - range.of(dimension));
                let worth = Share::worth(giver, taker, range);
                (own.min(worth) > WORTH * apart * apart).then_some((worth, place))
            })
            .filter(|(_, place)| self.may_move(dimension, draft, *place, moves_before))
            .reduce(|best, next| if next.0 >= best.0 { next } else { best })
    }

    fn may_move(
        &self,
        dimension: Dimension,
        draft: &Draft<'_>,
        place: usize,
        moves_before: usize,
    ) -> bool {
        let range = &self.facts.ranges[place];
        let moved = self.facts.moves.get(&range.row.range_id);
        let is_load = dimension == Dimension::Load;
        let is_useless = || effects::why_not(self.facts, range, Deed::Move).is_some();
        moved.copied().unwrap_or(0) <= moves_before
            && is_settled(self.facts, draft, range)
            && !(is_load && is_useless())
    }

    /// Splits the largest range of a group, if it alone keeps the two groups apart.
    fn split(&self, draft: &mut Draft<'_>, from: usize, to: usize) -> bool {
        let facts = self.facts;
        let ranges = facts.groups[from].ranges.iter().copied();
        let largest = ranges.max_by_key(|place| facts.ranges[*place].size_bytes());
        let (Some(place), Some(giver), Some(taker)) = (largest, self.groups[from], self.groups[to])
        else {
            return false;
        };
        let range = &facts.ranges[place];
        let is_cause = 2.0 * self.share_of_range(place).size >= giver.size - taker.size;
        let part = facts.settings.split_size / PART_OF_SPLIT_SIZE;
        let is_worth = range.size_bytes() >= 2 * part;
        let is_open = is_settled(facts, draft, range) && facts.not_halved_for(range.row).is_none();
        if !is_cause || !is_worth || !is_open {
            return false;
        }
        let reasons = vec![
            self.describe(Dimension::Size, from, to),
            format!(
                "range {} has {} bytes, which is too large to move",
                range.row.range_id,
                range.size_bytes()
            ),
        ];
        draft.split(split::KIND, range.row, None, reasons, None);
        true
    }

    fn begin(
        &mut self,
        dimension: Dimension,
        draft: &mut Draft<'_>,
        range: usize,
        (from, to): (usize, usize),
        reason: String,
    ) {
        let share = self.share_of_range(range);
        for (group, sign) in [(from, -1.0), (to, 1.0)] {
            if let Some(of_group) = &mut self.groups[group] {
                of_group.size += sign * share.size;
                of_group.load += sign * share.load;
            }
            if let Some((leader, _)) = self.facts.groups[group].leader {
                *self.nodes.entry(leader).or_default() += sign * share.load;
            }
        }
        let step = Step::MoveRange(MoveRange {
            phase: MovePhase::Begin,
            range: self.facts.ranges[range].row.clone(),
            to: self.facts.groups[to].id(),
        });
        let before = match dimension {
            Dimension::Load => effects::traffic(&self.facts.ranges[range]),
            Dimension::Size => None,
        };
        draft.begin_for_load(KIND, step, vec![reason], before);
    }

    fn describe(&self, dimension: Dimension, from: usize, to: usize) -> String {
        let what = match dimension {
            Dimension::Size => "bytes",
            Dimension::Load => "load",
        };
        let percent = |group: usize| {
            let share = self.groups[group].unwrap_or_default();
            (share.of(dimension) * 100.0).round()
        };
        format!(
            "group {} has {}% of an even share of the {what}, group {} has {}%",
            self.facts.groups[from].id(),
            percent(from),
            self.facts.groups[to].id(),
            percent(to)
        )
    }
}

/// Moving ranges: the index of the destination, and the bytes copied.
fn moving(facts: &Facts<'_>) -> BTreeMap<usize, (usize, u64)> {
    let running = facts.jobs.iter();
    running
        .filter(|(job, _)| job.state == JobState::Running)
        .filter_map(|(job, step)| match step {
            Step::MoveRange(MoveRange { range, to, .. }) => {
                let bytes = job.progress.map_or(0, |progress| progress.bytes_total);
                let range = facts.range_place(range.range_id)?;
                Some((range, (facts.group_place(*to)?, bytes)))
            }
            _ => None,
        })
        .collect()
}
