//! Nodes that share a host, and actions for load: no load is spread within a host, and an action
//! that did not help is not repeated.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;

use coterie_controller::planner::{Action, Memory, Plan};
use coterie_protocol::catalog::{Effect, JobState};
use coterie_types::{GroupId, NodeId, RangeId};
use world::World;
use world::plans::{MIB, moved, quiet, replaced, set_row, splits};

/// The seconds for which an action that did not help is remembered.
const HOUR: u64 = 3600;

/// A range with too much load, and nodes on these hosts.
fn hot(hosts: &[&str]) -> World {
    let mut world = quiet(3, 3, 3);
    world.set_hosts(hosts);
    set_ops(&mut world, 50_000);
    world
}

fn set_ops(world: &mut World, ops: u64) {
    world.costs.get_mut(&RangeId(1)).unwrap().ops = ops;
}

/// The effects of jobs, judged or not.
fn effects(world: &World) -> Vec<Effect> {
    let jobs = world.catalog.jobs.values();
    jobs.filter_map(|job| job.effect).collect()
}

fn is_for_load(plan: &Plan) -> bool {
    !splits(plan).is_empty() || !moved(plan).is_empty()
}

#[test]
fn load_on_one_host_is_neither_split_nor_moved() {
    let mut world = hot(&["m", "m", "m"]);
    let plan = world.pass(600);
    assert!(!is_for_load(&plan), "{plan:?}");
    let told = |refusal: &String| refusal.contains("all nodes are on one host");
    assert!(plan.refusals.iter().any(told), "{:?}", plan.refusals);
    // Not even if the ranges exist already.
    let mut world = quiet(3, 3, 12);
    world.set_hosts(&["m", "m", "m"]);
    for range in 1..=4 {
        world.costs.get_mut(&RangeId(range)).unwrap().ops = 4_000;
    }
    assert_eq!(moved(&world.pass(600)), []);
}

#[test]
fn load_is_spread_over_hosts_and_over_nodes_that_do_not_say() {
    for hosts in [["a", "b", "c"], ["", "", ""], ["m", "m", "b"]] {
        let mut world = hot(&hosts);
        let plan = world.pass(60);
        assert!(is_for_load(&plan), "{hosts:?}: {plan:?}");
        let busy = world.busy_hosts();
        assert!(busy.len() > 1, "{hosts:?}: {busy:?}");
    }
}

#[test]
fn bytes_are_evened_out_on_one_host_too_where_that_changes_what_nodes_hold() {
    let heavy = |nodes: u64, hosts: &[&str]| {
        let mut world = quiet(nodes, nodes, 4 * nodes);
        world.set_hosts(hosts);
        for range in 1..=4 {
            let cost = world.costs.get_mut(&RangeId(range)).unwrap();
            (cost.size, cost.ops) = (40 * MIB, 4_000);
        }
        world
    };
    let mut world = heavy(5, &["m"; 5]);
    assert!(!moved(&world.pass(120)).is_empty());
    // Three nodes hold all three groups: no move frees a disk.
    let mut world = heavy(3, &["m"; 3]);
    let plan = world.pass(600);
    assert!(!is_for_load(&plan), "{:?}", (splits(&plan), moved(&plan)));
    let mut world = heavy(3, &["a", "b", "c"]);
    assert!(!moved(&world.pass(120)).is_empty());
}

#[test]
fn between_nodes_of_one_host_the_number_of_groups_is_evened_out_and_not_their_load() {
    let mut world = quiet(3, 6, 6);
    world.set_hosts(&["m", "m", "m"]);
    for group in 1..=6 {
        let nodes = if group <= 4 { [1, 2, 3] } else { [2, 3, 1] };
        set_row(&mut world, group, nodes);
    }
    for range in 1..=2 {
        world.costs.get_mut(&RangeId(range)).unwrap().ops = 9_000;
    }
    world.pass(300);
    assert!(
        world.led().values().all(|led| *led == 2),
        "{:?}",
        world.led()
    );
    let settled = world.led();
    // However much load the ranges get.
    for (range, ops) in [(1, 0), (3, 15_000), (4, 15_000)] {
        world.costs.get_mut(&RangeId(range)).unwrap().ops = ops;
    }
    let before = world.leaders.clone();
    world.pass(300);
    assert_eq!((world.led(), &world.leaders), (settled, &before));
}

#[test]
fn leaders_are_spread_over_hosts_before_nodes() {
    let mut world = quiet(4, 4, 4);
    world.set_hosts(&["m", "m", "b", "c"]);
    for group in 1..=4 {
        set_row(&mut world, group, [3, 1, 4]);
    }
    world.pass(600);
    let led = world.led();
    assert!(led.values().all(|led| *led <= 2), "{led:?}");
    assert!(led[&NodeId(1)] >= 1 && led[&NodeId(4)] >= 1, "{led:?}");
}

