//! Replicas evenly over nodes, when nothing has to be repaired.
//!
//! A replica weighs for itself and for its group's share of the bytes. While its ranges move, a
//! group counts as an even share, which the moves will produce. Momentary sizes would send the
//! replica to a node that is overloaded a minute later, and damping would keep it there. Replicas
//! move one at a time from a heavy node to a light node, if that evens out at least half the weight
//! of an average replica. A group with a recently moved replica is left alone, and so is a group
//! whose members are not all up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_types::{GroupId, NodeId};

use super::Memory;
use super::draft::Draft;
use super::facts::{DAMPING, Facts, GroupFacts};
use super::groups::USABLE_AFTER;
use super::placement::Placement;
use super::repair::{self, check_majority, replace};
use crate::job::{AddReplica, ReplaceReplica, Step};

/// The kind of job.
const KIND: &str = "balance-replicas";

/// The weight of a replica for itself, and again for an even share of the bytes.
const REPLICA: u64 = 1000;

/// Below this mean size of groups, replicas weigh nothing but themselves.
const GROUP_BYTES_MIN: u64 = 1 << 20;

/// How long ranges must have rested before sizes count.
const STILL_AFTER: Duration = Duration::from_secs(30);

/// Two nodes are left alone if they differ by less than this part of the mean weight.
const APART_PART: u64 = 10;

/// Nodes that are tried as sources and as destinations.
const TRIED: usize = 8;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    if facts.is_balance_off() || draft.receivers.len() >= facts.settings.snapshots_max {
        return;
    }
    let placement = Placement::remembering(facts.view, facts.settings, memory);
    let is_still = draft.moves == 0 && memory.ranges_rest_for() >= STILL_AFTER;
    let weights = replica_weights(facts, is_still);
    let nodes = node_weights(facts, memory, &weights);
    let mean = nodes.iter().map(|(weight, _)| weight).sum::<u64>() / (nodes.len() as u64).max(1);
    let resting = replaced_lately(facts);
    let mut best: Option<(u64, Step, String)> = None;
    for (least, to) in nodes.iter().take(TRIED) {
        let steady = memory.usable_for(*to) >= Some(USABLE_AFTER);
        if !steady || draft.receivers.contains(to) {
            continue;
        }
        for (most, from) in nodes.iter().rev().take(TRIED) {
            let apart = most.saturating_sub(*least);
            if apart * APART_PART <= mean {
                break;
            }
            for (group, weight) in facts.groups.iter().zip(&weights) {
                let evened = apart.saturating_sub(apart.abs_diff(2 * weight));
                let is_best = best.as_ref().is_none_or(|(most, ..)| evened > *most);
                let of = |id: NodeId| group.row.replicas.iter().find(|r| r.node_id == id);
                let (Some(old), None) = (of(*from), of(*to)) else {
                    continue;
                };
                let size_bytes = group.leader.map_or(0, |(_, said)| said.size_bytes);
                let may = draft.is_free(group.id())
                    && placement.may_take(group.id(), *to, size_bytes)
                    && !resting.contains(&group.id())
                    && placement.fits_zones(group.row, Some(*from), *to)
                    && placement.fits_hosts(group.row, *from, *to)
                    && check_majority(facts, group) == Ok(group.row.voters().count());
                if evened >= REPLICA && is_best && may {
                    let reason = format!(
                        "node {from} has {} replica(s), node {to} has {}; with their bytes they \
                         weigh {most} and {least}",
                        placement.count(*from),
                        placement.count(*to)
                    );
                    best = Some((evened, replace(group.row, *old, *to), reason));
                }
            }
        }
    }
    if let Some((_, step, reason)) = best {
        draft.begin(KIND, step, vec![reason]);
    }
}

/// The weight of each group's replicas: for itself, and as much again for an even share of bytes.
fn replica_weights(facts: &Facts<'_>, is_still: bool) -> Vec<u64> {
    let size = |group: &GroupFacts<'_>| group.leader.map_or(0, |(_, said)| said.size_bytes);
    let total: u64 = facts.groups.iter().map(size).sum();
    let count = facts.groups.len() as u64;
    let share = |size: u64| {
        // Below that size all groups are as good as empty.
        if total < count * GROUP_BYTES_MIN {
            return 0;
        }
        if !is_still {
            return REPLICA;
        }
        let share = u128::from(size) * u128::from(REPLICA * count) / u128::from(total);
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    let groups = facts.groups.iter();
    groups.map(|group| REPLICA + share(size(group))).collect()
}

/// The weight of the replicas on each usable node, in order. A moving replica counts at its
/// destination.
fn node_weights(facts: &Facts<'_>, memory: &Memory, weights: &[u64]) -> Vec<(u64, NodeId)> {
    let (view, timeout) = (facts.view, facts.settings.liveness_timeout);
    let nodes = view.catalog.nodes.keys().copied();
    let usable = nodes.filter(|id| view.is_usable(*id, timeout) && !memory.is_slow(*id));
    let mut sums: BTreeMap<NodeId, u64> = usable.map(|id| (id, 0)).collect();
    for (group, weight) in facts.groups.iter().zip(weights) {
        for replica in &group.row.replicas {
            sums.entry(replica.node_id).and_modify(|sum| *sum += weight);
        }
    }
    for step in facts.running() {
        let (group_id, from, to) = match step {
            Step::ReplaceReplica(ReplaceReplica {
                group_id, from, to, ..
            }) => (group_id, Some(from), to),
            Step::AddReplica(AddReplica { group_id, to, .. }) => (group_id, None, to),
            _ => continue,
        };
        if let Some(place) = facts.group_place(*group_id)
            && facts.groups[place]
                .row
                .replicas
                .iter()
                .all(|r| r.node_id != *to)
        {
            let weight = weights[place];
            if let Some(from) = from {
                sums.entry(*from)
                    .and_modify(|sum| *sum = sum.saturating_sub(weight));
            }
            sums.entry(*to).and_modify(|sum| *sum += weight);
        }
    }
    let mut sorted: Vec<(u64, NodeId)> = sums.into_iter().map(|(id, sum)| (sum, id)).collect();
    sorted.sort_unstable();
    sorted
}

/// Groups with a recently moved replica.
fn replaced_lately(facts: &Facts<'_>) -> BTreeSet<GroupId> {
    let jobs = facts.jobs.iter();
    let recent = jobs.filter(|(job, _)| facts.view.is_recent(job, DAMPING));
    let of = |step: &Step| match step {
        Step::ReplaceReplica(ReplaceReplica { group_id, .. }) => Some(*group_id),
        _ => None,
    };
    let kinds = [repair::KIND, KIND];
    recent
        .filter(|(job, _)| kinds.contains(&job.kind.as_str()))
        .filter_map(|(_, step)| of(step))
        .collect()
}
