//! Which nodes leaders leave, and where they go.

use coterie_protocol::meta::Command;
use coterie_protocol::server::Unfit;
use coterie_types::{NodeId, NodeState};

use super::*;

#[test]
fn leaders_leave_a_node_that_is_draining_or_stopping() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(6, 3);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        sim.command(Command::SetNodeState {
            node_id: NodeId(1),
            state: NodeState::Draining,
            fence: 0,
        });
        sim.settle(fence, &wanted).await.unwrap();
        let led: Vec<usize> = sim.leaders().into_values().collect();
        assert_eq!(led, [0, 3, 3]);
        sim.lock().stopping.insert(NodeId(2));
        let settled = sim.settle(fence, &wanted).await.unwrap();
        let about_leaders = |refusal: &String| refusal.contains("should not lead");
        assert!(!settled.refusals.iter().any(about_leaders));
        let led: Vec<usize> = sim.leaders().into_values().collect();
        assert_eq!(led, [0, 0, 6]);
    });
}

#[test]
fn no_leader_goes_to_a_node_that_was_just_started() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(6, 3);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        for group in sim.lock().groups.values_mut() {
            group.leader = Some(NodeId(1));
        }
        sim.lock().unfit.insert(NodeId(2), Unfit::Restarted);
        sim.settle(fence, &wanted).await.unwrap();
        let led: Vec<usize> = sim.leaders().into_values().collect();
        assert_eq!(led, [3, 0, 3]);
        sim.lock().unfit.clear();
        sim.settle(fence, &wanted).await.unwrap();
        let led: Vec<usize> = sim.leaders().into_values().collect();
        assert_eq!(led, [2, 2, 2]);
    });
}

#[test]
fn leaders_leave_a_node_without_room_for_one_that_has_some() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(6, 3);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        sim.lock().unfit.insert(NodeId(1), Unfit::NoRoom);
        sim.settle(fence, &wanted).await.unwrap();
        let led: Vec<usize> = sim.leaders().into_values().collect();
        assert_eq!(led, [0, 3, 3]);
        // If no node has room, no other voter is better.
        for node in [2, 3] {
            sim.lock().unfit.insert(NodeId(node), Unfit::NoRoom);
        }
        let plan = plan(&sim.view(), &wanted);
        assert!(plan.actions.is_empty(), "{plan:?}");
    });
}

#[test]
fn leaders_are_evened_out_unless_that_is_off() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(7, 3);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        for group in sim.lock().groups.values_mut() {
            group.leader = Some(NodeId(1));
        }
        let balance = |value: &str| Command::PutSetting {
            name: "balance".into(),
            value: Some(value.into()),
        };
        sim.command(balance("off"));
        sim.settle(fence, &wanted).await.unwrap();
        assert_eq!(sim.leaders()[&NodeId(1)], 7);
        sim.command(balance("on"));
        sim.settle(fence, &wanted).await.unwrap();
        let led: Vec<usize> = sim.leaders().into_values().collect();
        assert!(
            led.iter().max().unwrap() - led.iter().min().unwrap() <= 1,
            "{led:?}"
        );
    });
}

#[test]
fn a_group_is_left_alone_after_a_transfer() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(4, 3);
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        sim.lock()
            .groups
            .values_mut()
            .for_each(|g| g.leader = Some(NodeId(1)));
        let first = plan(&sim.view(), &wanted);
        assert_eq!(first.actions.len(), 1, "one at a time");
        let executor = sim.executor(fence, &wanted);
        executor
            .apply(first.actions[0].clone(), sim.view().now)
            .await
            .unwrap();
        assert_eq!(plan(&sim.view(), &wanted).actions, [], "while it runs");
    });
}

#[test]
fn heartbeats_that_are_older_than_a_transfer_do_not_repeat_it() {
    let sim = Sim::with_nodes(&["", "", ""]);
    let wanted = settings(4, 3);
    let all_to_1 = || {
        let mut inner = sim.lock();
        inner
            .groups
            .values_mut()
            .for_each(|g| g.leader = Some(NodeId(1)));
    };
    runtime().block_on(async {
        let fence = sim.take_over(1);
        sim.settle(fence, &wanted).await.unwrap();
        let executor = sim.executor(fence, &wanted);
        let mut transfers = 0;
        for _ in 0..10 {
            // The heartbeats are older than the transfers.
            all_to_1();
            for action in plan(&sim.view(), &wanted).actions {
                executor.apply(action, sim.view().now).await.unwrap();
                transfers += 1;
            }
            let view = sim.view();
            for (job, _) in view.running_jobs() {
                executor.drive(job.clone()).await.unwrap();
            }
        }
        assert_eq!(transfers, 2, "4, 0, 0 becomes 2, 1, 1");
    });
}
