//! What each duty of the planner decides, and what it refuses and why.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use coterie_controller::job::{self, Step};
use coterie_controller::planner::{Action, Plan};
use coterie_protocol::catalog::{JobState, Row, RowKey, TableDescriptor};
use coterie_protocol::meta::Heartbeat;
use coterie_protocol::server::{Cut, HotKey, ReplicaStatus};
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, JobId, LogIndex, NodeId, NodeState, RangeDescriptor, RangeId,
    Replica, Role, TableId, UnixMillis,
};
use world::{Cost, World};

const MIB: u64 = 1 << 20;

/// A quiet cluster: so many nodes, groups and ranges of one MiB each.
fn quiet(nodes: u64, groups: u64, ranges: u64) -> World {
    let mut world = World::new(nodes, groups, ranges, 1);
    for range in 1..=ranges {
        let cost = Cost { size: MIB, ops: 1 };
        world.costs.insert(RangeId(range), cost);
    }
    world
}

fn steps(plan: &Plan) -> Vec<&Step> {
    let mut steps = Vec::new();
    for action in &plan.actions {
        if let Action::Begin { step, .. } = action {
            steps.push(step);
        }
    }
    steps
}

/// Of each replica that is put elsewhere: the group, from where, to where.
fn replaced(plan: &Plan) -> Vec<(GroupId, NodeId, NodeId)> {
    let of = |step: &Step| match step {
        Step::ReplaceReplica {
            group_id, from, to, ..
        } => Some((*group_id, *from, *to)),
        _ => None,
    };
    steps(plan).into_iter().filter_map(of).collect()
}

fn moved(plan: &Plan) -> Vec<(RangeId, GroupId)> {
    let of = |step: &Step| match step {
        Step::MoveRange { range, to, .. } => Some((range.range_id, *to)),
        _ => None,
    };
    steps(plan).into_iter().filter_map(of).collect()
}

fn cut(plan: &Plan) -> Vec<(RangeId, bool)> {
    let of = |action: &Action| match action {
        Action::Split { range, at, .. } => Some((range.range_id, at.is_some())),
        _ => None,
    };
    plan.actions.iter().filter_map(of).collect()
}

fn set_row(world: &mut World, group: u64, nodes: [u64; 3]) {
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

#[test]
fn a_range_that_is_too_large_is_cut_where_its_bytes_are_halved() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.costs.get_mut(&RangeId(2)).unwrap().size = 513 * MIB;
    assert_eq!(cut(&world.tick()), [(RangeId(2), false)]);
    assert_eq!(cut(&world.tick()), [], "while it is cut");
    assert_eq!(cut(&world.pass(20)), []);
}

#[test]
fn a_middle_that_was_not_found_is_looked_for_again_later_each_time() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.tick();
    world.costs.get_mut(&RangeId(2)).unwrap().size = 513 * MIB;
    let range = world.catalog.ranges[&RangeId(2)].clone();
    let fail = |world: &mut World, id: u64| {
        let step = Step::SplitRange {
            phase: job::SplitPhase::Split,
            range: range.clone(),
            at: None,
            right_id: RangeId(900),
        };
        let now = UnixMillis(1_000_000_000 + world.ticks * 1000);
        let mut row = job::begin(JobId(id), "split", &step, vec![], now);
        row.state = JobState::Failed;
        world.write(vec![Row::Job(row)], vec![]);
    };
    fail(&mut world, 1);
    let plan = world.pass(599);
    assert_eq!(cut(&plan), []);
    let is_told = |refusal: &String| refusal.contains("its middle was not found");
    assert!(plan.refusals.iter().any(is_told), "{:?}", plan.refusals);
    fail(&mut world, 2);
    assert_eq!(cut(&world.pass(1199)), [], "twice as long");
    assert_eq!(cut(&world.tick()), [(RangeId(2), false)]);
}

#[test]
fn a_load_must_last_ten_seconds_before_its_range_is_cut() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
    assert_eq!(cut(&world.pass(10)), []);
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 1_000;
    world.tick();
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
    assert_eq!(cut(&world.pass(10)), [], "it began anew");
    assert_eq!(cut(&world.tick()), [(RangeId(2), true)]);
}

