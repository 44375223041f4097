//! Replicas whose node cannot come back: each gets a place on another node.
//!
//! A disk that was wiped registers as a new node, and takes the address of the one that was there.
//! A node that has no address and is not heard is that one: what it had acknowledged is gone, so it
//! must never vote again, and the group replaces it while a majority of it lives. A node that is
//! merely down keeps its place. One group at a time moves to a node, as each may have to be sent
//! whole. Once nothing names it any more, the lost node is removed.

use std::collections::BTreeSet;

use coterie_types::{GroupDescriptor, NodeId, NodeState, Replica};

use super::placement::Placement;
use super::{Action, Plan, Settings};
use crate::job::{ReplacePhase, Step};
use crate::view::View;

/// The kind of job.
const KIND: &str = "replace-replica";

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let nodes = view.catalog.nodes.keys().copied();
    let lost: BTreeSet<NodeId> = nodes
        .filter(|node_id| is_lost(view, settings, *node_id))
        .collect();
    if lost.is_empty() {
        return;
    }
    let mut placement = Placement::new(view, settings);
    let mut receiving: BTreeSet<NodeId> = view
        .running_jobs()
        .filter_map(|(_, step)| receiver(&step))
        .collect();
    for group in view.catalog.groups.values() {
        let group_id = group.group_id;
        let of_lost = |replica: &&Replica| lost.contains(&replica.node_id);
        let Some(old) = group.replicas.iter().find(of_lost) else {
            continue;
        };
        if view.running_jobs().any(|(_, step)| step.is_about(group_id)) {
            continue;
        }
        let found = check_majority(view, settings, group).and_then(|alive| {
            let to = placement.replacement(group, old.node_id, &receiving)?;
            Ok((alive, to))
        });
        match found {
            Ok((alive, to)) => {
                receiving.insert(to);
                plan.actions.push(replace(group, *old, to, alive));
            }
            Err(reason) => plan.refusals.push(format!(
                "group {group_id}: node {} is lost, and {reason}",
                old.node_id
            )),
        }
    }
    let gone = lost.into_iter().filter(|id| !is_named(view, *id));
    plan.actions
        .extend(gone.map(|node_id| Action::SetNodeState {
            node_id,
            state: NodeState::Removed,
            reason: "its address is another node's and it holds nothing".to_owned(),
        }));
}

fn is_lost(view: &View, settings: &Settings, node_id: NodeId) -> bool {
    let timeout = settings.liveness_timeout;
    let node = view.catalog.nodes.get(&node_id);
    node.is_some_and(|node| node.addr.is_empty() && node.state != NodeState::Removed)
        && !view.is_heard(node_id, timeout)
        && view.listening_for >= timeout
}

fn receiver(step: &Step) -> Option<NodeId> {
    match step {
        Step::ReplaceReplica { to, .. } => Some(*to),
        _ => None,
    }
}

/// How many voters are up, if that is enough for a change of members.
fn check_majority(
    view: &View,
    settings: &Settings,
    group: &GroupDescriptor,
) -> Result<usize, String> {
    let timeout = settings.liveness_timeout;
    let voters = group.voters().count();
    let alive = group
        .voters()
        .filter(|id| view.is_heard(*id, timeout))
        .count();
    if 2 * alive <= voters {
        return Err(format!("{alive} of {voters} voters are up"));
    }
    if view.leader(group.group_id, timeout).is_none() {
        return Err("nobody leads it".to_owned());
    }
    Ok(alive)
}

fn replace(group: &GroupDescriptor, old: Replica, to: NodeId, alive: usize) -> Action {
    let (group_id, from) = (group.group_id, old.node_id);
    let kept = group.replicas.iter().filter(|r| r.node_id != from);
    let mut replicas: Vec<Replica> = kept.copied().collect();
    replicas.push(Replica { node_id: to, ..old });
    replicas.sort();
    Action::Begin {
        kind: KIND,
        step: Step::ReplaceReplica {
            phase: ReplacePhase::Create,
            group_id,
            from,
            to,
            replicas,
        },
        reasons: vec![format!(
            "node {from} has lost its address to another node and is silent; {alive} of {} voters \
             are up",
            group.voters().count()
        )],
    }
}

/// Whether a group or a running job still counts on the node.
fn is_named(view: &View, node_id: NodeId) -> bool {
    let mut groups = view.catalog.groups.values();
    groups.any(|group| group.replicas.iter().any(|r| r.node_id == node_id))
        || view.running_jobs().any(|(_, step)| match step {
            Step::MakeGroups { groups, .. } => {
                groups.iter().any(|new| new.voters.contains(&node_id))
            }
            Step::ReplaceReplica { to, .. } => to == node_id,
            _ => false,
        })
}
