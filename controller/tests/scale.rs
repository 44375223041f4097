//! The planner alone, on clusters over a long time: they come to rest, and stay at rest.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use coterie_controller::job::{ReplaceReplica, Step};
use coterie_controller::planner::Action;
use coterie_types::{NodeId, NodeState, RangeId};
use proptest::prelude::*;
use world::{Cost, World};

/// Ranges of very different loads, and groups that have very different ranges.
fn uneven(nodes: u64, groups: u64, ranges: u64, seed: u64) -> World {
    let mut world = World::new(nodes, groups, ranges, seed);
    let rows: Vec<_> = world.catalog.ranges.values().cloned().collect();
    let mean = 8_000 * groups / ranges;
    for range in rows {
        let of_group = 1 + range.group_id.0.wrapping_mul(0x9E37_79B9) % 8;
        let ops = mean * of_group * (1 + world.chance(100)) / 230 + 1;
        let size = (8 << 20) + world.chance(16 << 20);
        world.costs.insert(range.range_id, Cost { size, ops });
    }
    world
}

/// Lets time pass until there was no action for a while. Returns how long that took.
fn rest(world: &mut World, ticks_max: u64) -> u64 {
    let (begun, mut idle) = (world.ticks, 0);
    while idle < 90 {
        let plan = world.tick();
        let is_idle = plan
            .actions
            .iter()
            .all(|action| matches!(action, Action::ForgetJob(_)));
        idle = if is_idle { idle + 1 } else { 0 };
        let gone = world.ticks - begun;
        assert!(gone < ticks_max, "no rest: {:?}", plan.actions);
    }
    world.ticks - begun - idle
}

#[test]
fn an_uneven_cluster_comes_to_an_even_rest_and_stays_there() {
    let mut world = uneven(10, 40, 800, 7);
    world.noise_permille = 100;
    world.settings.moves_max = 16;
    assert!(world.spread(|cost| cost.ops) > 0.5);
    for _ in 0..250 {
        world.tick();
    }
    let spread = world.spread(|cost| cost.ops);
    let begun = world.moves.len();
    assert!(spread <= 0.10, "{spread} after {begun} moves");
    let led = world.led();
    let (most, least) = (led.values().max().unwrap(), led.values().min().unwrap());
    assert!(most - least <= 3, "{led:?}");
    let steady = world.ticks;
    for _ in 0..650 {
        world.tick();
    }
    assert_eq!(world.moved_twice(steady, 600), None);
    assert!(world.spread(|cost| cost.ops) <= 0.10);
}

#[test]
fn new_nodes_get_their_share_of_leaders_replicas_and_bytes() {
    let mut world = World::new(3, 3, 3, 1);
    world.settings.groups = 3;
    world.forget_zones();
    for range_id in 1..=3 {
        let size = if range_id == 1 { 300 << 20 } else { 20 << 20 };
        world.costs.insert(RangeId(range_id), Cost { size, ops: 0 });
    }
    world.add_node();
    world.add_node();
    world.forget_zones();
    rest(&mut world, 3_000);
    assert_eq!(world.catalog.groups.len(), 5);
    assert!(
        world.led().values().all(|led| *led == 1),
        "{:?}",
        world.led()
    );
    assert!(
        world.held().values().all(|held| *held == 3),
        "{:?}",
        world.held()
    );
    let sums = world.sums(|cost| cost.size);
    let (most, least) = (sums.values().max().unwrap(), sums.values().min().unwrap());
    assert!(*most as f64 / *least as f64 <= 1.5, "{sums:?}");
}

/// With ranges of the same size, two more nodes, and jobs that take their time: within some minutes
/// bytes lie evenly over nodes, in whatever order the jobs end.
#[test]
fn nodes_that_are_added_to_a_cluster_at_work_end_up_with_their_share_of_bytes() {
    for seed in 1..300 {
        let mut world = World::new(3, 3, 16, seed * 0x9E37_79B9);
        world.forget_zones();
        world.job_ticks = (1, 4 + seed % 12);
        world.noise_permille = 300;
        for range_id in 1..=16 {
            let ops = 10 + world.chance(100);
            let cost = Cost {
                size: 2_600_000,
                ops,
            };
            world.costs.insert(RangeId(range_id), cost);
        }
        let first = world.chance(10);
        world.pass(first);
        for _ in 0..2 {
            world.add_node();
            world.forget_zones();
            let apart = world.chance(10);
            world.pass(apart);
        }
        world.pass(240);
        let held = world.held_bytes();
        let (most, least) = (held.values().max().unwrap(), held.values().min().unwrap());
        let counts = world.held();
        assert!(
            *most as f64 / *least as f64 <= 1.5,
            "seed {seed}: {held:?}, {counts:?}, {:?}",
            world.sums(|cost| cost.size)
        );
    }
}

