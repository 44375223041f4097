//! The executor against a cluster of values: it may die at any call, and another goes on.

use std::time::Duration;

use coterie_protocol::catalog::JobState;
use coterie_protocol::meta::Command;
use coterie_types::{Epoch, GroupId, JobId, NodeId, NodeState, RangeDescriptor, RangeId, TableId};

use super::cx::ASK_TIMEOUT;
use super::*;
use crate::planner::{Settings, plan};
use crate::sim::Sim;

mod moves;
mod ranges;
mod recover;
mod replicas;
mod storm;
mod wishes;

fn settings() -> Settings {
    Settings {
        groups: 3,
        replicas: 3,
        bootstrap_nodes: 3,
        split_at: vec!["m".into()],
        liveness_timeout: Duration::from_secs(3),
        ..Settings::default()
    }
}

fn check_served(sim: &Sim, groups: usize) {
    let inner = sim.lock();
    let catalog = &inner.meta.catalog;
    assert_eq!(catalog.groups.len(), groups);
    for table in catalog.tables.keys() {
        assert!(catalog.ranges_of(*table).next().is_some(), "table {table}");
    }
    for range in catalog.ranges.values() {
        assert!(inner.groups[&range.group_id].ranges.contains(range));
    }
    assert!(inner.groups.values().all(|group| group.conflicts == 0));
}

/// The letters that are keys of table 0.
const LETTERS: std::ops::RangeInclusive<u8> = b'a'..=b'z';

/// Four nodes, three groups, table 0 in two ranges, and a key for each letter.
async fn settled() -> (Sim, u64) {
    settled_on(&["a", "b", "c", "d"]).await
}

/// As `settled`, on these nodes. The planner moves nothing: the tests are about jobs.
async fn settled_on(zones: &[&str]) -> (Sim, u64) {
    let sim = Sim::with_nodes(zones);
    let fence = sim.take_over(1);
    sim.command(Command::PutSetting {
        name: "balance".to_owned(),
        value: Some("off".to_owned()),
    });
    sim.settle(fence, &settings()).await.unwrap();
    for letter in LETTERS {
        put(&sim, TableId(0), letter);
    }
    (sim, fence)
}

fn put(sim: &Sim, table: TableId, letter: u8) {
    let mut inner = sim.lock();
    let group_id = inner
        .meta
        .catalog
        .locate(table, &[letter])
        .unwrap()
        .group_id;
    let group = inner.groups.get_mut(&group_id).unwrap();
    group.keys.insert((table, vec![letter].into()));
}

/// The range of a key of table 0.
fn located(sim: &Sim, key: &str) -> RangeDescriptor {
    let catalog = &sim.lock().meta.catalog;
    catalog.locate(TableId(0), key.as_bytes()).unwrap().clone()
}

/// The map equals the groups' ranges, no job is half done, and every key is in its range's group.
fn check_whole(sim: &Sim) {
    let inner = sim.lock();
    let catalog = &inner.meta.catalog;
    for range in catalog.ranges.values() {
        assert!(
            inner.groups[&range.group_id].ranges.contains(range),
            "{range:?}"
        );
    }
    for (group_id, group) in &inner.groups {
        let owned = catalog.ranges.values().filter(|r| r.group_id == *group_id);
        assert_eq!(group.ranges.len(), owned.count(), "group {group_id}");
        assert_eq!(group.importing(), [], "group {group_id}");
        assert!(group.frozen.is_empty(), "group {group_id}");
        assert!(group.learners.is_empty(), "group {group_id}");
        assert_eq!(group.conflicts, 0, "group {group_id}");
        let is_owned = |(table, key): &(TableId, bytes::Bytes)| group.owns(*table, key);
        assert!(group.keys.iter().all(is_owned), "group {group_id}");
    }
    for letter in LETTERS {
        let key = (TableId(0), bytes::Bytes::from(vec![letter]));
        let group_id = catalog.locate(key.0, &key.1).unwrap().group_id;
        assert!(inner.groups[&group_id].keys.contains(&key), "{key:?}");
    }
    let mut jobs = catalog.jobs.values();
    assert!(jobs.all(|job| job.state != JobState::Running));
}

/// Begins something on a settled cluster, and lets two lives of the controller do it. The first
/// dies at each of its calls in turn.
async fn dies_anywhere(at_least: usize, begin: impl Fn(&Sim), check: impl Fn(&Sim)) {
    for calls in 0.. {
        let (sim, fence) = settled().await;
        begin(&sim);
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first_life = sim.settle(fence, &wanted);
        let first = tokio::time::timeout(Duration::from_secs(60), first_life).await;
        let survived = matches!(first, Ok(Ok(_)));
        let fence = sim.take_over(2);
        sim.settle(fence, &wanted).await.unwrap();
        check_whole(&sim);
        check(&sim);
        if survived {
            assert!(calls >= at_least, "it takes more than {calls} calls");
            return;
        }
    }
}

