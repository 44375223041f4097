//! The log is purged, also while a follower does not take it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_raft::{Fsync, RaftConfig, Room};
use coterie_types::LogIndex;

/// Why a follower does not take the log.
enum Failing {
    Away,
    Silent,
    Full,
}

async fn the_log_goes(failing: Failing) {
    let config = RaftConfig {
        // The log is purged as soon as it is flushed.
        log_retention: 0,
        log_replay_bytes_max: 0,
        flush_interval: Duration::from_millis(1),
        ..RaftConfig::default()
    };
    let mut cluster = Cluster::start(3, config).await;
    let leader = cluster.leader().await;
    let follower = 1 + leader % 3;
    let group = cluster.group(leader);
    group.propose(Bytes::from_static(b"0")).await.unwrap();
    match failing {
        Failing::Away => cluster.stop_node(follower).await,
        Failing::Silent => cluster.cuts.hang(leader, follower),
        Failing::Full => cluster.nodes[&follower].0.set_room(Room::None),
    }
    // Purging continues as long as there is log to purge.
    for _ in 0..3 {
        let mut last = LogIndex(0);
        for _ in 0..40 {
            group.propose(Bytes::from_static(b"n")).await.unwrap();
            last = group.status().last_index;
        }
        eventually("the log to go", async || {
            (group.status().first_index > last).then_some(())
        })
        .await;
    }
    assert!(group.status().is_leader);
    match failing {
        Failing::Away => cluster.start_node(follower).await,
        Failing::Silent => cluster.cuts.heal(),
        Failing::Full => cluster.nodes[&follower].0.set_room(Room::Ample),
    }
    eventually("the follower to have all", async || {
        (cluster.seen(follower).len() == 121).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_away_does_not_keep_it() {
    the_log_goes(Failing::Away).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_never_answers_does_not_keep_it() {
    the_log_goes(Failing::Silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_without_room_does_not_keep_it() {
    the_log_goes(Failing::Full).await;
}

/// While a snapshot is being sent, more is written than the retention keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_goes_on_from_its_snapshot_however_much_was_written_meanwhile() {
    const MIB: u64 = 1 << 20;
    let config = RaftConfig {
        log_retention: 2 * MIB,
        log_replay_bytes_max: 2 * MIB,
        flush_interval: Duration::from_millis(1),
        // About five seconds for the initial state.
        snapshot_rate: MIB,
        fsync: Fsync::Never,
        ..RaftConfig::default()
    };
    let payload = Bytes::from(vec![b'x'; 128 << 10]);
    let mut cluster = Cluster::start(3, config).await;
    let leader = cluster.leader().await;
    let follower = 1 + leader % 3;
    let group = cluster.group(leader);
    cluster.stop_node(follower).await;
    for _ in 0..40 {
        group.propose(payload.clone()).await.unwrap();
    }
    eventually("the log to go", async || {
        (group.status().first_index > LogIndex(5)).then_some(())
    })
    .await;
    let writing = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(60));
        loop {
            pause.tick().await;
            group.propose(payload.clone()).await.unwrap();
        }
    });
    cluster.start_node(follower).await;
    eventually("the follower to have all", async || {
        let (all, has) = (cluster.seen(leader).len(), cluster.seen(follower).len());
        let lacks = all.saturating_sub(has);
        (lacks < 8).then_some(())
    })
    .await;
    assert!(!writing.is_finished(), "{:?}", writing.await);
    writing.abort();
}