#[test]
fn what_did_not_help_is_not_repeated_for_an_hour() {
    let mut world = hot(&["a", "b", "c"]);
    world.latency_micros = 5_000;
    let first = world.pass(120);
    assert!(!splits(&first).is_empty() && !moved(&first).is_empty());
    assert!(
        splits(&first).len() == 1,
        "not split again before it is judged: {first:?}"
    );
    let judged = effects(&world);
    assert!(judged.len() >= 2, "{judged:?}");
    assert!(
        judged
            .iter()
            .all(|effect| effect.after.is_some() && !effect.helped)
    );
    let lines = world
        .catalog
        .jobs
        .values()
        .filter(|job| job.effect.is_some());
    for job in lines {
        let last = job.log.last().unwrap();
        assert!(last.contains("it did not help"), "{last}");
    }
    // Another controller knows it too.
    world.memory = Memory::default();
    let plan = world.pass(HOUR - 200);
    assert!(!is_for_load(&plan), "{:?}", (splits(&plan), moved(&plan)));
    let told = |refusal: &String| refusal.contains("did not help at");
    assert!(plan.refusals.iter().any(told), "{:?}", plan.refusals);
    assert!(is_for_load(&world.pass(300)), "after an hour");
}

#[test]
fn what_did_not_help_is_tried_again_when_the_load_doubles() {
    let mut world = hot(&["a", "b", "c"]);
    world.latency_micros = 5_000;
    world.pass(120);
    assert!(!is_for_load(&world.pass(300)));
    for cost in world.costs.values_mut() {
        cost.ops *= 3;
    }
    assert!(is_for_load(&world.pass(60)));
}

#[test]
fn what_helped_goes_on() {
    let mut world = hot(&["a", "b", "c"]);
    // Each part takes as much load as the whole did, up to the demand.
    world.latency_micros = 5_000;
    let mut count = 0;
    for _ in 0..240 {
        let plan = world.tick();
        count += splits(&plan).len();
        let parts = world.costs.values().filter(|cost| cost.ops > 1).count() as u64;
        for cost in world.costs.values_mut().filter(|cost| cost.ops > 1) {
            cost.ops = 50_000 * parts.min(3) / parts;
        }
    }
    assert!(count >= 2, "{count} splits");
    assert!(effects(&world).iter().any(|effect| effect.helped));
}

#[test]
fn the_memory_of_what_did_not_help_is_bounded() {
    let mut world = hot(&["a", "b", "c"]);
    world.latency_micros = 5_000;
    world.pass(120);
    let job = world.catalog.jobs.values().find(|job| job.effect.is_some());
    let (useless, mut other) = (job.unwrap().job_id, job.unwrap().clone());
    // Other jobs are forgotten sooner, and this job is forgotten when there are far too many.
    let fill =
        |world: &mut World, count: u64, other: &mut coterie_protocol::catalog::JobDescriptor| {
            for _ in 0..count {
                other.job_id.0 += 1_000_000;
                other.effect = None;
                other.state = JobState::Done;
                world.write(
                    vec![coterie_protocol::catalog::Row::Job(other.clone())],
                    vec![],
                );
            }
        };
    fill(&mut world, 300, &mut other);
    world.pass(700);
    assert!(world.catalog.jobs.contains_key(&useless));
    assert!(
        world.catalog.jobs.len() <= 210,
        "{}",
        world.catalog.jobs.len()
    );
    fill(&mut world, 2_500, &mut other);
    world.pass(5);
    assert!(!world.catalog.jobs.contains_key(&useless));
}

#[test]
fn new_groups_are_on_several_hosts_where_zones_allow() {
    let mut world = quiet(4, 1, 1);
    world.forget_zones();
    world.set_hosts(&["m", "m", "b", "c"]);
    world.settings.groups = 3;
    let plan = world.pass(30);
    let made = plan.actions.iter().filter_map(|action| match action {
        Action::MakeGroups { groups, .. } => Some(groups),
        _ => None,
    });
    let mut count = 0;
    for group in made.flatten() {
        let hosts: BTreeSet<&str> = group.voters.iter().map(|id| world.host(*id)).collect();
        assert_eq!(hosts.len(), 3, "{group:?}");
        count += 1;
    }
    assert!(count >= 2, "{plan:?}");
}

#[test]
fn a_group_that_is_crowded_on_one_host_is_spread() {
    let mut world = quiet(4, 1, 1);
    world.forget_zones();
    world.set_hosts(&["m", "m", "b", "c"]);
    world.settings.groups = 1;
    world.stop_balance();
    set_row(&mut world, 1, [1, 2, 3]);
    let plan = world.tick();
    assert_eq!(replaced(&plan), [(GroupId(1), NodeId(2), NodeId(4))]);
}
