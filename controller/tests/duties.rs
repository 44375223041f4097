//! The decisions and refusals of the planner's duties. Replicas are in `repair.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use coterie_controller::job::{self, SplitRange, Step};
use coterie_controller::planner::{Action, Plan};
use coterie_protocol::catalog::{JobState, Row, RowKey, TableDescriptor};
use coterie_protocol::meta::Heartbeat;
use coterie_protocol::server::{HotKey, SplitPoint};
use coterie_types::{Epoch, GroupId, JobId, RangeId, TableId, UnixMillis};
use world::World;
use world::plans::{MIB, moved, quiet, splits, steps};

#[test]
fn a_range_that_is_too_large_is_cut_where_its_bytes_are_halved() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.costs.get_mut(&RangeId(2)).unwrap().size = 513 * MIB;
    assert_eq!(splits(&world.tick()), [(RangeId(2), false)]);
    assert_eq!(splits(&world.tick()), [], "while it is cut");
    assert_eq!(splits(&world.pass(20)), []);
}

#[test]
fn a_middle_that_was_not_found_is_looked_for_again_later_each_time() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.tick();
    world.costs.get_mut(&RangeId(2)).unwrap().size = 513 * MIB;
    let range = world.catalog.ranges[&RangeId(2)].clone();
    let fail = |world: &mut World, id: u64| {
        let step = Step::SplitRange(SplitRange {
            phase: job::SplitPhase::Split,
            range: range.clone(),
            at: None,
            right_id: RangeId(900),
        });
        let now = UnixMillis(1_000_000_000 + world.ticks * 1000);
        let mut row = job::begin(JobId(id), "split", &step, vec![], now);
        row.state = JobState::Failed;
        world.write(vec![Row::Job(row)], vec![]);
    };
    fail(&mut world, 1);
    let plan = world.pass(599);
    assert_eq!(splits(&plan), []);
    let is_told = |refusal: &String| refusal.contains("its middle was not found");
    assert!(plan.refusals.iter().any(is_told), "{:?}", plan.refusals);
    fail(&mut world, 2);
    assert_eq!(splits(&world.pass(1199)), [], "twice as long");
    assert_eq!(splits(&world.tick()), [(RangeId(2), false)]);
}

#[test]
fn a_load_must_last_ten_seconds_before_its_range_is_split() {
    let mut world = quiet(3, 3, 3);
    world.stop_balance();
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
    assert_eq!(splits(&world.pass(10)), []);
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 1_000;
    world.tick();
    world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
    assert_eq!(splits(&world.pass(10)), [], "it began anew");
    assert_eq!(splits(&world.tick()), [(RangeId(2), true)]);
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
            load.split_point = Some(SplitPoint {
                at: "00000001x".into(),
                left_permille: 780,
            });
        }
    }));
    let plan = world.pass(15);
    assert_eq!(splits(&plan), []);
    let refusal = &plan.refusals[0];
    assert!(
        refusal.contains("the key \"counter\\n\" alone has 72% of it"),
        "{refusal}"
    );
}

#[test]
fn no_split_leaves_more_than_60_percent_on_one_side() {
    for (left_permille, is_split) in [(399, false), (400, true), (600, true), (601, false)] {
        let mut world = quiet(3, 3, 3);
        world.stop_balance();
        world.costs.get_mut(&RangeId(2)).unwrap().ops = 25_000;
        world.tweak = Some(Box::new(move |_, said: &mut Heartbeat| {
            let loads = said.replicas.iter_mut().flat_map(|r| &mut r.loads);
            for point in loads.filter_map(|load| load.split_point.as_mut()) {
                point.left_permille = left_permille;
            }
        }));
        assert_eq!(splits(&world.pass(12)).len(), usize::from(is_split));
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
    assert!(splits(&plan).is_empty() && moved(&plan).is_empty());
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
    let is_merge = |step: &&Step| matches!(step, Step::MergeRanges(_));
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
    // Ranges that were moved apart before count as moved for ten minutes.
    world.pass(1_500);
    let starts: Vec<_> = world.catalog.ranges_of(TableId(0)).collect();
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[1].bounds.start, "00000002");
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
        let of = |step: &&Step| matches!(step, Step::RemoveGroup(_));
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

/// Whatever the sizes are when ranges move and afterwards: groups that are far apart do not wait
/// for ten minutes, and no range moves a third time within them.
#[test]
fn a_range_moves_again_at_once_only_between_groups_that_are_far_apart() {
    let mut world = quiet(3, 3, 27);
    world.settings.split_size = 1 << 40;
    for range in 1..=9 {
        world.costs.get_mut(&RangeId(range)).unwrap().size = 9 * MIB;
    }
    let went = moved(&world.pass(120));
    assert!(went.len() >= 4, "{went:?}");
    // The first group has only ranges that have not moved, the others only ranges that have.
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
