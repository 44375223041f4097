//! A replica that was destroyed and made again on the same node is held to its promises.
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, GROUP, eventually};
use coterie_raft::{Group, RaftConfig};
use coterie_types::{NodeId, Replica, Role};

/// How many refusals of a candidate the test waits for.
const REFUSALS: u64 = 4;

fn voters(ids: &[u64]) -> Vec<Replica> {
    let voter = |id: &u64| Replica {
        node_id: NodeId(*id),
        role: Role::Voter,
    };
    let mut voters: Vec<Replica> = ids.iter().map(voter).collect();
    voters.sort_by_key(|replica| replica.node_id);
    voters
}

async fn propose(group: &Group, payload: &'static [u8]) {
    eventually("a proposal", async || {
        group.propose(Bytes::from_static(payload)).await.ok()
    })
    .await;
}

/// Old members A, B, X. While B is cut off, X leaves, is destroyed, and is made again, empty. B,
/// which knows nothing of this, must not get the vote of X, or it would lead beside A.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_of_old_members_gets_no_vote_from_a_replica_made_again() {
    let config = RaftConfig::default();
    let mut cluster = Cluster::start(3, config.clone()).await;
    let a = cluster.leader().await;
    let (b, x) = (1 + a % 3, 1 + (a + 1) % 3);
    propose(&cluster.group(a), b"everywhere").await;
    cluster.start_node(4).await;
    cluster.cuts.cut(b, a);
    cluster.cuts.cut(b, x);
    cluster.cuts.cut(b, 4);
    let without = voters(&[a, 4]);
    eventually("the members to change", async || {
        cluster.group(a).change_replicas(&without).await.ok()
    })
    .await;
    propose(&cluster.group(a), b"not at B").await;

    cluster.make_again(x).await;
    assert_eq!(cluster.seen(x).len(), 0);
    // Now only B reaches X, and asks for longer than the lease that X may have granted.
    cluster.cuts.heal();
    for (one, other) in [(b, a), (b, 4), (x, a), (x, 4)] {
        cluster.cuts.cut(one, other);
    }
    tokio::time::sleep(config.election_timeout_max).await;
    let asked = cluster.cuts.votes_asked(b, x);
    eventually("B to be refused again and again", async || {
        assert!(!cluster.group(b).status().is_leader, "B leads beside A");
        assert!(!cluster.group(x).status().is_leader, "X leads beside A");
        (cluster.cuts.votes_asked(b, x) >= asked + REFUSALS).then_some(())
    })
    .await;
    propose(&cluster.group(a), b"A leads still").await;

    // Back among the members it is an ordinary voter: with A gone, there is no leader without it.
    cluster.cuts.heal();
    let with = voters(&[a, 4, x]);
    eventually("X to be a member again", async || {
        let leader = cluster.leader().await;
        cluster.group(leader).change_replicas(&with).await.ok()
    })
    .await;
    cluster.stop_node(b).await;
    cluster.stop_node(a).await;
    let leader = cluster.leader().await;
    propose(&cluster.group(leader), b"with the vote of X").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_outlast_a_restart_and_being_destroyed_twice() {
    let config = RaftConfig {
        election_timeout_max: Duration::from_millis(800),
        ..RaftConfig::default()
    };
    let mut cluster = Cluster::start(3, config.clone()).await;
    let a = cluster.leader().await;
    let (b, x) = (1 + a % 3, 1 + (a + 1) % 3);
    propose(&cluster.group(a), b"payload").await;
    eventually("both to have it", async || {
        (cluster.seen(x).len() == 1 && cluster.seen(b).len() == 1).then_some(())
    })
    .await;
    cluster.cuts.cut(b, a);
    cluster.cuts.cut(b, x);
    propose(&cluster.group(a), b"not at B").await;
    eventually("X to have it", async || {
        (cluster.seen(x).len() == 2).then_some(())
    })
    .await;
    // The others have not been told: they still count on X.
    for other in [a, b] {
        cluster.cuts.cut(x, other);
    }
    cluster.make_again(x).await;
    cluster.make_again(x).await;
    cluster.stop_node(x).await;
    cluster.start_node(x).await;
    cluster.stop_node(a).await;
    cluster.cuts.heal();
    tokio::time::sleep(config.election_timeout_max).await;
    let asked = cluster.cuts.votes_asked(b, x);
    eventually("B to be refused again and again", async || {
        assert!(!cluster.group(b).status().is_leader, "X forgot");
        (cluster.cuts.votes_asked(b, x) >= asked + REFUSALS).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_received_of_a_snapshot_goes_with_its_replica() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    let snapshots = cluster.dir.path().join(format!("3/snapshots/{GROUP}"));
    std::fs::create_dir_all(snapshots.join("in-1/data")).unwrap();
    std::fs::write(snapshots.join("in-1/data/file"), b"part").unwrap();
    cluster.make_again(3).await;
    assert!(!snapshots.exists());
}
