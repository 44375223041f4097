//! The number of groups: at least the configured number, and a group for each node.
//!
//! A group has a single leader, so a growing cluster needs more groups. New groups begin empty on
//! the least loaded nodes, and get their share by `balance`. When nodes have left, surplus groups
//! are drained, and a surplus group that has owned nothing for a while is removed. A group that an
//! operator created by hand is not drained for that.

use std::collections::BTreeSet;
use std::time::Duration;

use coterie_types::{GroupId, NodeState};

use super::draft::Draft;
use super::facts::Facts;
use super::memory::Memory;
use super::placement::Placement;
use super::plan::{Action, GroupPlan};
use crate::job::{RemoveGroup, RemovePhase, Step};

/// The kinds of jobs.
const ADD: &str = "add-groups";
const REMOVE: &str = "remove-group";

/// How long a node must have been usable before a group is created for it.
pub(super) const USABLE_AFTER: Duration = Duration::from_secs(10);

/// How long a group must have owned nothing before it is removed.
const BARE_AFTER: Duration = Duration::from_secs(60);

/// Groups created by a job.
const AT_ONCE: usize = 16;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let makes = |step: &Step| matches!(step, Step::MakeGroups(_));
    let under_way = facts.running().any(makes);
    // A cluster without groups is left to the bootstrap.
    if facts.is_balance_off() || facts.groups.is_empty() || under_way {
        return;
    }
    add(facts, memory, draft);
    remove(facts, memory, draft);
}

fn add(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let (settings, there) = (facts.settings, facts.groups.len());
    let nodes = facts.view.catalog.nodes.keys();
    let steady = nodes.filter(|id| {
        let usable_for = memory.usable_for(**id);
        usable_for.is_some_and(|lasts| lasts >= USABLE_AFTER)
    });
    let steady = steady.count();
    let wanted = settings.groups.max(steady);
    if wanted <= there || steady < settings.replicas {
        return;
    }
    let mut placement = Placement::remembering(facts.view, settings, memory);
    let groups = (there..wanted).take(AT_ONCE).map_while(|_| {
        let voters = placement.choose(settings.replicas)?;
        let ranges = Vec::new();
        Some(GroupPlan { voters, ranges })
    });
    let groups: Vec<GroupPlan> = groups.collect();
    if groups.is_empty() {
        return;
    }
    let reasons = vec![format!(
        "{there} groups for {steady} nodes; at least {} are configured: {} more are needed",
        settings.groups,
        groups.len()
    )];
    draft.plan.actions.push(Action::MakeGroups {
        kind: ADD,
        groups,
        reasons,
    });
}

fn remove(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let too_many = too_many(facts);
    if too_many == 0 {
        return;
    }
    let dropped: BTreeSet<GroupId> = {
        let dropped = facts.view.catalog.dropped.values();
        dropped.map(|range| range.group_id).collect()
    };
    let bare = facts.groups.iter().filter_map(|group| {
        let bare_for = memory.bare_for(group.id())?;
        let is_over = bare_for >= BARE_AFTER
            && draft.is_free(group.id())
            && !dropped.contains(&group.id())
            && group.leader.is_some_and(|(_, said)| said.ranges.is_empty());
        is_over.then_some((group, bare_for))
    });
    let Some((group, bare_for)) = bare.max_by_key(|(_, bare_for)| *bare_for) else {
        return;
    };
    let reasons = vec![format!(
        "group {} has owned nothing for {} s, and {too_many} groups are surplus",
        group.id(),
        bare_for.as_secs()
    )];
    let step = Step::RemoveGroup(RemoveGroup {
        phase: RemovePhase::Forget,
        group: group.row.clone(),
    });
    draft.begin(REMOVE, step, reasons);
}

/// The number of surplus groups. A node that is down may come back, and counts.
fn too_many(facts: &Facts<'_>) -> usize {
    let removals = facts
        .running()
        .filter(|step| matches!(step, Step::RemoveGroup(_)));
    let wanted = facts.settings.groups.max(facts.nodes_that_stay());
    facts.groups.len().saturating_sub(removals.count() + wanted)
}

/// The groups to drain because nodes have left: those with the fewest bytes to move.
pub(super) fn to_empty(facts: &Facts<'_>) -> BTreeSet<GroupId> {
    let catalog = &facts.view.catalog;
    let has_left = |state: NodeState, id| match state {
        NodeState::Removed => true,
        NodeState::Draining => catalog.holds_nothing(id),
        NodeState::Joining | NodeState::Up | NodeState::Down => false,
    };
    let nodes = catalog.nodes.values();
    let left = nodes.filter(|node| has_left(node.state, node.node_id));
    let count = too_many(facts).min(left.count());
    if count == 0 {
        return BTreeSet::new();
    }
    let weight = |places: &[usize]| -> u64 {
        let weights = places.iter().map(|place| facts.ranges[*place].weight());
        weights.sum()
    };
    let groups = facts.groups.iter();
    let mut by_weight: Vec<(u64, GroupId)> = groups
        .map(|group| (weight(&group.ranges), group.id()))
        .collect();
    by_weight.sort_unstable();
    by_weight
        .into_iter()
        .take(count)
        .map(|(_, id)| id)
        .collect()
}
