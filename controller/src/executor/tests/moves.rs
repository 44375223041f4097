//! Moves, with other events in between.

use bytes::Bytes;
use coterie_protocol::catalog::{Effect, Traffic, Wish};
use coterie_protocol::server::ServerRequest;
use coterie_types::{TableId, UnixMillis};

use super::*;
use crate::job::{MovePhase, MoveRange, SplitRange};
use crate::planner::Action;

/// Group 3 owns nothing of table 0.
const TO: GroupId = GroupId(3);

fn move_a(phase: MovePhase, sim: &Sim) -> Step {
    Step::MoveRange(MoveRange {
        phase,
        range: located(sim, "a"),
        to: TO,
    })
}

fn check_moved(sim: &Sim) {
    let range = located(sim, "a");
    assert_eq!((range.group_id, range.epoch), (TO, Epoch(2)));
    assert_eq!(the_job(sim, "test").state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_die_at_any_call_of_a_move() {
    let begin = |sim: &Sim| {
        sim.begin_job(&move_a(MovePhase::Begin, sim));
    };
    dies_anywhere(20, begin, check_moved).await;
}

#[tokio::test(start_paused = true)]
async fn it_may_die_too_where_the_source_does_not_tell_the_destination() {
    let begin = |sim: &Sim| {
        sim.lock().sources_are_silent = true;
        sim.begin_job(&move_a(MovePhase::Begin, sim));
    };
    dies_anywhere(20, begin, check_moved).await;
}

#[tokio::test(start_paused = true)]
async fn a_move_tells_how_far_it_is_and_how_long_nobody_served() {
    let (sim, fence) = settled().await;
    let job_id = sim.begin_job(&move_a(MovePhase::Begin, &sim));
    let driving = drive(&sim, fence, job_id);
    until(&sim, job_id, |job| job.progress.is_some()).await;
    assert!(sim.job(job_id).progress.unwrap().bytes < 12);
    driving.await.unwrap().unwrap();
    let job = sim.job(job_id);
    let progress = job.progress.unwrap();
    assert_eq!(progress.bytes, 12);
    assert!(progress.bytes_per_second > 0, "{progress:?}");
    let serves = "group 3 serves range 1; its writes paused for 0 ms at most";
    assert!(job.log.iter().any(|line| line == serves), "{:?}", job.log);
}

#[tokio::test(start_paused = true)]
async fn a_destination_without_a_leader_delays_a_move_and_no_more() {
    for phase in [MovePhase::Begin, MovePhase::HandOff, MovePhase::Copy] {
        let (sim, fence) = settled().await;
        let job_id = sim.begin_job(&move_a(MovePhase::Begin, &sim));
        // The first life gets as far as this phase.
        let is_there = |step: Step| match step {
            Step::MoveRange(MoveRange { phase: at, .. }) => at >= phase,
            _ => false,
        };
        let executor = sim.executor(fence, &settings());
        let mut calls = 0;
        while !is_there(Step::of(&sim.job(job_id)).unwrap()) {
            calls += 1;
            sim.lock().calls_left = calls;
            let driving = executor.drive(sim.job(job_id));
            let _ = tokio::time::timeout(Duration::from_millis(1), driving).await;
        }
        sim.lock().calls_left = usize::MAX;
        let leader = sim.lock().groups.get_mut(&TO).unwrap().leader.take();
        let driving = drive(&sim, fence, job_id);
        until(&sim, job_id, |job| {
            job.log.last().unwrap().contains("does not lead group 3")
        })
        .await;
        sim.lock().groups.get_mut(&TO).unwrap().leader = leader;
        driving.await.unwrap().unwrap();
        sim.settle(fence, &settings()).await.unwrap();
        check_whole(&sim);
        check_moved(&sim);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_source_has_no_more_is_left_where_it_is() {
    let (sim, fence) = settled().await;
    let old = located(&sim, "a");
    let stale = move_a(MovePhase::Begin, &sim);
    let right_id = RangeId(sim.lock().meta.next.range);
    sim.begin_job(&Step::SplitRange(SplitRange {
        phase: crate::job::SplitPhase::Split,
        range: old,
        at: Some(Bytes::from_static(b"g")),
        right_id,
    }));
    // The first life got as far as the announcement, and the split came in between.
    let Step::MoveRange(MoveRange { range, .. }) = &stale else {
        panic!("{stale}");
    };
    let after = RangeDescriptor {
        epoch: range.epoch.next(),
        group_id: TO,
        ..range.clone()
    };
    let source = range.group_id;
    let leader = sim.lock().groups[&TO].leader.unwrap();
    let request = ServerRequest::BeginImport {
        group_id: TO,
        range: after,
        source,
        fence,
    };
    sim.ask(leader, request, ASK_TIMEOUT).await.unwrap();
    sim.settle(fence, &settings()).await.unwrap();
    for phase in [MovePhase::HandOff, MovePhase::Begin] {
        let job_id = sim.begin_job(&Step::MoveRange(MoveRange {
            phase,
            range: range.clone(),
            to: TO,
        }));
        sim.settle(fence, &settings()).await.unwrap();
        let job = sim.job(job_id);
        assert_eq!(job.state, JobState::Failed);
        let reason = match phase {
            MovePhase::HandOff => "the range is not as expected",
            _ => "is at epoch 2",
        };
        assert!(job.log.last().unwrap().contains(reason), "{:?}", job.log);
        check_whole(&sim);
        assert!(sim.lock().groups[&TO].imports.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_to_where_it_is_or_to_nowhere_is_given_up() {
    for to in [GroupId(1), GroupId(77)] {
        let (sim, fence) = settled().await;
        let range = located(&sim, "a");
        assert_eq!(range.group_id, GroupId(1));
        let phase = MovePhase::Begin;
        let job_id = sim.begin_job(&Step::MoveRange(MoveRange { phase, range, to }));
        sim.settle(fence, &settings()).await.unwrap();
        assert_eq!(sim.job(job_id).state, JobState::Failed);
        check_whole(&sim);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_dropped_while_its_range_moves_leaves_nothing() {
    let name = || "users".to_owned();
    for sources_are_silent in [false, true] {
        for calls in 0.. {
            let (sim, fence) = settled().await;
            sim.lock().sources_are_silent = sources_are_silent;
            let split_at = vec![];
            sim.command(Command::CreateTable {
                name: name(),
                split_at,
            });
            sim.settle(fence, &settings()).await.unwrap();
            for letter in b"cgx" {
                put(&sim, TableId(16), *letter);
            }
            let range = sim
                .lock()
                .meta
                .catalog
                .locate(TableId(16), b"")
                .unwrap()
                .clone();
            let to = GroupId(1 + range.group_id.0 % 3);
            let phase = MovePhase::Begin;
            sim.begin_job(&Step::MoveRange(MoveRange { phase, range, to }));
            sim.lock().calls_left = calls;
            let wanted = settings();
            let first = tokio::time::timeout(Duration::from_secs(60), sim.settle(fence, &wanted));
            let survived = matches!(first.await, Ok(Ok(_)));
            sim.command(Command::DropTable { name: name() });
            // The next life dies as well.
            let fence = sim.take_over(2);
            sim.lock().calls_left = calls % 7;
            let second = tokio::time::timeout(Duration::from_secs(60), sim.settle(fence, &wanted));
            let _ = second.await;
            let fence = sim.take_over(3);
            sim.settle(fence, &wanted).await.unwrap();
            check_whole(&sim);
            check_nothing_of(&sim, TableId(16));
            if survived {
                assert!(calls > 15, "it takes more than {calls} calls");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_lost_the_lease_moves_nothing() {
    let (sim, old) = settled().await;
    let job_id = sim.begin_job(&move_a(MovePhase::Begin, &sim));
    let before = sim.job(job_id);
    let new = sim.take_over(2);
    let leader = sim.lock().groups[&TO].leader.unwrap();
    // A node knows the newer controller. The older asks meta before it asks that node.
    let heard = ServerRequest::TakeDigest {
        group_id: TO,
        nonce: 1,
        fence: new,
    };
    sim.ask(leader, heard, ASK_TIMEOUT).await.unwrap();
    assert_eq!(drive(&sim, old, job_id).await.unwrap(), Err(Stop::Fenced));
    assert_eq!(sim.job(job_id), before);
    assert!(sim.lock().groups[&TO].imports.is_empty());
    sim.settle(new, &settings()).await.unwrap();
    check_whole(&sim);
    check_moved(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_knows_nothing_of_it_hears_it_again() {
    for phase in [MovePhase::HandOff, MovePhase::Activate] {
        let (sim, fence) = settled().await;
        sim.lock().sources_are_silent = true;
        // Between a hand-off and the announcement that comes after it.
        sim.lock().is_unwatched = phase == MovePhase::Activate;
        let job_id = sim.begin_job(&move_a(phase, &sim));
        drive(&sim, fence, job_id).await.unwrap().unwrap();
        sim.settle(fence, &settings()).await.unwrap();
        check_whole(&sim);
        check_moved(&sim);
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_moves_to_a_group_that_is_made_for_it() {
    let wish = Wish::Move {
        table: TableId(0),
        key: Bytes::from_static(b"c"),
        to: None,
    };
    let begin = |sim: &Sim| {
        sim.ask_for(wish.clone());
    };
    dies_anywhere(25, begin, |sim| {
        let range = located(sim, "a");
        assert!(range.group_id > GroupId(3), "{range:?}");
        assert_eq!(the_job(sim, "move").state, JobState::Done);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_member_of_either_group_is_replaced_while_the_range_is_copied() {
    for is_source in [true, false] {
        let (sim, fence) = settled_on(&["a", "b", "c"]).await;
        // Group 1 is repaired first.
        let owner = |key| located(&sim, key).group_id;
        let key = if (owner("a") == GroupId(1)) == is_source {
            "a"
        } else {
            "z"
        };
        let to = if is_source { GroupId(3) } else { GroupId(1) };
        assert_eq!(owner(key) == GroupId(1), is_source);
        let job_id = sim.ask_for(Wish::Move {
            table: TableId(0),
            key: Bytes::from(key),
            to: Some(to),
        });
        let moving = drive(&sim, fence, job_id);
        let copies = |job: &JobDescriptor| {
            let phase = match Step::of(job) {
                Ok(Step::MoveRange(MoveRange { phase, .. })) => Some(phase),
                _ => None,
            };
            phase == Some(MovePhase::Copy)
        };
        until(&sim, job_id, copies).await;
        let new = sim.wipe(NodeId(1));
        let executor = sim.executor(fence, &settings());
        for _ in 0..2 {
            for action in plan(&sim.view(), &settings()).actions {
                executor.apply(action, sim.view().now).await.unwrap();
            }
        }
        let replacing = the_job(&sim, "replace-replica");
        assert!(Step::of(&replacing).unwrap().is_about(GroupId(1)));
        drive(&sim, fence, replacing.job_id).await.unwrap().unwrap();
        assert_eq!(sim.job(replacing.job_id).state, JobState::Done);
        assert!(copies(&sim.job(job_id)), "it was quicker");
        moving.await.unwrap().unwrap();
        assert_eq!(sim.job(job_id).state, JobState::Done);
        sim.settle(fence, &settings()).await.unwrap();
        check_replaced(&sim, NodeId(1), new);
        check_whole(&sim);
        assert_eq!(located(&sim, key).group_id, to);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_move_did_to_the_load_is_in_its_job_once() {
    let (sim, fence) = settled().await;
    let executor = sim.executor(fence, &settings());
    let traffic = |ops| Traffic {
        ops,
        latency_micros: 5_000,
    };
    let begin = Action::Begin {
        kind: "balance",
        step: move_a(MovePhase::Begin, &sim),
        reasons: vec!["why".to_owned()],
        before: Some(traffic(1000)),
    };
    executor.apply(begin, UnixMillis(1)).await.unwrap();
    let job = the_job(&sim, "balance");
    let effect = job.effect.unwrap();
    assert_eq!((effect.before, effect.after), (traffic(1000), None));
    let judge = |ops, line: &str| Action::Judge {
        job_id: job.job_id,
        effect: Effect {
            before: traffic(1000),
            after: Some(traffic(ops)),
            helped: true,
        },
        line: line.to_owned(),
    };
    // Neither while the job runs, nor a second time.
    executor
        .apply(judge(1, "early"), UnixMillis(2))
        .await
        .unwrap();
    executor.drive(job.clone()).await.unwrap();
    executor
        .apply(judge(2000, "twice"), UnixMillis(3))
        .await
        .unwrap();
    executor
        .apply(judge(3000, "again"), UnixMillis(4))
        .await
        .unwrap();
    let job = sim.job(job.job_id);
    assert_eq!(job.effect.unwrap().after, Some(traffic(2000)));
    assert_eq!(job.log.last().unwrap(), "twice");
}