#[test]
fn a_node_that_is_drained_holds_nothing_in_the_end() {
    let mut world = uneven(5, 5, 40, 3);
    world.settings.groups = 3;
    rest(&mut world, 3_000);
    world.set_state(NodeId(2), NodeState::Draining);
    rest(&mut world, 3_000);
    assert!(world.catalog.holds_nothing(NodeId(2)));
    assert!(world.leaders.values().all(|leader| *leader != NodeId(2)));
    assert_eq!(world.catalog.groups.len(), 4, "one group fewer");
    for group in world.catalog.groups.values() {
        let members: BTreeSet<NodeId> = group.voters().collect();
        assert!(members.len() == 3 && world.is_zoned(&members));
    }
}

#[test]
fn a_node_that_stays_away_is_replaced_after_the_time_for_that_and_not_before() {
    let mut world = uneven(6, 6, 30, 5);
    rest(&mut world, 3_000);
    world.silent.insert(NodeId(4));
    let replaced = |plan: &coterie_controller::planner::Plan| {
        plan.actions.iter().any(|action| {
            let Action::Begin { step, .. } = action else {
                return false;
            };
            matches!(
                step,
                Step::ReplaceReplica(ReplaceReplica {
                    from: NodeId(4),
                    ..
                })
            )
        })
    };
    // Meta has heard the node for an hour by its own clock; the heartbeat's age counts.
    let mut ticks = 0;
    while !replaced(&world.tick()) {
        ticks += 1;
        assert!(ticks < 100);
    }
    rest(&mut world, 3_000);
    assert!(world.catalog.holds_nothing(NodeId(4)));
}

#[test]
fn a_hot_range_is_split_and_its_load_is_on_two_nodes_within_30_seconds() {
    let mut world = World::new(3, 3, 3, 1);
    for range_id in 1..=3 {
        let ops = if range_id == 1 { 30_000 } else { 0 };
        let size = 1 << 20;
        world.costs.insert(RangeId(range_id), Cost { size, ops });
    }
    world.noise_permille = 50;
    for _ in 0..30 {
        world.tick();
    }
    let total: u64 = world.costs.values().map(|cost| cost.ops).sum();
    let mut nodes: BTreeMap<NodeId, u64> = BTreeMap::new();
    for (group_id, ops) in world.sums(|cost| cost.ops) {
        *nodes.entry(world.leaders[&group_id]).or_default() += ops;
    }
    let most = nodes.values().max().unwrap();
    assert!(most * 10 <= total * 6, "{nodes:?}");
}

#[test]
fn leaders_leave_a_slow_node_within_ten_seconds_and_its_replicas_later() {
    let mut world = uneven(6, 6, 30, 9);
    rest(&mut world, 3_000);
    world.log_write_micros.insert(NodeId(3), 400_000);
    for _ in 0..10 {
        world.tick();
    }
    assert_eq!(world.led()[&NodeId(3)], 0);
    assert_eq!(world.held()[&NodeId(3)], 3);
    rest(&mut world, 3_000);
    assert_eq!(world.held()[&NodeId(3)], 0);
}

#[test]
fn nobody_is_slow_where_all_suffer_alike() {
    let mut world = uneven(6, 6, 30, 9);
    rest(&mut world, 3_000);
    let before = world.led();
    // A machine with far too much to do: slow by any bound, and unevenly.
    for node in 1..=6 {
        world.log_write_micros.insert(NodeId(node), 150_000 * node);
    }
    for _ in 0..300 {
        world.tick();
        assert_eq!(world.led(), before);
    }
}

#[test]
fn small_cold_neighbours_become_one_range_and_no_more_than_that_happens() {
    let mut world = World::new(3, 3, 60, 1);
    let ids: Vec<RangeId> = world.catalog.ranges.keys().copied().collect();
    for range_id in ids {
        world.costs.insert(range_id, Cost { size: 1000, ops: 1 });
    }
    for _ in 0..2_000 {
        world.tick();
    }
    let left = world.catalog.ranges.len();
    assert!(left <= 3, "{left} ranges are left");
    rest(&mut world, 200);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Every plan keeps the rules, which are checked at each tick.
    #[test]
    fn plans_keep_the_rules(
        nodes in 3..9u64,
        groups in 1..9u64,
        ranges in 9..40u64,
        seed in 1..u64::MAX,
        events in proptest::collection::vec((0..6u8, 1..9u64), 0..8),
    ) {
        let mut world = uneven(nodes, groups, ranges, seed);
        world.noise_permille = 300;
        for (event, node) in events {
            let node = NodeId(node % world.catalog.nodes.len() as u64 + 1);
            match event {
                0 => drop(world.silent.insert(node)),
                1 => drop(world.silent.remove(&node)),
                2 => world.set_state(node, NodeState::Draining),
                3 => world.set_state(node, NodeState::Up),
                4 => drop(world.add_node()),
                _ => drop(world.log_write_micros.insert(node, 300_000)),
            }
            for _ in 0..80 {
                world.tick();
            }
        }
    }
}