#[test]
fn a_hot_key_is_named_and_its_range_is_not_cut() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
    world.tweak = Some(Box::new(|_, said: &mut Heartbeat| {
        let loads = said.replicas.iter_mut().flat_map(|r| &mut r.loads);
        for load in loads {
            load.hot_key = Some(HotKey {
                key: "counter\n".into(),
                permille: 720,
            });
            load.cut = Some(Cut {
                at: "00000001x".into(),
                left_permille: 780,
            });
        }
    }));
    let plan = world.pass(15);
    assert_eq!(cut(&plan), []);
    let refusal = &plan.refusals[0];
    assert!(
        refusal.contains("the key \"counter\\n\" alone has 72% of it"),
        "{refusal}"
    );
}

#[test]
fn no_cut_leaves_more_than_60_percent_on_one_side() {
    for (left_permille, is_cut) in [(399, false), (400, true), (600, true), (601, false)] {
        let mut world = quiet(3, 3, 3);
        world.stop_balance();
        world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
        world.tweak = Some(Box::new(move |_, said: &mut Heartbeat| {
            let loads = said.replicas.iter_mut().flat_map(|r| &mut r.loads);
            for cut in loads.filter_map(|load| load.cut.as_mut()) {
                cut.left_permille = left_permille;
            }
        }));
        assert_eq!(cut(&world.pass(12)).len(), usize::from(is_cut));
    }
}

#[test]
fn a_range_that_is_still_imported_is_left_alone() {
    let mut world = quiet(3, 3, 3);
    world.costs.get_mut(&RangeId(2)).unwrap().size = 513 * MIB;
    world.tweak = Some(Box::new(|_, said: &mut Heartbeat| {
        let of_group = said
            .replicas
            .iter_mut()
            .filter(|r| r.group_id == GroupId(2));
        of_group.for_each(|status| status.importing = vec![RangeId(2)]);
    }));
    let plan = world.pass(5);
    assert!(cut(&plan).is_empty() && moved(&plan).is_empty());
}

#[test]
fn neighbours_of_two_groups_are_brought_together_and_then_merged() {
    let mut world = quiet(3, 2, 2);
    world.settings.groups = 2;
    world.settings.merge_after = Duration::from_secs(30);
    for cost in world.costs.values_mut() {
        cost.size = 1000;
    }
    assert_eq!(moved(&world.pass(30)), []);
    let plan = world.pass(10);
    assert_eq!(moved(&plan), [(RangeId(2), GroupId(1))]);
    let is_merge = |step: &&Step| matches!(step, Step::MergeRanges { .. });
    assert_eq!(steps(&plan).into_iter().filter(is_merge).count(), 1);
    assert_eq!(world.catalog.ranges.len(), 1);
}

#[test]
fn a_boundary_that_was_asked_for_stays() {
    let mut world = quiet(3, 1, 4);
    world.settings.groups = 1;
    world.settings.merge_after = Duration::from_secs(30);
    world.settings.split_at = vec!["00000002".into()];
    for cost in world.costs.values_mut() {
        cost.size = 1000;
    }
    // Ranges that were moved apart before count as moved lately, for ten minutes.
    world.pass(1_500);
    let starts: Vec<_> = world.catalog.ranges_of(TableId(0)).collect();
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[1].bounds.start, "00000002");
}

#[test]
fn a_replica_that_stopped_is_replaced_at_once_and_a_spare_is_preferred() {
    let mut world = quiet(4, 2, 2);
    world.settings.groups = 2;
    world.forget_zones();
    world.stop_balance();
    set_row(&mut world, 1, [1, 2, 3]);
    set_row(&mut world, 2, [1, 2, 3]);
    world.tweak = Some(Box::new(|_, said: &mut Heartbeat| {
        if said.node_id == NodeId(3) {
            said.replicas[0].fault = Some("a checksum".to_owned());
        }
    }));
    assert_eq!(
        replaced(&world.tick()),
        [(GroupId(1), NodeId(3), NodeId(4))]
    );
}

/// Group 1 on nodes 1, 2 and a silent 3; nodes 4 and 5 are spares.
fn with_two_spares() -> World {
    let mut world = quiet(5, 1, 1);
    world.settings.groups = 1;
    world.forget_zones();
    world.stop_balance();
    set_row(&mut world, 1, [1, 2, 3]);
    world.silent.insert(NodeId(3));
    world
}

