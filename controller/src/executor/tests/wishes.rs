//! Wishes that cannot be fulfilled, and wishes that wait.

use bytes::Bytes;
use coterie_protocol::catalog::Wish;
use coterie_types::TableId;

use super::*;
use crate::job::{MovePhase, MoveRange};

fn split_at(table: u32, key: &'static str) -> Wish {
    Wish::Split {
        table: TableId(table),
        at: Bytes::from_static(key.as_bytes()),
    }
}

fn move_to(to: u64) -> Wish {
    Wish::Move {
        table: TableId(0),
        key: Bytes::from_static(b"a"),
        to: Some(GroupId(to)),
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_given_up_with_the_reason() {
    let (sim, fence) = settled().await;
    let wishes = [
        (split_at(99, "a"), "there is no table 99"),
        (split_at(0, "m"), "\"m\" is the first key of range"),
        (split_at(0, ""), "\"\" is the first key of range"),
        (move_to(1), "is in group 1 already"),
        (move_to(99), "there is no group 99"),
        (
            Wish::Merge {
                table: TableId(0),
                key: Bytes::from_static(b"z"),
            },
            "is the last of its table",
        ),
        (
            Wish::Replace {
                group_id: GroupId(99),
                node_id: NodeId(1),
            },
            "there is no group 99",
        ),
        (
            Wish::Replace {
                group_id: GroupId(1),
                node_id: NodeId(99),
            },
            "node 99 has no replica of group 1",
        ),
    ];
    for (wish, reason) in wishes {
        let job_id = sim.ask_for(wish);
        sim.settle(fence, &settings()).await.unwrap();
        let job = sim.job(job_id);
        assert_eq!(job.state, JobState::Failed);
        assert!(job.log.last().unwrap().contains(reason), "{:?}", job.log);
    }
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn a_wish_waits_for_a_job_about_the_same_range() {
    let (sim, fence) = settled().await;
    let moving = sim.begin_job(&Step::MoveRange(MoveRange {
        phase: MovePhase::Begin,
        range: located(&sim, "a"),
        to: GroupId(3),
    }));
    let splitting = sim.ask_for(split_at(0, "g"));
    let second = drive(&sim, fence, splitting);
    let waits = format!("after job {moving}: ");
    until(&sim, splitting, |job| {
        job.log.last().unwrap().starts_with(&waits)
    })
    .await;
    drive(&sim, fence, moving).await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(sim.job(splitting).state, JobState::Done);
    assert_eq!(located(&sim, "g").bounds.start, "g");
    check_whole(&sim);
}

#[tokio::test(start_paused = true)]
async fn wishes_about_one_range_all_come_true() {
    let begin = |sim: &Sim| {
        for wish in [
            split_at(0, "c"),
            split_at(0, "g"),
            move_to(3),
            split_at(0, "e"),
            move_to(2),
        ] {
            sim.ask_for(wish);
        }
    };
    let (sim, fence) = settled().await;
    begin(&sim);
    sim.settle(fence, &settings()).await.unwrap();
    check_whole(&sim);
    let jobs = sim.lock().meta.catalog.jobs.clone();
    assert!(
        jobs.values().all(|job| job.state == JobState::Done),
        "{jobs:?}"
    );
    assert_eq!(located(&sim, "a").group_id, GroupId(2));
    for start in ["c", "e", "g"] {
        assert_eq!(located(&sim, start).bounds.start, start);
    }
}
