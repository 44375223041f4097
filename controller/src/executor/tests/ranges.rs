//! Splits, merges, and the removal of groups.

use bytes::Bytes;
use coterie_protocol::catalog::Wish;
use coterie_types::{GroupDescriptor, TableId};

use super::*;
use crate::job::{MergePhase, MergeRanges, RemoveGroup, RemovePhase, SplitPhase, SplitRange};

fn split_at(key: &'static str) -> Wish {
    Wish::Split {
        table: TableId(0),
        at: Bytes::from_static(key.as_bytes()),
    }
}

fn in_halves(sim: &Sim, range: RangeDescriptor) -> Step {
    Step::SplitRange(SplitRange {
        phase: SplitPhase::Split,
        range,
        at: None,
        right_id: RangeId(sim.lock().meta.next.range),
    })
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_a_split() {
    let begin = |sim: &Sim| {
        sim.ask_for(split_at("g"));
    };
    dies_anywhere(6, begin, |sim| {
        let (left, right) = (located(sim, "a"), located(sim, "g"));
        assert_eq!(right.bounds.start, "g");
        assert_eq!((left.epoch, right.epoch), (Epoch(2), Epoch(2)));
        assert_eq!(left.group_id, right.group_id);
        assert_eq!(the_job(sim, "split").state, JobState::Done);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_split_by_size_asks_where_the_middle_is() {
    let begin = |sim: &Sim| {
        let step = in_halves(sim, located(sim, "a"));
        sim.begin_job(&step);
    };
    dies_anywhere(6, begin, |sim| {
        // Twelve letters before "m".
        assert_eq!(located(sim, "g").bounds.start, "g");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_range_with_less_than_two_keys_is_not_halved() {
    let (sim, fence) = settled().await;
    let range = sim
        .lock()
        .meta
        .catalog
        .locate(TableId(5), b"")
        .unwrap()
        .clone();
    let step = in_halves(&sim, range);
    let job_id = sim.begin_job(&step);
    sim.settle(fence, &settings()).await.unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    assert!(
        job.log.last().unwrap().contains("fewer than two keys"),
        "{:?}",
        job.log
    );
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_split_of_what_is_no_longer_so_is_given_up() {
    let (sim, fence) = settled().await;
    let old = located(&sim, "a");
    let first = in_halves(&sim, old.clone());
    sim.begin_job(&first);
    sim.settle(fence, &settings()).await.unwrap();
    let again = in_halves(&sim, old);
    let job_id = sim.begin_job(&again);
    sim.settle(fence, &settings()).await.unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    assert!(
        job.log.last().unwrap().contains("at epoch 2"),
        "{:?}",
        job.log
    );
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_a_merge() {
    let begin = |sim: &Sim| {
        let mut left = located(sim, "a");
        let right_id = RangeId(sim.lock().meta.next.range);
        sim.begin_job(&Step::SplitRange(SplitRange {
            phase: SplitPhase::Split,
            range: left.clone(),
            at: Some(Bytes::from_static(b"g")),
            right_id,
        }));
        // Begun before the split is done: the job waits, and finds the range that it was begun for.
        let mut right = left.clone();
        (left.epoch, right.epoch) = (left.epoch.next(), right.epoch.next());
        left.bounds.end = Some(Bytes::from_static(b"g"));
        right.bounds.start = Bytes::from_static(b"g");
        right.range_id = right_id;
        sim.begin_job(&Step::MergeRanges(MergeRanges {
            phase: MergePhase::Merge,
            left,
            right,
        }));
    };
    dies_anywhere(8, begin, |sim| {
        let whole = located(sim, "g");
        assert_eq!((whole.epoch, whole.bounds.start.len()), (Epoch(3), 0));
        assert_eq!(whole.bounds.end.unwrap(), "m");
        assert_eq!(the_job(sim, "test").state, JobState::Done);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn neighbours_in_two_groups_become_one_after_a_move() {
    let merge = Wish::Merge {
        table: TableId(0),
        key: Bytes::from_static(b"a"),
    };
    let begin = |sim: &Sim| {
        sim.ask_for(merge.clone());
    };
    dies_anywhere(20, begin, |sim| {
        let whole = located(sim, "z");
        assert_eq!(whole.bounds, coterie_types::KeyRange::all(TableId(0)));
        assert_eq!(the_job(sim, "merge").state, JobState::Done);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_dropped_while_its_range_is_split_leaves_nothing() {
    let name = || "users".to_owned();
    for calls in 0.. {
        let (sim, fence) = settled().await;
        let split_at = vec![];
        sim.command(Command::CreateTable {
            name: name(),
            split_at,
        });
        sim.settle(fence, &settings()).await.unwrap();
        put(&sim, TableId(16), b'c');
        put(&sim, TableId(16), b'x');
        sim.ask_for(Wish::Split {
            table: TableId(16),
            at: Bytes::from_static(b"g"),
        });
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first = tokio::time::timeout(Duration::from_secs(60), sim.settle(fence, &wanted));
        let survived = matches!(first.await, Ok(Ok(_)));
        sim.command(Command::DropTable { name: name() });
        let fence = sim.take_over(2);
        sim.settle(fence, &wanted).await.unwrap();
        check_whole(&sim);
        check_nothing_of(&sim, TableId(16));
        if survived {
            return;
        }
    }
}

/// A group that owns nothing, and how to remove it.
async fn an_empty_group(sim: &Sim, fence: u64) -> Step {
    let key = || Bytes::from_static(b"a");
    for to in [None, Some(GroupId(1))] {
        sim.ask_for(Wish::Move {
            table: TableId(0),
            key: key(),
            to,
        });
        sim.settle(fence, &settings()).await.unwrap();
    }
    let group = sim.lock().meta.catalog.groups[&GroupId(4)].clone();
    Step::RemoveGroup(RemoveGroup {
        phase: RemovePhase::Forget,
        group,
    })
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_a_removal() {
    for calls in 0.. {
        let (sim, fence) = settled().await;
        let step = an_empty_group(&sim, fence).await;
        let job_id = sim.begin_job(&step);
        sim.lock().calls_left = calls;
        let wanted = settings();
        let first = tokio::time::timeout(Duration::from_secs(60), sim.settle(fence, &wanted));
        let survived = matches!(first.await, Ok(Ok(_)));
        let fence = sim.take_over(2);
        sim.settle(fence, &wanted).await.unwrap();
        check_whole(&sim);
        assert_eq!(
            sim.job(job_id).state,
            JobState::Done,
            "{:?}",
            sim.job(job_id)
        );
        let inner = sim.lock();
        assert!(!inner.meta.catalog.groups.contains_key(&GroupId(4)));
        assert!(inner.groups[&GroupId(4)].replicas.is_empty());
        if survived {
            assert!(calls > 6, "it takes more than {calls} calls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_middle_that_nobody_finds_in_time_is_not_asked_for_again_at_once() {
    let (sim, fence) = settled().await;
    sim.lock().is_middle_late = true;
    let job_id = sim.begin_job(&Step::SplitRange(SplitRange {
        phase: SplitPhase::Split,
        range: located(&sim, "a"),
        at: None,
        right_id: RangeId(900),
    }));
    let begun = tokio::time::Instant::now();
    drive(&sim, fence, job_id).await.unwrap().unwrap();
    let job = sim.job(job_id);
    assert_eq!(job.state, JobState::Failed);
    let last = job.log.last().unwrap();
    assert!(last.contains("nobody found its middle in 30 s"), "{last}");
    assert!(
        begun.elapsed() < Duration::from_secs(31),
        "each was asked once"
    );
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_owns_something_is_not_removed() {
    let (sim, fence) = settled().await;
    let group: GroupDescriptor = sim.lock().meta.catalog.groups[&GroupId(1)].clone();
    let phase = RemovePhase::Forget;
    let job_id = sim.begin_job(&Step::RemoveGroup(RemoveGroup { phase, group }));
    sim.settle(fence, &settings()).await.unwrap();
    assert_eq!(sim.job(job_id).state, JobState::Failed);
    check_served(&sim, 3);
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_down_is_waited_for_unless_it_was_removed() {
    let (sim, fence) = settled().await;
    let step = an_empty_group(&sim, fence).await;
    let Step::RemoveGroup(RemoveGroup { group, .. }) = &step else {
        panic!("{step}");
    };
    let away = group.voters().last().unwrap();
    let job_id = sim.begin_job(&step);
    {
        let mut inner = sim.lock();
        inner.alive.remove(&away);
        let led = |group: &&mut crate::sim::SimGroup| group.leader == Some(away);
        for group in inner.groups.values_mut().filter(led) {
            group.leader = group.voters.iter().copied().find(|id| *id != away);
        }
    }
    let driving = drive(&sim, fence, job_id);
    let waits = format!("node {away} is unreachable");
    let is_waiting = |job: &JobDescriptor| job.log.last().unwrap().contains(&waits);
    until(&sim, job_id, is_waiting).await;
    sim.lock().alive.insert(away);
    driving.await.unwrap().unwrap();
    assert_eq!(sim.job(job_id).state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_replica_of_a_removed_group_that_comes_back_is_removed_too() {
    let (sim, fence) = settled().await;
    let step = an_empty_group(&sim, fence).await;
    sim.begin_job(&step);
    sim.settle(fence, &settings()).await.unwrap();
    let replicas = |sim: &Sim| sim.lock().groups[&GroupId(4)].replicas.clone();
    {
        let mut inner = sim.lock();
        let group = inner.groups.get_mut(&GroupId(4)).unwrap();
        group.replicas.insert(NodeId(1));
    }
    assert_eq!(replicas(&sim), [NodeId(1)].into());
    sim.settle(fence, &settings()).await.unwrap();
    assert!(replicas(&sim).is_empty());
}
