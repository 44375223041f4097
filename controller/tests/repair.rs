//! The replicas that the planner moves, and the nodes that it avoids.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use coterie_controller::job::{self, MoveRange, ReplaceReplica, Step};
use coterie_protocol::catalog::{JobState, Row};
use coterie_protocol::meta::Heartbeat;
use coterie_protocol::server::ReplicaStatus;
use coterie_types::{
    GroupId, JobId, LogIndex, NodeId, NodeState, RangeDescriptor, RangeId, UnixMillis,
};
use world::World;
use world::plans::{MIB, quiet, replaced, set_row};

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
        let step = Step::MoveRange(MoveRange { phase, range, to });
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
    let step = Step::MoveRange(MoveRange { phase, range, to });
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
    // Long after the job began.
    let refused = Step::ReplaceReplica(ReplaceReplica {
        phase: job::ReplacePhase::Refuse,
        group_id: GroupId(1),
        from: NodeId(3),
        to: NodeId(4),
        replicas: vec![],
    });
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
        // Node 3 has been silent for no longer than meta's leader has listened.
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
    // The next leader of meta has not listened for a whole timeout.
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
