//! Choosing nodes for what an operator asked for: by the same rules as the planner's own duties.

use coterie_types::{GroupDescriptor, NodeId};

use super::placement::Placement;
use super::settings::Settings;
use crate::view::View;

/// The voters of a new group, the one to lead first at the front; `None` when too few nodes are up.
pub(crate) fn place_group(view: &View, settings: &Settings) -> Option<Vec<NodeId>> {
    Placement::new(view, settings).choose(settings.replicas)
}

/// The node that takes over the replica of a group on `node_id`; `Err` with the reason if none can.
pub(crate) fn place_replica(
    view: &View,
    settings: &Settings,
    group: &GroupDescriptor,
    node_id: NodeId,
) -> Result<NodeId, String> {
    let replicas = group.replicas.iter();
    let sizes = replicas.filter_map(|r| Some(view.replica(r.node_id, group.group_id)?.size_bytes));
    let size_bytes = sizes.max().unwrap_or(0);
    Placement::new(view, settings).replacement(group, Some(node_id), size_bytes, &[])
}
