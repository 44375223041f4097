//! The choice of nodes for an operator's wish, by the same rules as the planner's own duties.

use coterie_types::{GroupDescriptor, NodeId};

use super::placement::Placement;
use super::settings::Settings;
use crate::view::View;

/// The voters of a new group, the first leader at the front; `None` if too few nodes are up.
pub(crate) fn place_group(view: &View, settings: &Settings) -> Option<Vec<NodeId>> {
    Placement::new(view, settings).choose(settings.replicas)
}

/// The node for the replica of a group on `node_id`. `Err` with the reason if there is none.
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
