//! Questions of tests to plans, and the clusters they begin with.

use coterie_controller::job::{MoveRange, ReplaceReplica, Step};
use coterie_controller::planner::{Action, Plan};
use coterie_protocol::catalog::Row;
use coterie_types::{GroupDescriptor, GroupId, NodeId, RangeId, Replica, Role};

use super::{Cost, World};

/// A mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// A quiet cluster, with ranges of one MiB each.
pub(crate) fn quiet(nodes: u64, groups: u64, ranges: u64) -> World {
    let mut world = World::new(nodes, groups, ranges, 1);
    for range in 1..=ranges {
        let cost = Cost { size: MIB, ops: 1 };
        world.costs.insert(RangeId(range), cost);
    }
    world
}

/// The first steps of the jobs in `Action::Begin`.
pub(crate) fn steps(plan: &Plan) -> Vec<&Step> {
    let mut steps = Vec::new();
    for action in &plan.actions {
        if let Action::Begin { step, .. } = action {
            steps.push(step);
        }
    }
    steps
}

/// Each replica that moves: its group, and the two nodes.
pub(crate) fn replaced(plan: &Plan) -> Vec<(GroupId, NodeId, NodeId)> {
    let of = |step: &Step| match step {
        Step::ReplaceReplica(ReplaceReplica {
            group_id, from, to, ..
        }) => Some((*group_id, *from, *to)),
        _ => None,
    };
    steps(plan).into_iter().filter_map(of).collect()
}

/// Each range that moves, and its destination.
pub(crate) fn moved(plan: &Plan) -> Vec<(RangeId, GroupId)> {
    let of = |step: &Step| match step {
        Step::MoveRange(MoveRange { range, to, .. }) => Some((range.range_id, *to)),
        _ => None,
    };
    steps(plan).into_iter().filter_map(of).collect()
}

/// Each range that is split, and whether the key is known.
pub(crate) fn splits(plan: &Plan) -> Vec<(RangeId, bool)> {
    let of = |action: &Action| match action {
        Action::Split { range, at, .. } => Some((range.range_id, at.is_some())),
        _ => None,
    };
    plan.actions.iter().filter_map(of).collect()
}

/// Puts a group on these nodes. The first leads it.
pub(crate) fn set_row(world: &mut World, group: u64, nodes: [u64; 3]) {
    let replicas = nodes.map(|id| Replica {
        node_id: NodeId(id),
        role: Role::Voter,
    });
    let row = GroupDescriptor {
        group_id: GroupId(group),
        replicas: replicas.to_vec(),
    };
    world.write(vec![Row::Group(row)], vec![]);
    world.leaders.insert(GroupId(group), NodeId(nodes[0]));
}
