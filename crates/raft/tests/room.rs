//! A node whose disk is full drops only data sent to it, reports that, and catches up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, GROUP, eventually};
use coterie_raft::{RaftConfig, Room};
use coterie_types::LogIndex;

async fn propose(cluster: &Cluster, leader: u64, payload: &'static [u8]) {
    let payload = Bytes::from_static(payload);
    cluster.group(leader).propose(payload).await.unwrap();
}

async fn has_all(cluster: &Cluster, node: u64, count: usize) {
    eventually("the node to have all", async || {
        (cluster.seen(node).len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_follower_lags_and_catches_up_and_the_leader_knows() {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    let leader = cluster.leader().await;
    let (full, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    let room_at = |node: u64, room| cluster.nodes[&node].0.set_room(room);
    propose(&cluster, leader, b"one").await;
    has_all(&cluster, full, 1).await;
    assert!(cluster.group(leader).has_room());

    // A single node of three is full: the group accepts writes; the full node follows, and lacks
    // the entries.
    room_at(full, Room::None);
    propose(&cluster, leader, b"two").await;
    propose(&cluster, leader, b"three").await;
    has_all(&cluster, other, 3).await;
    assert_eq!(cluster.seen(full).len(), 1);
    assert!(cluster.group(leader).has_room());
    assert_eq!(cluster.group(full).leader().0.map(|id| id.0), Some(leader));

    // Two of three have little room: writes that grow the data are refused. The node with scarce
    // room still takes an entry that is proposed regardless.
    room_at(other, Room::Scarce);
    eventually("the leader to know of both", async || {
        (!cluster.group(leader).has_room()).then_some(())
    })
    .await;
    propose(&cluster, leader, b"a delete").await;
    eventually("lease reads", async || {
        cluster.group(leader).lease_read_ready().then_some(())
    })
    .await;

    room_at(full, Room::Ample);
    eventually("the leader to know", async || {
        cluster.group(leader).has_room().then_some(())
    })
    .await;
    has_all(&cluster, full, 4).await;
    assert!(cluster.group(leader).status().is_leader);
}

/// The parts of snapshots that a node has received.
fn received(cluster: &Cluster, node: u64) -> Vec<PathBuf> {
    let dir = cluster.dir.path().join(format!("{node}/snapshots/{GROUP}"));
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_part = |path: &PathBuf| path.to_string_lossy().contains("/in-");
    paths.filter(is_part).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_does_not_fit_is_not_taken_until_it_does() {
    let config = RaftConfig {
        // The log is purged as soon as it is flushed.
        log_retention: 0,
        log_replay_bytes_max: 0,
        flush_interval: Duration::from_millis(1),
        ..RaftConfig::default()
    };
    let cluster = Cluster::start(3, config).await;
    let leader = cluster.leader().await;
    let full = 1 + leader % 3;
    let group = cluster.group(leader);
    cluster.cuts.cut(leader, full);
    propose(&cluster, leader, b"one").await;
    let last = group.status().last_index;
    eventually("the log to go", async || {
        (group.status().first_index > last).then_some(())
    })
    .await;
    assert!(last > LogIndex(0));
    cluster.nodes[&full].0.set_spare_bytes(2);
    cluster.cuts.heal();
    let refused = eventually("a snapshot to be announced", async || {
        received(&cluster, full).pop()
    })
    .await;
    propose(&cluster, leader, b"two").await;
    eventually("another one to be announced", async || {
        let announced = received(&cluster, full);
        (!announced.is_empty() && !announced.contains(&refused)).then_some(())
    })
    .await;
    assert!(cluster.seen(full).is_empty());
    cluster.nodes[&full].0.set_spare_bytes(u64::MAX);
    has_all(&cluster, full, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_received_of_a_snapshot_makes_room() {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    let part = cluster.dir.path().join(format!("1/snapshots/{GROUP}/in-1"));
    std::fs::create_dir_all(&part).unwrap();
    cluster.nodes[&1].0.set_room(Room::None);
    eventually("the part to go", async || (!part.exists()).then_some(())).await;
}