#[test]
fn a_node_that_has_stopped_a_replica_or_is_nearly_full_gets_none() {
    let stopped: world::Tweak = Box::new(|_, said: &mut Heartbeat| {
        if said.node_id == NodeId(4) {
            said.replicas = vec![ReplicaStatus {
                fault: Some("a checksum".to_owned()),
                ..world::status(GroupId(7))
            }];
        }
    });
    let full: world::Tweak = Box::new(|_, said: &mut Heartbeat| {
        if said.node_id == NodeId(4) {
            (said.disk_used_bytes, said.disk_free_bytes) = (98 * MIB, 2 * MIB);
        }
    });
    for tweak in [stopped, full] {
        let mut world = with_two_spares();
        world.tweak = Some(tweak);
        let plan = world.pass(20);
        assert_eq!(replaced(&plan), [(GroupId(1), NodeId(3), NodeId(5))]);
    }
}

#[test]
fn a_range_that_is_only_copied_keeps_no_group_from_repair() {
    for (phase, is_replaced) in [
        (job::MovePhase::Copy, true),
        (job::MovePhase::HandOff, false),
        (job::MovePhase::Drop, false),
    ] {
        let mut world = quiet(5, 2, 2);
        world.settings.groups = 2;
        world.forget_zones();
        world.stop_balance();
        set_row(&mut world, 1, [1, 2, 3]);
        set_row(&mut world, 2, [1, 2, 3]);
        let range = world.catalog.ranges[&RangeId(1)].clone();
        let to = GroupId(2);
        let step = Step::MoveRange { phase, range, to };
        let row = job::begin(JobId(9), "test", &step, vec![], UnixMillis(0));
        world.write(vec![Row::Job(row)], vec![]);
        world.silent.insert(NodeId(3));
        let plan = world.pass(20);
        let groups: Vec<GroupId> = replaced(&plan).iter().map(|(id, ..)| *id).collect();
        let both = [GroupId(1), GroupId(2)];
        assert_eq!(groups, both[..if is_replaced { 2 } else { 0 }], "{phase:?}");
    }
}

#[test]
fn what_can_wait_waits_for_a_range_that_is_copied() {
    let mut world = with_two_spares();
    world.silent.clear();
    world.set_state(NodeId(3), NodeState::Draining);
    let range = world.catalog.ranges[&RangeId(1)].clone();
    let (phase, to) = (job::MovePhase::Copy, GroupId(1));
    let from = GroupId(7);
    let range = RangeDescriptor {
        group_id: from,
        ..range
    };
    let step = Step::MoveRange { phase, range, to };
    let row = job::begin(JobId(9), "test", &step, vec![], UnixMillis(0));
    world.write(vec![Row::Job(row)], vec![]);
    assert_eq!(replaced(&world.pass(20)), []);
}

#[test]
fn why_no_node_is_fit_is_told() {
    let mut world = with_two_spares();
    world.silent.insert(NodeId(5));
    world.tweak = Some(Box::new(|_, said: &mut Heartbeat| {
        if said.node_id == NodeId(4) {
            said.replicas = vec![ReplicaStatus {
                fault: Some("a checksum".to_owned()),
                ..world::status(GroupId(7))
            }];
        }
    }));
    let plan = world.pass(20);
    assert_eq!(replaced(&plan), []);
    let told = "node 4 has stopped its replica of group 7 (a checksum)";
    let is_told = |refusal: &String| refusal.contains(told);
    assert!(plan.refusals.iter().any(is_told), "{:?}", plan.refusals);
}

