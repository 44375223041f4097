//! Replicas that are no longer their node's: it was away when the group went on without it.
//!
//! Only on the word of all who know: meta's row, the group's own leader, and no job that is about
//! the group. A group that meta does not know is one that was removed only if its id was given
//! before that of a group it does know: a meta that was restored from an old backup must not cost
//! anybody's data.

use coterie_protocol::server::ReplicaStatus;
use coterie_types::{GroupId, NodeId, NodeState};

use super::{Action, Plan, Settings};
use crate::view::View;

/// Replicas in one plan: each is asked for in turn.
const AT_ONCE: usize = 4;

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let mut found = Vec::new();
    for (node_id, heard) in &view.heard {
        let node = view.catalog.nodes.get(node_id);
        // One that was removed is told to wipe itself when its next heartbeat comes.
        let is_there = node.is_some_and(|node| node.state != NodeState::Removed);
        if !is_there || !view.is_heard(*node_id, settings.liveness_timeout) {
            continue;
        }
        for status in &heard.heartbeat.replicas {
            let group_id = status.group_id;
            if is_left_alone(view, plan, group_id) {
                continue;
            }
            if let Some(reason) = why_stray(view, settings, *node_id, group_id) {
                found.push(Action::DestroyStray {
                    node_id: *node_id,
                    group_id,
                    reason,
                });
            }
        }
    }
    found.truncate(AT_ONCE);
    plan.actions.extend(found);
}

/// Whether a job is about the group, or begins with this plan.
fn is_left_alone(view: &View, plan: &Plan, group_id: GroupId) -> bool {
    let begins = plan.actions.iter().any(|action| match action {
        Action::Begin { step, .. } => step.is_about(group_id),
        _ => false,
    });
    begins || view.running_jobs().any(|(_, step)| step.is_about(group_id))
}

/// Why the node's replica of the group is nobody's, if it surely is.
fn why_stray(
    view: &View,
    settings: &Settings,
    node_id: NodeId,
    group_id: GroupId,
) -> Option<String> {
    let Some(group) = view.catalog.groups.get(&group_id) else {
        return why_gone(view, group_id);
    };
    if group.replicas.iter().any(|r| r.node_id == node_id) {
        return None;
    }
    let leader = view.leader(group_id, settings.liveness_timeout)?;
    let members = &view.replica(leader, group_id)?.replicas;
    let has_forgotten = !members.is_empty() && members.iter().all(|r| r.node_id != node_id);
    has_forgotten.then(|| {
        format!(
            "node {leader} leads group {group_id}, whose {} replicas are elsewhere",
            members.len()
        )
    })
}

/// Why a group that meta does not know is one that was removed, if it surely is.
fn why_gone(view: &View, group_id: GroupId) -> Option<String> {
    let (newest, _) = view.catalog.groups.last_key_value()?;
    let serves = |status: &&ReplicaStatus| status.group_id == group_id && status.serving;
    let mut all = view.heard.values();
    let is_led = all.any(|heard| {
        heard
            .heartbeat
            .replicas
            .iter()
            .any(|status| serves(&status))
    });
    (group_id < *newest && !is_led).then(|| format!("group {group_id} was removed"))
}
