//! A group that has lost its majority continues from a single replica, and the old members cannot
//! take it back.
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, GROUP, eventually};
use coterie_raft::{Group, RaftConfig};

/// Proposals that the recovered replica takes while the old members try.
const PROPOSALS: usize = 300;

async fn propose(group: &Group, payload: &'static [u8]) {
    eventually("a proposal", async || {
        group.propose(Bytes::from_static(payload)).await.ok()
    })
    .await;
}

/// Three members with the same log; then a single member continues alone.
async fn recovered() -> (Cluster, u64, [u64; 2]) {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    let a = cluster.leader().await;
    let (b, kept) = (1 + a % 3, 1 + (a + 1) % 3);
    propose(&cluster.group(a), b"before").await;
    eventually("all to have it", async || {
        (1..=3).all(|id| cluster.seen(id).len() == 1).then_some(())
    })
    .await;
    cluster.stop_node(a).await;
    cluster.stop_node(b).await;
    cluster.recover_alone(kept).await;
    propose(&cluster.group(kept), b"alone").await;
    (cluster, kept, [a, b])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_on_alone_with_what_it_had_also_after_a_restart() {
    let (mut cluster, kept, _) = recovered().await;
    assert_eq!(cluster.seen(kept), ["before", "alone"]);
    let running = cluster.nodes[&kept].0.recover_alone(GROUP).await;
    assert!(running.is_err(), "not while it runs");
    cluster.recover_alone(kept).await;
    propose(&cluster.group(kept), b"again").await;
    cluster.stop_node(kept).await;
    cluster.start_node(kept).await;
    propose(&cluster.group(kept), b"restarted").await;
    assert_eq!(
        cluster.seen(kept),
        ["before", "alone", "again", "restarted"]
    );
    let members = cluster.group(kept).status().replicas;
    assert_eq!(members.len(), 1, "{members:?}");
    assert!(cluster.group(kept).lease_read_ready());
}

/// The old members elect a leader among themselves, which takes the recovered replica for a
/// follower.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_members_that_were_removed_are_not_listened_to() {
    let (mut cluster, kept, old) = recovered().await;
    let removed = old.map(|id| (kept, id));
    cluster.removed.lock().unwrap().extend(removed);
    for id in old {
        cluster.start_node(id).await;
    }
    let leader = eventually("the old ones to elect a leader", async || {
        old.into_iter()
            .find(|id| cluster.group(*id).status().is_leader)
    })
    .await;
    propose(&cluster.group(leader), b"of the old ones").await;
    let term = cluster.group(kept).status().term;
    for _ in 0..PROPOSALS {
        let taken = cluster
            .group(kept)
            .propose(Bytes::from_static(b"new"))
            .await;
        assert!(taken.is_ok(), "{taken:?}");
    }
    let seen = cluster.seen(kept);
    assert!(!seen.contains(&Bytes::from_static(b"of the old ones")));
    assert_eq!(seen.len(), 2 + PROPOSALS);
    assert_eq!(cluster.group(kept).status().term, term);
}

/// The counterpart of the test above: the old members are listened to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_members_that_are_listened_to_would_take_it_back() {
    let (mut cluster, kept, old) = recovered().await;
    // A later term than the recovered replica's.
    for _ in 0..3 {
        for id in old {
            cluster.start_node(id).await;
        }
        eventually("the old ones to elect a leader", async || {
            old.into_iter()
                .find(|id| cluster.group(*id).status().is_leader)
        })
        .await;
        for id in old {
            cluster.stop_node(id).await;
        }
    }
    for id in old {
        cluster.start_node(id).await;
    }
    // It follows them, or stops because its committed entries are to be taken back.
    eventually("the recovered replica to take nothing more", async || {
        let group = cluster.group(kept);
        let taken = group.propose(Bytes::from_static(b"new"));
        let taken = tokio::time::timeout(Duration::from_secs(2), taken).await;
        (!matches!(taken, Ok(Ok(_)))).then_some(())
    })
    .await;
}