#[test]
fn a_node_is_not_asked_again_for_ten_minutes_for_what_it_could_not_take_in() {
    let mut world = with_two_spares();
    world.silent.remove(&NodeId(3));
    world.pass(20);
    // Long after it was begun.
    let refused = Step::ReplaceReplica {
        phase: job::ReplacePhase::Refuse,
        group_id: GroupId(1),
        from: NodeId(3),
        to: NodeId(4),
        replicas: vec![],
    };
    let mut row = job::begin(JobId(9), "test", &refused, vec![], UnixMillis(0));
    row.state = JobState::Failed;
    world.write(vec![Row::Job(row)], vec![]);
    world.tick();
    world.silent.extend([NodeId(3), NodeId(5)]);
    let plan = world.pass(500);
    assert_eq!(replaced(&plan), []);
    let is_told = |refusal: &String| refusal.contains("could not take it lately");
    assert!(plan.refusals.iter().any(is_told), "{:?}", plan.refusals);
    let plan = world.pass(110);
    assert_eq!(replaced(&plan), [(GroupId(1), NodeId(3), NodeId(4))]);
}

#[test]
fn a_replica_that_applies_nothing_is_replaced_and_one_that_catches_up_is_not() {
    for (per_tick, is_replaced) in [(0, true), (1, false)] {
        let mut world = quiet(4, 1, 1);
        world.settings.groups = 1;
        world.forget_zones();
        world.stop_balance();
        set_row(&mut world, 1, [1, 2, 3]);
        world.tweak = Some(Box::new(move |tick, said: &mut Heartbeat| {
            let is_late = said.node_id == NodeId(3);
            let index = if is_late { tick * per_tick } else { tick * 100 };
            for status in &mut said.replicas {
                status.last_index = LogIndex(index + 10);
                status.applied_index = LogIndex(index + 10);
            }
        }));
        assert_eq!(replaced(&world.pass(30)), []);
        let plan = world.pass(5);
        assert_eq!(!replaced(&plan).is_empty(), is_replaced);
    }
}

#[test]
fn a_replica_that_lacks_too_much_and_comes_no_closer_is_replaced() {
    for (closer, is_replaced) in [(0, true), (5_000, false)] {
        let mut world = quiet(4, 1, 1);
        world.settings.groups = 1;
        world.forget_zones();
        world.stop_balance();
        set_row(&mut world, 1, [1, 2, 3]);
        world.tweak = Some(Box::new(move |tick, said: &mut Heartbeat| {
            let lag = if said.node_id == NodeId(3) {
                600_000 - closer * tick
            } else {
                0
            };
            for status in &mut said.replicas {
                status.last_index = LogIndex(1_000_000 + tick * 100);
                status.applied_index = LogIndex(1_000_000 + tick * 100 - lag);
            }
        }));
        assert_eq!(!replaced(&world.pass(70)).is_empty(), is_replaced);
    }
}

#[test]
fn a_node_that_a_leader_still_hears_is_not_replaced_though_meta_does_not_hear_it() {
    for acknowledges in [true, false] {
        let mut world = quiet(4, 1, 1);
        world.settings.groups = 1;
        world.forget_zones();
        world.stop_balance();
        // Nothing says that it has been silent for longer than meta's leader listens.
        world.listening_for = Duration::from_secs(5);
        set_row(&mut world, 1, [1, 2, 3]);
        world.pass(2);
        world.silent.insert(NodeId(3));
        world.tweak = Some(Box::new(move |tick, said: &mut Heartbeat| {
            let index = if acknowledges { tick } else { 7 };
            for status in &mut said.replicas {
                status.matched = vec![(NodeId(3), LogIndex(index))];
            }
        }));
        assert_eq!(replaced(&world.pass(60)), [], "not for a minute yet");
        assert_eq!(replaced(&world.pass(10)).is_empty(), acknowledges);
    }
}

#[test]
fn a_new_controller_asks_the_second_observer_before_it_believes_meta() {
    for acknowledges in [true, false] {
        let mut world = quiet(4, 1, 1);
        world.settings.groups = 1;
        world.stop_balance();
        set_row(&mut world, 1, [1, 2, 3]);
        // For an hour, by meta.
        world.silent.insert(NodeId(3));
        world.tweak = Some(Box::new(move |tick, said: &mut Heartbeat| {
            let index = if acknowledges { tick } else { 7 };
            for status in &mut said.replicas {
                status.matched = vec![(NodeId(3), LogIndex(index))];
            }
        }));
        assert_eq!(replaced(&world.pass(10)), []);
        assert_eq!(replaced(&world.pass(10)).is_empty(), acknowledges);
    }
}

