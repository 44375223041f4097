//! Replicas that are replaced, and those that come back.

use coterie_protocol::catalog::Wish;

use super::*;

fn replace_1() -> Wish {
    Wish::Replace {
        group_id: GroupId(1),
        node_id: NodeId(1),
    }
}

fn members(sim: &Sim) -> Vec<NodeId> {
    let inner = sim.lock();
    let row: Vec<NodeId> = inner.meta.catalog.groups[&GroupId(1)].voters().collect();
    assert_eq!(
        row,
        inner.groups[&GroupId(1)].voters,
        "meta's row is what the group is"
    );
    row
}

/// The four nodes, of which three are members.
fn spare(sim: &Sim) -> NodeId {
    let members = members(sim);
    let mut nodes = (1..=4).map(NodeId);
    nodes.find(|id| !members.contains(id)).unwrap()
}

/// Group 1 on nodes 1 to 3.
async fn settled_on_three() -> (Sim, u64) {
    let (sim, fence) = settled_on(&["a", "b", "c"]).await;
    sim.add_node("d");
    sim.settle(fence, &settings()).await.unwrap();
    assert_eq!(spare(&sim), NodeId(4));
    (sim, fence)
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_an_exchange() {
    for calls in 0.. {
        let (sim, fence) = settled_on_three().await;
        let job_id = sim.ask_for(replace_1());
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first = tokio::time::timeout(Duration::from_secs(60), sim.settle(fence, &wanted));
        let survived = matches!(first.await, Ok(Ok(_)));
        let fence = sim.take_over(2);
        sim.settle(fence, &wanted).await.unwrap();
        check_whole(&sim);
        assert_eq!(members(&sim), [NodeId(2), NodeId(3), NodeId(4)]);
        let job = sim.job(job_id);
        assert_eq!(job.state, JobState::Done);
        assert!(
            job.log.iter().any(|line| line.contains(" agree: ")),
            "{:?}",
            job.log
        );
        let held = sim.lock().groups[&GroupId(1)].replicas.clone();
        assert!(!held.contains(&NodeId(1)), "the old replica is destroyed");
        if survived {
            assert!(calls > 15, "it takes more than {calls} calls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_differs_becomes_no_voter() {
    let (sim, fence) = settled_on_three().await;
    sim.lock().damaged.insert(NodeId(4));
    let job_id = sim.ask_for(replace_1());
    sim.settle(fence, &settings()).await.unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    let last = job.log.last().unwrap();
    assert!(
        last.contains("differ: node ") && last.contains("node 4 has"),
        "{last}"
    );
    assert_eq!(members(&sim), [NodeId(1), NodeId(2), NodeId(3)]);
    check_whole(&sim);
    assert!(!sim.lock().groups[&GroupId(1)].replicas.contains(&NodeId(4)));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_before_it_is_a_voter_costs_the_attempt_and_no_more() {
    let (sim, fence) = settled_on_three().await;
    let job_id = sim.ask_for(replace_1());
    let driving = drive(&sim, fence, job_id);
    until(&sim, job_id, |job| {
        job.log.last().unwrap().contains("counts its records")
    })
    .await;
    sim.lock().alive.remove(&NodeId(4));
    until(&sim, job_id, |job| {
        job.log.last().unwrap().contains("unreachable")
    })
    .await;
    sim.command(Command::SetNodeState {
        node_id: NodeId(4),
        state: NodeState::Down,
        fence,
    });
    driving.await.unwrap().unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    assert!(
        job.log.last().unwrap().contains("node 4 went away"),
        "{:?}",
        job.log
    );
    assert_eq!(members(&sim), [NodeId(1), NodeId(2), NodeId(3)]);
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_removes_what_is_no_longer_its_own() {
    let (sim, fence) = settled_on_three().await;
    {
        let mut inner = sim.lock();
        inner.alive.remove(&NodeId(1));
        for group in inner.groups.values_mut() {
            group.leader = Some(NodeId(2));
        }
    }
    let job_id = sim.ask_for(replace_1());
    let driving = drive(&sim, fence, job_id);
    driving.await.unwrap().unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Done);
    assert!(
        job.log.last().unwrap().contains("has not removed it yet"),
        "{:?}",
        job.log
    );
    assert!(sim.lock().groups[&GroupId(1)].replicas.contains(&NodeId(1)));
    sim.lock().alive.insert(NodeId(1));
    sim.settle(fence, &settings()).await.unwrap();
    assert!(!sim.lock().groups[&GroupId(1)].replicas.contains(&NodeId(1)));
    check_whole(&sim);
}
