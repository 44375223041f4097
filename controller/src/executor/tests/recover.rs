//! Groups that lost their majority, and go on from the surviving replica.

use coterie_protocol::catalog::Wish;
use coterie_types::NodeState;

use super::*;

const GROUPS: [GroupId; 3] = [GroupId(1), GroupId(2), GroupId(3)];

fn from_3(group_id: GroupId) -> Wish {
    let node_id = NodeId(3);
    Wish::Recover { group_id, node_id }
}

fn voters(sim: &Sim, group_id: GroupId) -> Vec<NodeId> {
    let inner = sim.lock();
    let row: Vec<NodeId> = inner.meta.catalog.groups[&group_id].voters().collect();
    assert_eq!(row, inner.groups[&group_id].voters, "group {group_id}");
    row
}

fn last_line(sim: &Sim, job_id: JobId) -> String {
    sim.job(job_id).log.last().unwrap().clone()
}

/// All groups were on nodes 1 to 3; 1 and 2 are lost, 4 and 5 are spares.
async fn without_a_majority() -> (Sim, u64) {
    let (sim, fence) = settled_on(&["a", "b", "c"]).await;
    sim.add_node("d");
    sim.add_node("e");
    sim.settle(fence, &settings()).await.unwrap();
    sim.lose(&[NodeId(1), NodeId(2)]);
    (sim, fence)
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_a_recovery() {
    for calls in 0.. {
        let (sim, fence) = without_a_majority().await;
        let jobs = GROUPS.map(|group_id| sim.ask_for(from_3(group_id)));
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first = tokio::time::timeout(Duration::from_secs(60), sim.settle(fence, &wanted));
        let survived = matches!(first.await, Ok(Ok(_)));
        let fence = sim.take_over(2);
        sim.settle(fence, &wanted).await.unwrap();
        check_whole(&sim);
        for (group_id, job_id) in GROUPS.into_iter().zip(jobs) {
            assert_eq!(
                sim.job(job_id).state,
                JobState::Done,
                "{:?}",
                sim.job(job_id)
            );
            assert_eq!(voters(&sim, group_id), [NodeId(3), NodeId(4), NodeId(5)]);
        }
        let nodes = sim.lock().meta.catalog.nodes.clone();
        assert_eq!(nodes[&NodeId(1)].state, NodeState::Removed);
        assert_eq!(nodes[&NodeId(2)].state, NodeState::Removed);
        if survived {
            assert!(calls > 20, "it takes more than {calls} calls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_lost_is_not_recovered() {
    let (sim, fence) = settled_on(&["a", "b", "c"]).await;
    let led = sim.ask_for(from_3(GroupId(1)));
    sim.settle(fence, &settings()).await.unwrap();
    assert!(
        last_line(&sim, led).contains("leads group 1"),
        "{}",
        last_line(&sim, led)
    );
    // The group has no leader, but two of three voters could elect a leader.
    sim.lose(&[NodeId(1)]);
    for group_id in GROUPS {
        sim.lock().groups.get_mut(&group_id).unwrap().leader = None;
    }
    let possible = sim.ask_for(from_3(GroupId(1)));
    let nobody = sim.ask_for(from_3(GroupId(99)));
    let executor = sim.executor(fence, &settings());
    for job_id in [possible, nobody] {
        executor.drive(sim.job(job_id)).await.unwrap();
    }
    let line = last_line(&sim, possible);
    assert!(line.contains("2 of 3 voters are up"), "{line}");
    assert_eq!(last_line(&sim, nobody), "there is no group 99");
    sim.lose(&[NodeId(2), NodeId(3)]);
    let gone = sim.ask_for(from_3(GroupId(1)));
    executor.drive(sim.job(gone)).await.unwrap();
    let line = last_line(&sim, gone);
    assert!(
        line.contains("nothing is heard of a replica on node 3"),
        "{line}"
    );
}

/// A replacement that was under way when the majority was lost is turned back.
#[tokio::test(start_paused = true)]
async fn an_exchange_that_was_under_way_is_turned_back() {
    let (sim, fence) = settled_on(&["a", "b", "c"]).await;
    sim.add_node("d");
    sim.add_node("e");
    sim.settle(fence, &settings()).await.unwrap();
    let group_id = GroupId(1);
    let exchange = sim.ask_for(Wish::Replace {
        group_id,
        node_id: NodeId(3),
    });
    let executor = sim.executor(fence, &settings());
    let driven = tokio::spawn({
        let (executor, job) = (executor.clone(), sim.job(exchange));
        async move { executor.drive(job).await }
    });
    while sim.lock().groups[&group_id].learners.is_empty() {
        tokio::task::yield_now().await;
    }
    sim.lose(&[NodeId(1), NodeId(2)]);
    let recovery = sim.ask_for(from_3(group_id));
    executor.drive(sim.job(recovery)).await.unwrap();
    assert_eq!(sim.job(recovery).state, JobState::Done);
    driven.await.unwrap().unwrap();
    assert_eq!(sim.job(exchange).state, JobState::Failed);
    for other in [GroupId(2), GroupId(3)] {
        sim.ask_for(from_3(other));
    }
    sim.settle(fence, &settings()).await.unwrap();
    check_whole(&sim);
    assert_eq!(voters(&sim, group_id), [NodeId(3), NodeId(4), NodeId(5)]);
}
