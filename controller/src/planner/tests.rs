//! The planner on clusters of values.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::meta::Command;
use coterie_types::{GroupId, KeyRange, NodeId, NodeState, RangeId, TableId};
use proptest::prelude::*;

use super::*;
use crate::job::{AddReplica, ReplaceReplica, Step};
use crate::sim::Sim;

mod leaders;

fn settings(groups: usize, replicas: usize) -> Settings {
    Settings {
        groups,
        replicas,
        bootstrap_nodes: replicas,
        // `tests/duties.rs` and `tests/scale.rs` check moves, on a cluster where jobs are only
        // played.
        moves_max: 0,
        ..Settings::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn states(plan: &Plan) -> Vec<(NodeId, NodeState)> {
    let of = |action: &Action| match action {
        Action::SetNodeState { node_id, state, .. } => Some((*node_id, *state)),
        _ => None,
    };
    plan.actions.iter().filter_map(of).collect()
}

#[test]
fn a_node_is_up_at_its_first_heartbeat_and_down_after_a_full_silence() {
    let sim = Sim::with_nodes(&["", ""]);
    let wanted = settings(1, 3);
    let up = [(NodeId(1), NodeState::Up), (NodeId(2), NodeState::Up)];
    assert_eq!(states(&plan(&sim.view(), &wanted)), up);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
    });
    sim.lock().alive.remove(&NodeId(2));
    let mut view = sim.view();
    assert_eq!(
        states(&plan(&view, &wanted)),
        [(NodeId(2), NodeState::Down)]
    );
    view.listening_for = Duration::from_secs(1);
    assert_eq!(
        states(&plan(&view, &wanted)),
        [],
        "meta's leader is new itself"
    );
}

#[test]
fn nothing_is_made_before_enough_nodes_are_up_and_the_reason_is_told() {
    let sim = Sim::with_nodes(&["", ""]);
    let settled = runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &settings(3, 3)).await.unwrap()
    });
    assert!(sim.lock().groups.is_empty());
    assert_eq!(settled.refusals, ["bootstrap: 2 of 3 nodes are up"]);
}

#[test]
fn groups_are_spread_over_zones_and_every_table_is_tiled() {
    let sim = Sim::with_nodes(&["a", "a", "b", "b", "c", "c"]);
    let mut wanted = settings(3, 3);
    wanted.bootstrap_nodes = 6;
    wanted.split_at = vec!["g".into(), "p".into()];
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
    });
    let inner = sim.lock();
    let catalog = &inner.meta.catalog;
    for group in catalog.groups.values() {
        let zones: BTreeSet<&str> = group
            .voters()
            .map(|id| catalog.nodes[&id].zone.as_str())
            .collect();
        assert_eq!(zones.len(), 3, "{group:?}");
    }
    let owners: Vec<GroupId> = catalog.ranges_of(TableId(0)).map(|r| r.group_id).collect();
    assert_eq!(owners, [GroupId(1), GroupId(2), GroupId(3)]);
    for table in catalog.tables.keys().skip(1) {
        assert_eq!(catalog.ranges_of(*table).count(), 1, "table {table}");
    }
    let leaders: BTreeSet<_> = inner.groups.values().filter_map(|g| g.leader).collect();
    assert_eq!(
        leaders.len(),
        3,
        "each is led by another node from the start"
    );
    let replicas = |id| {
        catalog
            .groups
            .values()
            .filter(|g| g.voters().any(|v| v == id))
            .count()
    };
    assert!(
        catalog
            .nodes
            .keys()
            .all(|id| (1..=2).contains(&replicas(*id)))
    );
}

#[test]
fn the_setting_in_meta_says_where_table_0_is_split() {
    let sim = Sim::with_nodes(&[""]);
    sim.command(Command::PutSetting {
        name: "bootstrap.split-at".into(),
        value: Some("b,c".into()),
    });
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &settings(2, 1)).await.unwrap();
    });
    let catalog = sim.lock().meta.catalog.clone();
    let owners: Vec<GroupId> = catalog.ranges_of(TableId(0)).map(|r| r.group_id).collect();
    assert_eq!(owners, [GroupId(1), GroupId(2), GroupId(1)]);
}

#[test]
fn a_new_table_goes_to_the_group_with_the_fewest_ranges() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let named = |number: u32| format!("table-{number}");
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &settings(3, 3)).await.unwrap();
        // 16 tables over 3 groups: 6, 5 and 5 ranges.
        for number in 0..5 {
            sim.command(Command::CreateTable {
                name: named(number),
                split_at: vec![],
            });
        }
        sim.settle(fence, &settings(3, 3)).await.unwrap();
    });
    let inner = sim.lock();
    assert_eq!(inner.groups.len(), 3, "no group is made for a table");
    for group in inner.groups.values() {
        assert_eq!(group.ranges.len(), 7);
    }
    for table in 16..21 {
        let range = inner.meta.catalog.locate(TableId(table), b"any").unwrap();
        assert!(inner.groups[&range.group_id].ranges.contains(range));
    }
}