#[test]
fn a_meta_leader_that_is_new_makes_nobody_silent_and_forgets_nobody() {
    let mut world = quiet(4, 1, 1);
    world.settings.groups = 1;
    world.stop_balance();
    set_row(&mut world, 1, [1, 2, 3]);
    world.silent.insert(NodeId(3));
    world.listening_for = Duration::from_secs(30);
    world.pass(40);
    // The next one has not listened for as long as it takes.
    world.listening_for = Duration::from_secs(1);
    assert_eq!(replaced(&world.pass(15)), []);
    assert_eq!(replaced(&world.pass(10)).len(), 1);
}

#[test]
fn few_replicas_are_on_their_way_at_once_and_the_others_wait() {
    let mut world = quiet(8, 24, 24);
    world.forget_zones();
    world.stop_balance();
    let node = world.catalog.nodes[&NodeId(1)].clone();
    let draining = coterie_types::NodeDescriptor {
        state: coterie_types::NodeState::Draining,
        ..node
    };
    world.write(vec![Row::Node(draining)], vec![]);
    let (held, led) = (world.held()[&NodeId(1)], world.led()[&NodeId(1)]);
    let plan = world.tick();
    assert_eq!(replaced(&plan).len(), 2);
    let waiting = format!("{} replica(s) are to be put elsewhere", held - led - 2);
    let is_told = |refusal: &String| refusal.contains(&waiting);
    assert!(plan.refusals.iter().any(is_told), "{:?}", plan.refusals);
}

#[test]
fn a_group_that_is_crowded_in_one_zone_is_spread() {
    let mut world = quiet(6, 1, 1);
    world.settings.groups = 1;
    world.stop_balance();
    // Nodes 3 and 6 are in one zone.
    set_row(&mut world, 1, [3, 6, 1]);
    let plan = world.tick();
    let [(_, from, to)] = replaced(&plan)[..] else {
        panic!("{plan:?}");
    };
    assert_eq!(from, NodeId(6), "who leads may stay");
    assert!([NodeId(2), NodeId(5)].contains(&to));
}

#[test]
fn a_new_node_gets_a_group_once_it_is_steady() {
    let mut world = quiet(3, 3, 3);
    world.add_node();
    let makes = |plan: &Plan| {
        let makes = |action: &&Action| matches!(action, Action::MakeGroups { .. });
        plan.actions.iter().filter(makes).count()
    };
    assert_eq!(makes(&world.pass(10)), 0);
    assert_eq!(makes(&world.pass(20)), 1);
    assert_eq!(world.catalog.groups.len(), 4);
}

#[test]
fn a_bare_group_is_removed_only_while_there_are_too_many() {
    let mut world = quiet(3, 3, 3);
    let removed = |plan: &Plan| {
        let of = |step: &&Step| matches!(step, Step::RemoveGroup { .. });
        steps(plan).into_iter().filter(of).count()
    };
    world.settings.groups = 1;
    world.stop_balance();
    world.write(vec![], vec![RowKey::Range(RangeId(3))]);
    world.pass(100);
    assert_eq!(world.catalog.groups.len(), 3, "balance is off");
    world.write(vec![], vec![RowKey::Setting("balance".into())]);
    assert_eq!(removed(&world.tick()), 0, "there are as many nodes");
    let mut world = quiet(3, 4, 3);
    world.settings.groups = 3;
    world.settings.moves_max = 0;
    let bare = world
        .sums(|_| 1)
        .into_iter()
        .find(|(_, ranges)| *ranges == 0);
    assert_eq!(removed(&world.pass(59)), 0);
    assert_eq!(removed(&world.pass(10)), 1);
    assert!(!world.catalog.groups.contains_key(&bare.unwrap().0));
}

#[test]
fn the_map_follows_a_group_that_knows_better_for_a_while() {
    for (epoch, bounds_too, is_mended) in [(2, false, true), (1, false, false), (2, true, false)] {
        let mut world = quiet(3, 3, 3);
        world.tweak = Some(Box::new(move |_, said: &mut Heartbeat| {
            let ranges = said.replicas.iter_mut().flat_map(|r| &mut r.ranges);
            for range in ranges.filter(|range| range.range_id == RangeId(2)) {
                range.epoch = Epoch(epoch);
                if bounds_too {
                    range.bounds.start = "00000001x".into();
                }
            }
        }));
        let plan = world.pass(8);
        let mended = plan.actions.iter().filter_map(|action| match action {
            Action::MendRange(range) => Some((range.range_id, range.epoch)),
            _ => None,
        });
        let mended: Vec<_> = mended.collect();
        assert_eq!(mended == [(RangeId(2), Epoch(2))], is_mended, "{mended:?}");
        let is_told = |refusal: &String| refusal.contains("the rest of that change is not known");
        assert_eq!(plan.refusals.iter().any(is_told), bounds_too);
    }
}

