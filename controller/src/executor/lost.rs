//! Whether a group lost its majority for good, and which replica to recover it from.

use std::time::Duration;

use coterie_protocol::server::ReplicaStatus;
use coterie_types::{GroupId, NodeId};

use crate::view::View;

/// The group's silent voters, if they are so many that the rest cannot elect a leader, and if the
/// replica on node `kept` has the longest log of the rest. Otherwise the reason why not.
pub(super) fn lost_for_good(
    view: &View,
    timeout: Duration,
    group_id: GroupId,
    kept: NodeId,
) -> Result<Vec<NodeId>, String> {
    let row = view.catalog.groups.get(&group_id);
    let row = row.ok_or_else(|| format!("there is no group {group_id}"))?;
    let heard = |node_id: NodeId| {
        let status = view.replica(node_id, group_id);
        status.filter(|_| view.is_heard(node_id, timeout))
    };
    if let Some(leader) = view.leader(group_id, timeout) {
        return Err(format!("node {leader} leads group {group_id}"));
    }
    if !row.voters().any(|id| id == kept) {
        return Err(format!("node {kept} is no voter of group {group_id}"));
    }
    let Some(status) = heard(kept) else {
        return Err(format!("nothing is heard of a replica on node {kept}"));
    };
    if let Some(fault) = &status.fault {
        return Err(format!("the replica on node {kept} has stopped ({fault})"));
    }
    let (alive, lost): (Vec<NodeId>, Vec<NodeId>) =
        row.voters().partition(|id| view.is_heard(*id, timeout));
    let voters = alive.len() + lost.len();
    if 2 * alive.len() > voters {
        let alive = alive.len();
        return Err(format!(
            "{alive} of {voters} voters are up: they can elect a leader"
        ));
    }
    let reach = |status: &ReplicaStatus| (status.last_term, status.last_index);
    let others = alive.iter().filter_map(|id| Some((*id, heard(*id)?)));
    if let Some((best, other)) = others.max_by_key(|(_, other)| reach(other))
        && reach(other) > reach(status)
    {
        return Err(format!(
            "the log of node {best} reaches to entry {} of term {}, that of node {kept} to {} of \
             term {}: recover from node {best}",
            other.last_index, other.last_term, status.last_index, status.last_term
        ));
    }
    Ok(lost)
}