#[test]
fn a_dropped_table_is_taken_from_its_group_and_no_other_is() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(2, 3);
    let name = || "users".to_owned();
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        sim.command(Command::CreateTable {
            name: name(),
            split_at: vec![],
        });
        sim.settle(fence, &wanted).await.unwrap();
        // A group's range that meta does not know may be one that a restored meta forgot.
        let mut unknown = sim.lock().meta.catalog.ranges[&RangeId(1)].clone();
        (unknown.range_id, unknown.bounds) = (RangeId(900), KeyRange::all(TableId(900)));
        let mut groups = std::mem::take(&mut sim.lock().groups);
        groups.get_mut(&GroupId(1)).unwrap().ranges.push(unknown);
        sim.lock().groups = groups;
        sim.command(Command::DropTable { name: name() });
        sim.settle(fence, &wanted).await.unwrap();
    });
    let inner = sim.lock();
    assert!(inner.meta.catalog.dropped.is_empty());
    let owned = |table| {
        let mut ranges = inner.groups.values().flat_map(|group| &group.ranges);
        ranges.any(|range| range.bounds.table == TableId(table))
    };
    assert!(!owned(16) && owned(15) && owned(900));
}

#[test]
fn old_jobs_are_forgotten() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(2, 3);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        for round in 0..300 {
            let lead = NodeId(1 + round % 3);
            sim.lock()
                .groups
                .values_mut()
                .for_each(|g| g.leader = Some(lead));
            sim.settle(fence, &wanted).await.unwrap();
        }
    });
    assert!(sim.lock().meta.catalog.jobs.len() <= 201);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// On every cluster, plans come to an end. Then every table is tiled, every group has the
    /// wanted number of replicas, and leaders are even.
    #[test]
    fn clusters_come_to_rest(
        zones in proptest::collection::vec("[a-c]?", 1..9),
        groups in 1..9usize,
        replicas in 1..5usize,
        keys in proptest::collection::btree_set("[a-z]{1,3}", 0..6),
        tables in 0..4usize,
        leader in 0..8usize,
    ) {
        let zones: Vec<&str> = zones.iter().map(String::as_str).collect();
        let sim = Sim::with_nodes(&zones);
        let mut wanted = settings(groups, replicas);
        wanted.split_at = keys.into_iter().map(Bytes::from).collect();
        runtime().block_on(async {
            let fence = sim.take_over(1);
            sim.settle(fence, &wanted).await.unwrap();
            for number in 0..tables {
                sim.command(Command::CreateTable { name: format!("t{number}"), split_at: vec![] });
            }
            for group in sim.lock().groups.values_mut() {
                group.leader = Some(group.voters[leader % group.voters.len()]);
            }
            let settled = sim.settle(fence, &wanted).await.unwrap();
            let inner = sim.lock();
            let catalog = &inner.meta.catalog;
            if zones.len() < replicas {
                assert!(catalog.groups.is_empty() && !settled.refusals.is_empty());
                return;
            }
            assert_eq!(catalog.groups.len(), groups);
            assert!(catalog.groups.values().all(|group| group.replicas.len() == replicas));
            assert!(catalog.tables.keys().all(|table| catalog.ranges_of(*table).next().is_some()));
            for range in catalog.ranges.values() {
                assert!(inner.groups[&range.group_id].ranges.contains(range), "the group knows");
            }
            drop(inner);
            // Leaders are even among the voters of each group: no transfer would help.
            assert_eq!(plan(&sim.view(), &wanted).actions, []);
        });
    }
}

fn settled(zones: &[&str], wanted: &Settings) -> (Sim, u64) {
    let sim = Sim::with_nodes(zones);
    let fence = runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, wanted).await.unwrap();
        fence
    });
    (sim, fence)
}

/// The group, the lost node and the new node of each replacement job.
fn replacements(plan: &Plan) -> Vec<(GroupId, NodeId, NodeId)> {
    let of = |action: &Action| match action {
        Action::Begin {
            step:
                Step::ReplaceReplica(ReplaceReplica {
                    group_id, from, to, ..
                }),
            ..
        } => Some((*group_id, *from, *to)),
        _ => None,
    };
    plan.actions.iter().filter_map(of).collect()
}

