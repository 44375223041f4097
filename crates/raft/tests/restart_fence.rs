//! Reproduces openraft's hole (a restart forgets the granted lease) with the fence off, and shows
//! it closed with the fence on. See `src/fence.rs` and the decision record
//! `2026-11-23-restart-fence`.
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_raft::RaftConfig;
use std::time::{Duration, Instant};

/// The part that is restarted, and forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restarted {
    Process,
    /// Only the group, long after its process has started.
    Group,
}

/// A leads; C is cut off from A long enough to campaign; B, which granted A its lease, loses A and
/// restarts. Returns whether B or C led and committed while A still served lease reads.
async fn stale_read_is_possible(restart_fence: bool, restarted: Restarted) -> bool {
    let config = RaftConfig {
        restart_fence,
        heartbeat_interval: Duration::from_millis(150),
        election_timeout_min: Duration::from_millis(1000),
        election_timeout_max: Duration::from_millis(3000),
        ..RaftConfig::default()
    };
    let mut cluster = Cluster::start(3, config.clone()).await;
    let a = cluster.leader().await;
    eventually("a first commit", async || {
        cluster
            .group(a)
            .propose(Bytes::from_static(b"old"))
            .await
            .ok()
    })
    .await;
    let (b, c) = (1 + a % 3, 1 + (a + 1) % 3);
    // Otherwise B would refuse C for its log, not for its promise.
    eventually("C to have it", async || {
        (!cluster.seen(c).is_empty()).then_some(())
    })
    .await;
    cluster.cuts.cut(a, c);
    // C's own promise to A must be over before C can campaign; the test must wait for time itself.
    tokio::time::sleep(config.election_timeout_max).await;
    // A has just heard from B; now B forgets its promise.
    eventually("a lease", async || {
        cluster.group(a).lease_read_ready().then_some(())
    })
    .await;
    cluster.cuts.cut(a, b);
    match restarted {
        Restarted::Process => {
            cluster.stop_node(b).await;
            cluster.start_node(b).await;
        }
        Restarted::Group => cluster.restart_group(b).await,
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        for id in [b, c] {
            let group = cluster.group(id);
            let newer = group.status().term > cluster.group(a).status().term;
            if newer && group.propose(Bytes::from_static(b"new")).await.is_ok() {
                return cluster.group(a).lease_read_ready();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody but A ever led");
}

/// The hole requires an election within the remainder of A's lease: several attempts.
async fn stale_read_is_possible_without_the_fence(restarted: Restarted) {
    for _ in 0..8 {
        if stale_read_is_possible(false, restarted).await {
            return;
        }
    }
    panic!("the hole is gone: openraft keeps the lease over a restart now, the fence may go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fence_a_stale_read_is_possible() {
    stale_read_is_possible_without_the_fence(Restarted::Process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fence_a_group_that_starts_anew_makes_it_possible_too() {
    stale_read_is_possible_without_the_fence(Restarted::Group).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_fence_it_is_not() {
    for restarted in [Restarted::Process, Restarted::Group] {
        for _ in 0..2 {
            assert!(!stale_read_is_possible(true, restarted).await);
        }
    }
}