#[test]
fn a_new_table_is_cut_where_it_was_asked_to_be_and_then_spread() {
    let mut world = quiet(3, 3, 3);
    let table = TableDescriptor {
        table_id: TableId(16),
        name: "users".into(),
        split_at: vec!["d".into(), "h".into(), "m".into(), "r".into(), "v".into()],
    };
    world.write(vec![Row::Table(table)], vec![]);
    let plan = world.tick();
    let bounds = plan.actions.iter().find_map(|action| match action {
        Action::AddRanges { bounds, .. } => Some(bounds.len()),
        _ => None,
    });
    assert_eq!(bounds, Some(6), "all of it at once, so by one group");
    world.pass(60);
    for (group_id, ranges) in world.sums(|_| 1) {
        assert!((2..=4).contains(&ranges), "group {group_id} has {ranges}");
    }
}

#[test]
fn balance_off_stops_moves_and_on_begins_them() {
    let mut world = quiet(3, 3, 12);
    let rows: Vec<_> = world.catalog.ranges.values().cloned().collect();
    for range in rows {
        let group_id = GroupId(1);
        world.write(
            vec![Row::Range(coterie_types::RangeDescriptor {
                group_id,
                ..range
            })],
            vec![],
        );
    }
    world.stop_balance();
    assert_eq!(moved(&world.pass(30)), []);
    world.write(vec![], vec![RowKey::Setting("balance".into())]);
    let moves = moved(&world.pass(60));
    assert_eq!(moves.len(), 8, "{moves:?}");
    assert!(world.sums(|_| 1).values().all(|ranges| *ranges == 4));
}

/// Whatever sizes were when ranges moved, and are now: groups that are far apart do not wait for ten
/// minutes, and no range moves a third time within them.
#[test]
fn a_range_moves_again_at_once_only_between_groups_that_are_far_apart() {
    let mut world = quiet(3, 3, 27);
    world.settings.split_size = 1 << 40;
    for range in 1..=9 {
        world.costs.get_mut(&RangeId(range)).unwrap().size = 9 * MIB;
    }
    let went = moved(&world.pass(120));
    assert!(went.len() >= 4, "{went:?}");
    // What has not moved is in the first group alone, in the others only what has.
    let weigh = |world: &mut World, first_mib: u64| {
        world.costs.values_mut().for_each(|cost| cost.size = 0);
        let stayed = (1..=9).map(RangeId);
        let stayed: Vec<RangeId> = stayed
            .filter(|id| went.iter().all(|(range_id, _)| range_id != id))
            .collect();
        for range_id in &stayed {
            world.costs.get_mut(range_id).unwrap().size = first_mib * MIB / stayed.len() as u64;
        }
        for group in [2, 3].map(GroupId) {
            let there: Vec<RangeId> = went.iter().filter(|w| w.1 == group).map(|w| w.0).collect();
            let (small, large) = there.split_first().unwrap();
            world.costs.get_mut(small).unwrap().size = 30 * MIB;
            for range_id in large {
                let size = 210 * MIB / large.len() as u64;
                world.costs.get_mut(range_id).unwrap().size = size;
            }
        }
    };
    weigh(&mut world, 170);
    assert_eq!(moved(&world.pass(60)), [], "uneven, but not by that much");
    weigh(&mut world, 40);
    let again = moved(&world.pass(60));
    assert!(!again.is_empty(), "{:?}", world.sums(|cost| cost.size));
    world.pass(300);
    for (range_id, _) in &went {
        let times = world.moves.iter().filter(|(_, id)| id == range_id).count();
        assert!(times <= 2, "range {range_id} was moved {times} times");
    }
}