#[test]
fn a_node_that_is_only_down_keeps_its_place() {
    let wanted = settings(2, 3);
    let (sim, fence) = settled(&["", "", "", ""], &wanted);
    sim.lock().alive.remove(&NodeId(1));
    runtime().block_on(async { sim.settle(fence, &wanted).await.unwrap() });
    let inner = sim.lock();
    let node = &inner.meta.catalog.nodes[&NodeId(1)];
    assert_eq!(node.state, NodeState::Down);
    let mut groups = inner.meta.catalog.groups.values();
    assert!(groups.any(|group| group.voters().any(|id| id == NodeId(1))));
}

#[test]
fn a_wiped_node_is_replaced_one_group_at_a_time_and_then_removed() {
    let wanted = settings(2, 3);
    let (sim, fence) = settled(&["a", "b", "c"], &wanted);
    sim.command(Command::PutSetting {
        name: "balance".into(),
        value: Some("off".into()),
    });
    let new = sim.wipe(NodeId(2));
    // The new node gets no replica before it was heard and is up.
    assert_eq!(replacements(&plan(&sim.view(), &wanted)), []);
    runtime().block_on(async {
        let executor = sim.executor(fence, &wanted);
        for action in plan(&sim.view(), &wanted).actions {
            executor.apply(action, sim.view().now).await.unwrap();
        }
    });
    let planned = plan(&sim.view(), &wanted);
    assert_eq!(replacements(&planned), [(GroupId(1), NodeId(2), new)]);
    let waits = "group 2: node 2 is lost, and the node for it takes in another group first";
    assert_eq!(planned.refusals, [waits]);
    runtime().block_on(async { sim.settle(fence, &wanted).await.unwrap() });
    let inner = sim.lock();
    let catalog = &inner.meta.catalog;
    for (group_id, group) in &inner.groups {
        let row: Vec<NodeId> = catalog.groups[group_id].voters().collect();
        assert_eq!(row, [NodeId(1), NodeId(3), new]);
        assert_eq!(group.voters, row);
        assert!(group.replicas.contains(&new));
    }
    assert_eq!(catalog.nodes[&NodeId(2)].state, NodeState::Removed);
    assert_eq!(catalog.nodes[&new].state, NodeState::Up);
}

#[test]
fn nothing_is_replaced_without_a_majority() {
    let wanted = settings(1, 3);
    let (sim, _) = settled(&["", "", ""], &wanted);
    sim.wipe(NodeId(1));
    sim.wipe(NodeId(2));
    let planned = plan(&sim.view(), &wanted);
    assert_eq!(replacements(&planned), []);
    let told = "group 1: node 1 is lost, and 1 of 3 voters are up";
    assert_eq!(planned.refusals, [told]);
}

#[test]
fn a_group_with_too_few_replicas_gets_one_more_in_another_zone() {
    let wanted = settings(1, 1);
    let (sim, fence) = settled(&["a", "a", "b", "c"], &wanted);
    let more = settings(1, 3);
    let added = |plan: &Plan| {
        let of = |action: &Action| match action {
            Action::Begin {
                step: Step::AddReplica(AddReplica { group_id, to, .. }),
                ..
            } => Some((*group_id, *to)),
            _ => None,
        };
        plan.actions.iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(added(&plan(&sim.view(), &more)), [(GroupId(1), NodeId(3))]);
    // Replicas are added in turn, and not while the group has no leader.
    runtime().block_on(async { sim.settle(fence, &more).await.unwrap() });
    let of_group = |sim: &Sim| -> Vec<NodeId> {
        let inner = sim.lock();
        let row: Vec<NodeId> = inner.meta.catalog.groups[&GroupId(1)].voters().collect();
        assert_eq!(inner.groups[&GroupId(1)].voters, row);
        row
    };
    assert_eq!(of_group(&sim), [NodeId(1), NodeId(3), NodeId(4)]);
    let five = settings(1, 5);
    runtime().block_on(async { sim.settle(fence, &five).await.unwrap() });
    let planned = plan(&sim.view(), &five);
    assert_eq!(of_group(&sim), (1..=4).map(NodeId).collect::<Vec<_>>());
    let told = "group 1 has 4 of 5 replicas, and no other node is up and has no replica of it";
    assert_eq!(planned.refusals, [told]);
    sim.lock().groups.get_mut(&GroupId(1)).unwrap().leader = None;
    assert_eq!(plan(&sim.view(), &five).refusals, [""; 0]);
}

#[test]
fn a_spare_node_in_the_zone_of_the_lost_one_takes_its_place() {
    let wanted = settings(1, 3);
    let (sim, fence) = settled(&["a", "b", "c"], &wanted);
    let spares = [sim.add_node("a"), sim.add_node("b"), sim.add_node("c")];
    runtime().block_on(async { sim.settle(fence, &wanted).await.unwrap() });
    sim.wipe(NodeId(2));
    let planned = plan(&sim.view(), &wanted);
    assert_eq!(replacements(&planned), [(GroupId(1), NodeId(2), spares[1])]);
}