/// The newest job that does not hand over leaders.
fn the_job(sim: &Sim, kind: &str) -> JobDescriptor {
    let catalog = &sim.lock().meta.catalog;
    let mut jobs = catalog.jobs.values().rev();
    jobs.find(|job| job.kind == kind).unwrap().clone()
}

/// Waits until the condition holds for the job's row.
async fn until(sim: &Sim, job_id: JobId, is_so: impl Fn(&JobDescriptor) -> bool) {
    for _ in 0..1000 {
        if is_so(&sim.job(job_id)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", sim.job(job_id));
}

/// Drives a job in the background.
fn drive(sim: &Sim, fence: u64, job_id: JobId) -> tokio::task::JoinHandle<Result<Revision, Stop>> {
    let (executor, job) = (sim.executor(fence, &settings()), sim.job(job_id));
    tokio::spawn(async move { executor.drive(job).await })
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call() {
    // Until a life is long enough to do everything.
    for calls in 0.. {
        let sim = Sim::with_nodes(&["a", "b", "c"]);
        let fence = sim.take_over(1);
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first_life = sim.settle(fence, &wanted);
        // A dead controller waits for ever; the test does not.
        let first = tokio::time::timeout(Duration::from_secs(30), first_life).await;
        let survived = matches!(first, Ok(Ok(_)));
        let fence = sim.take_over(2);
        sim.settle(fence, &settings()).await.unwrap();
        check_served(&sim, 3);
        let jobs = sim.lock().meta.catalog.jobs.clone();
        assert!(
            jobs.values().all(|job| job.state == JobState::Done),
            "after {calls} calls"
        );
        if survived {
            assert!(calls > 10, "it takes more than {calls} calls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dying_again_and_again_comes_to_an_end_too() {
    let sim = Sim::with_nodes(&["a", "b", "c"]);
    for life in 1..100 {
        let fence = sim.take_over(life);
        sim.lock().calls_left = 4;
        let wanted = settings();
        let settling = sim.settle(fence, &wanted);
        let _ = tokio::time::timeout(Duration::from_secs(5), settling).await;
    }
    let fence = sim.take_over(1000);
    sim.settle(fence, &settings()).await.unwrap();
    check_served(&sim, 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_lost_the_lease_changes_nothing_more() {
    let sim = Sim::with_nodes(&["a", "b", "c"]);
    let old = sim.take_over(1);
    let new = sim.take_over(2);
    assert_eq!(sim.settle(old, &settings()).await, Err(Stop::Fenced));
    assert!(sim.lock().meta.catalog.jobs.is_empty());
    sim.settle(new, &settings()).await.unwrap();
    // Also where it asks a server that knows the newer controller.
    let executor = sim.executor(old, &settings());
    let transfer = TransferLeader {
        group_id: GroupId(1),
        from: NodeId(1),
        to: NodeId(2),
        urgent: false,
    };
    let transfer = transfer.take(&executor.cx).await;
    assert_eq!(transfer.err(), Some(Stop::Fenced));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_before_the_start_costs_the_attempt_and_no_more() {
    let sim = Sim::with_nodes(&["a", "b", "c", "d"]);
    let fence = sim.take_over(1);
    let executor = sim.executor(fence, &settings());
    let up = plan(&sim.view(), &settings());
    for action in up.actions {
        executor.apply(action, UnixMillis(0)).await.unwrap();
    }
    for action in plan(&sim.view(), &settings()).actions {
        executor.apply(action, UnixMillis(0)).await.unwrap();
    }
    sim.lock().alive.remove(&NodeId(2));
    let view = sim.view();
    let (job, _) = view.running_jobs().next().unwrap();
    let driving = tokio::spawn({
        let (executor, job) = (executor.clone(), job.clone());
        async move { executor.drive(job).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!driving.is_finished(), "it waits for the node");
    for action in plan(&sim.view(), &settings()).actions {
        executor.apply(action, UnixMillis(0)).await.unwrap();
    }
    driving.await.unwrap().unwrap();
    sim.settle(fence, &settings()).await.unwrap();
    check_served(&sim, 3);
    let inner = sim.lock();
    let jobs: Vec<_> = inner.meta.catalog.jobs.values().collect();
    assert_eq!(
        (jobs[0].state, jobs[1].state),
        (JobState::Failed, JobState::Done)
    );
    assert!(
        jobs[0].log.last().unwrap().contains("node 2 went away"),
        "{:?}",
        jobs[0].log
    );
    let members = inner.meta.catalog.groups.values().flat_map(|g| g.voters());
    assert!(members.into_iter().all(|id| id != NodeId(2)));
}

#[tokio::test(start_paused = true)]
async fn a_table_dropped_half_way_is_left_out() {
    let sim = Sim::with_nodes(&["a", "b", "c"]);
    let fence = sim.take_over(1);
    sim.settle(fence, &settings()).await.unwrap();
    let name = || "users".to_owned();
    sim.command(Command::CreateTable {
        name: name(),
        split_at: vec![],
    });
    let executor = sim.executor(fence, &settings());
    for action in plan(&sim.view(), &settings()).actions {
        executor.apply(action, UnixMillis(0)).await.unwrap();
    }
    sim.command(Command::DropTable { name: name() });
    sim.settle(fence, &settings()).await.unwrap();
    check_served(&sim, 3);
    check_nothing_of(&sim, TableId(16));
}

fn check_nothing_of(sim: &Sim, table: TableId) {
    let inner = sim.lock();
    assert!(inner.meta.catalog.dropped.is_empty());
    let of_table = |range: &RangeDescriptor| range.bounds.table == table;
    for group in inner.groups.values() {
        assert!(!group.ranges.iter().any(of_table), "{group:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_while_tables_come_and_go() {
    let name = || "users".to_owned();
    for calls in 0.. {
        let sim = Sim::with_nodes(&["a", "b", "c"]);
        let fence = sim.take_over(1);
        let wanted = settings();
        sim.settle(fence, &wanted).await.unwrap();
        sim.command(Command::CreateTable {
            name: name(),
            split_at: vec![],
        });
        sim.lock().calls_left = calls;
        let first = tokio::time::timeout(Duration::from_secs(30), sim.settle(fence, &wanted));
        let created = matches!(first.await, Ok(Ok(_)));
        sim.command(Command::DropTable { name: name() });
        sim.command(Command::CreateTable {
            name: name(),
            split_at: vec![],
        });
        let fence = sim.take_over(2);
        sim.lock().calls_left = calls;
        let second = tokio::time::timeout(Duration::from_secs(30), sim.settle(fence, &wanted));
        let survived = matches!(second.await, Ok(Ok(_)));
        let fence = sim.take_over(3);
        sim.settle(fence, &wanted).await.unwrap();
        check_served(&sim, 3);
        check_nothing_of(&sim, TableId(16));
        if created && survived {
            assert!(calls > 5, "it takes more than {calls} calls");
            return;
        }
    }
}

fn check_replaced(sim: &Sim, lost: NodeId, new: NodeId) {
    let inner = sim.lock();
    let catalog = &inner.meta.catalog;
    for (group_id, group) in &inner.groups {
        let row: Vec<NodeId> = catalog.groups[group_id].voters().collect();
        assert_eq!(group.voters, row, "meta's row is what the group is");
        assert!(row.contains(&new) && !row.contains(&lost), "{row:?}");
    }
    assert_eq!(catalog.nodes[&lost].state, NodeState::Removed);
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_a_replacement() {
    for calls in 0.. {
        let sim = Sim::with_nodes(&["a", "b", "c"]);
        let fence = sim.take_over(1);
        sim.settle(fence, &settings()).await.unwrap();
        let new = sim.wipe(NodeId(1));
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first_life = sim.settle(fence, &wanted);
        let first = tokio::time::timeout(Duration::from_secs(30), first_life).await;
        let survived = matches!(first, Ok(Ok(_)));
        let fence = sim.take_over(2);
        sim.settle(fence, &settings()).await.unwrap();
        check_replaced(&sim, NodeId(1), new);
        check_served(&sim, 3);
        if survived {
            assert!(calls > 20, "it takes more than {calls} calls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_wiped_again_while_it_takes_a_place_costs_the_attempt() {
    let sim = Sim::with_nodes(&["a", "b", "c"]);
    let fence = sim.take_over(1);
    sim.settle(fence, &settings()).await.unwrap();
    let second = sim.wipe(NodeId(1));
    // Enough for some of the groups, not for all.
    sim.lock().calls_left = 15;
    let wanted = settings();
    let settling = sim.settle(fence, &wanted);
    let _ = tokio::time::timeout(Duration::from_secs(30), settling).await;
    let third = sim.wipe(second);
    let fence = sim.take_over(2);
    let planned = sim.settle(fence, &settings()).await.unwrap();
    assert_eq!(planned.refusals, Vec::<String>::new());
    check_replaced(&sim, NodeId(1), third);
    check_replaced(&sim, second, third);
}
