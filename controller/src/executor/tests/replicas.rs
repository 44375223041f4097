//! Replacements of replicas, and nodes that come back.

use coterie_protocol::catalog::Wish;

use super::*;
use crate::job::ReplaceReplica;
use crate::planner::Plan;
use tokio::time::Instant;

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

/// The node that is no member of group 1, of four.
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

/// The end of the job that replaces a replica of group 1 by a replica on node 4, after this change
/// of node 4.
async fn given_up(change: impl FnOnce(&Sim)) -> (Sim, JobDescriptor, Duration) {
    let (sim, fence) = settled_on_three().await;
    sim.lock().behind.insert(NodeId(4), 1);
    let job_id = sim.ask_for(replace_1());
    let begun = Instant::now();
    let driving = drive(&sim, fence, job_id);
    until(&sim, job_id, |job| {
        job.log.last().unwrap().contains("entries behind")
    })
    .await;
    change(&sim);
    driving.await.unwrap().unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(members(&sim), [NodeId(1), NodeId(2), NodeId(3)]);
    check_whole(&sim);
    (sim, job, begun.elapsed())
}

fn is_refused(job: &JobDescriptor) -> bool {
    let phase = match Step::of(job).unwrap() {
        Step::ReplaceReplica(ReplaceReplica { phase, .. }) => phase,
        other => panic!("{other}"),
    };
    phase == job::ReplacePhase::Refuse
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_new_replica_stops_or_is_gone_is_given_up_at_once() {
    let (.., job, took) = given_up(|sim| {
        sim.lock().faults.insert((NodeId(4), GroupId(1)));
    })
    .await;
    let last = job.log.last().unwrap();
    assert!(last.contains("node 4 has stopped its replica"), "{last}");
    assert!(is_refused(&job) && took < Duration::from_secs(60));
    let (.., job, took) = given_up(|sim| {
        let mut inner = sim.lock();
        let group = inner.groups.get_mut(&GroupId(1)).unwrap();
        group.replicas.remove(&NodeId(4));
    })
    .await;
    let last = job.log.last().unwrap();
    assert!(
        last.contains("has no replica of group 1 any more"),
        "{last}"
    );
    assert!(is_refused(&job) && took < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_gets_no_further_is_given_up_after_a_while_and_not_asked_again_at_once() {
    let (sim, job, took) = given_up(|_| {}).await;
    let last = job.log.last().unwrap();
    assert!(last.contains("node 4 has got no further"), "{last}");
    assert!(is_refused(&job));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert!(minutes(5) < took && took < minutes(6), "{took:?}");
    // Node 4 is the only node that could replace the lost node.
    sim.lock().behind.clear();
    sim.wipe(NodeId(1));
    sim.lock().alive.remove(&NodeId(5));
    let planned = plan(&sim.view(), &settings());
    let begun = |planned: &Plan| {
        let actions = planned.actions.iter();
        let to_4 = actions.filter(|action| {
            matches!(
                action,
                Action::Begin {
                    step: Step::ReplaceReplica(ReplaceReplica {
                        group_id: GroupId(1),
                        to: NodeId(4),
                        ..
                    }),
                    ..
                }
            )
        });
        to_4.count()
    };
    assert_eq!(begun(&planned), 0);
    let is_told = |line: &String| line.contains("could not take it lately");
    assert!(
        planned.refusals.iter().any(is_told),
        "{:?}",
        planned.refusals
    );
    let mut inner = sim.lock();
    inner.now = inner.now.plus(600_000);
    drop(inner);
    assert_eq!(begun(&plan(&sim.view(), &settings())), 1, "later it is");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_gets_on_is_waited_for() {
    let (_, _, took) = given_up(|sim| {
        let sim = sim.clone();
        tokio::spawn(async move {
            for last in 2..5 {
                tokio::time::sleep(Duration::from_secs(240)).await;
                sim.lock().behind.insert(NodeId(4), last);
            }
        });
    })
    .await;
    let seconds = took.as_secs();
    assert!(
        (3 * 240 + 300..3 * 240 + 360).contains(&seconds),
        "{seconds}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_makes_no_replica_is_given_up_after_a_while() {
    let (sim, fence) = settled_on_three().await;
    sim.lock().barren.insert(NodeId(4));
    let job_id = sim.ask_for(replace_1());
    let begun = Instant::now();
    drive(&sim, fence, job_id).await.unwrap().unwrap();
    let job = sim.job(job_id);
    assert!(job.state == JobState::Failed && is_refused(&job));
    let seconds = begun.elapsed().as_secs();
    assert!((300..360).contains(&seconds), "{seconds}");
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_group_nobody_leads_goes_back_and_is_in_nobody_s_way() {
    let (sim, fence) = settled_on_three().await;
    sim.lock().behind.insert(NodeId(4), 1);
    let job_id = sim.ask_for(replace_1());
    let driving = drive(&sim, fence, job_id);
    until(&sim, job_id, |job| {
        job.log.last().unwrap().contains("entries behind")
    })
    .await;
    let mut leader = None;
    let led = |sim: &Sim, leader: &mut Option<NodeId>| {
        let mut inner = sim.lock();
        std::mem::swap(
            &mut inner.groups.get_mut(&GroupId(1)).unwrap().leader,
            leader,
        );
    };
    led(&sim, &mut leader);
    tokio::time::sleep(Duration::from_secs(360)).await;
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Running);
    assert!(!is_refused(&job), "the node is not to blame");
    let wanted = Settings {
        snapshots_max: 1,
        ..settings()
    };
    // Another group's replica moves meanwhile.
    sim.lock().behind.clear();
    sim.command(Command::SetNodeState {
        node_id: NodeId(2),
        state: NodeState::Draining,
        fence: 0,
    });
    let planned = plan(&sim.view(), &wanted);
    let mut begun = planned.actions.iter().filter(|action| {
        matches!(
            action,
            Action::Begin {
                step: Step::ReplaceReplica(_),
                ..
            }
        )
    });
    assert!(begun.next().is_some(), "{planned:?}");
    led(&sim, &mut leader);
    driving.await.unwrap().unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    assert!(
        job.log.last().unwrap().contains("nobody leads group 1"),
        "{:?}",
        job.log
    );
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
