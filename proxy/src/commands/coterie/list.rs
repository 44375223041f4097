//! Nodes and groups, as `COTERIE` lists them: rows of the catalog beside the reports of nodes.

use std::collections::BTreeMap;

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::NodeLiveness;
use coterie_protocol::server::ReplicaStatus;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::{GroupId, NodeDescriptor, NodeId, NodeState, Role};

use super::{Pair, pair};
use crate::commands::{Remote, int, text};

/// What the nodes last said of themselves, if meta can be asked.
pub(super) async fn heartbeats(call: &Remote) -> Vec<NodeLiveness> {
    let liveness = call.shared.meta.liveness().await;
    liveness.map(|heard| heard.nodes).unwrap_or_default()
}

/// `COTERIE NODES`.
pub(super) async fn nodes(call: &Remote) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    let heard = heartbeats(call).await;
    let nodes = catalog.nodes.values().map(|node| {
        let mut heard = heard.iter();
        let live = heard.find(|live| live.heartbeat.node_id == node.node_id);
        let listed = is_listed(&catalog, node.node_id);
        Reply::Map(node_pairs(node, live, listed))
    });
    Ok(Reply::Array(nodes.collect()))
}

/// Whether a group's row names the node.
fn is_listed(catalog: &Catalog, node: NodeId) -> bool {
    let mut groups = catalog.groups.values();
    groups.any(|group| group.replicas.iter().any(|r| r.node_id == node))
}

fn node_pairs(node: &NodeDescriptor, live: Option<&NodeLiveness>, listed: bool) -> Vec<Pair> {
    let mut pairs = vec![
        pair("id", int(node.node_id.0)),
        pair("addr", text(node.addr.clone())),
        pair("zone", text(node.zone.clone())),
        pair("host", text(node.host.clone())),
        pair("state", text(format!("{:?}", node.state).to_lowercase())),
        pair("capacity_bytes", int(node.capacity_bytes)),
    ];
    // By both its own word and the catalog's. A node that was not heard may hold anything.
    let is_empty = live.map(|live| !listed && live.heartbeat.replicas.is_empty());
    match node.state {
        NodeState::Up => pairs.push(pair("spare", yes_or_no(is_empty == Some(true)))),
        NodeState::Draining => {
            pairs.push(pair("safe_to_stop", yes_or_no(is_empty == Some(true))));
        }
        NodeState::Joining | NodeState::Down | NodeState::Removed => {}
    }
    let Some(live) = live else {
        return pairs;
    };
    let heartbeat = &live.heartbeat;
    let leads = |replica: &&ReplicaStatus| replica.leader == Some(node.node_id);
    let leaders = heartbeat.replicas.iter().filter(leads).count();
    pairs.extend([
        pair("heartbeat_age_ms", int(live.age_ms)),
        pair("replicas", int(heartbeat.replicas.len() as u64)),
        pair("leaders", int(leaders as u64)),
        pair("disk_used_bytes", int(heartbeat.disk_used_bytes)),
        pair("disk_free_bytes", int(heartbeat.disk_free_bytes)),
        pair("log_write_us", int(heartbeat.log_write_micros)),
        pair("apply_us", int(heartbeat.apply_micros)),
    ]);
    pairs
}

fn yes_or_no(yes: bool) -> Reply {
    Reply::text(if yes { "yes" } else { "no" })
}

/// `COTERIE GROUPS`.
pub(super) async fn groups(call: &Remote) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    let heard = heartbeats(call).await;
    let mut statuses = BTreeMap::<(GroupId, NodeId), ReplicaStatus>::new();
    for live in heard {
        let node = live.heartbeat.node_id;
        let replicas = live.heartbeat.replicas.into_iter();
        statuses.extend(replicas.map(|replica| ((replica.group_id, node), replica)));
    }
    let groups = catalog.groups.values().map(|group| {
        let of_group = |(id, _): &&(GroupId, NodeId)| *id == group.group_id;
        let newest = statuses
            .iter()
            .filter(|(id, _)| of_group(id))
            .max_by_key(|(_, s)| s.term);
        let leader = newest.and_then(|(_, status)| status.leader);
        let ranges = catalog
            .ranges
            .values()
            .filter(|range| range.group_id == group.group_id);
        let replicas = group.replicas.iter().map(|replica| {
            let role = match replica.role {
                Role::Voter => "voter",
                Role::Learner => "learner",
            };
            let mut pairs = vec![
                pair("node", int(replica.node_id.0)),
                pair("role", Reply::text(role)),
            ];
            if let Some(status) = statuses.get(&(group.group_id, replica.node_id)) {
                pairs.extend(status_pairs(status));
            }
            Reply::Map(pairs)
        });
        Reply::Map(vec![
            pair("id", int(group.group_id.0)),
            pair("leader", leader.map_or(Reply::Null, |node| int(node.0))),
            pair(
                "term",
                newest.map_or(Reply::Null, |(_, status)| int(status.term.0)),
            ),
            pair("ranges", int(ranges.count() as u64)),
            pair("replicas", Reply::Array(replicas.collect())),
        ])
    });
    Ok(Reply::Array(groups.collect()))
}

fn status_pairs(status: &ReplicaStatus) -> Vec<Pair> {
    let mut pairs = vec![
        pair("applied_index", int(status.applied_index.0)),
        pair("last_index", int(status.last_index.0)),
        pair("flushed_index", int(status.flushed_index.0)),
        pair("first_index", int(status.first_index.0)),
        pair("size_bytes", int(status.size_bytes)),
    ];
    if let Some(fault) = &status.fault {
        pairs.push(pair("fault", text(fault.clone())));
    }
    pairs
}
