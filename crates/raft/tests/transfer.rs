//! Handing leadership to a node that cannot be reached, or cannot be heard, ends with an error and
//! a group that serves again by itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_raft::{RaftConfig, RaftError};
use coterie_types::NodeId;

/// What is lost while leadership is handed from `leader` to `target`; `other` is the third.
type Losses = fn(cluster: &Cluster, leader: u64, target: u64, other: u64);

/// Answers what became of the transfer, once a write and a lease read were served after it.
async fn serves_again(losses: Losses) -> Result<(), RaftError> {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    let leader = cluster.leader().await;
    let (target, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    let group = cluster.group(leader);
    eventually("a first commit", async || {
        group.propose(Bytes::from_static(b"before")).await.ok()
    })
    .await;
    eventually("the target to have it", async || {
        let status = group.status();
        (status.matched.get(&NodeId(target)) == Some(&status.last_index)).then_some(())
    })
    .await;
    losses(&cluster, leader, target, other);
    let transfer = group.transfer_leader(NodeId(target), Duration::from_secs(20));
    let moved = transfer.await;
    eventually("a write and a lease read after it", async || {
        for id in [leader, other, target] {
            let group = cluster.group(id);
            let written = group.propose(Bytes::from_static(b"after")).await.is_ok();
            if written && group.lease_read_ready() && group.read_barrier().await.is_ok() {
                return Some(());
            }
        }
        None
    })
    .await;
    moved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_is_cut_off() {
    // The third may have been elected just before it was given up: that is well, too.
    let _ = serves_again(|cluster, leader, target, other| {
        cluster.cuts.cut(target, leader);
        cluster.cuts.cut(target, other);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_request_to_take_over_is_lost() {
    let _ = serves_again(|cluster, leader, target, _| {
        cluster.cuts.cut_requests(leader, target);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_votes_it_asks_for_are_lost() {
    let _ = serves_again(|cluster, leader, target, other| {
        cluster.cuts.cut_requests(target, leader);
        cluster.cuts.cut_requests(target, other);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_take_over() {
    // The third cannot campaign either: only the old leader is heard.
    let moved = serves_again(|cluster, leader, target, other| {
        cluster.cuts.cut_requests(target, leader);
        cluster.cuts.cut_requests(target, other);
        cluster.cuts.cut_requests(other, leader);
        cluster.cuts.cut_requests(other, target);
    })
    .await;
    assert!(matches!(moved, Err(RaftError::TimedOut(_))), "{moved:?}");
}
