//! A voter that lost its disk takes part only as far as it is told, also after restarts.
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_raft::{Group, Part, RaftConfig};
use coterie_types::{NodeId, Term};

async fn propose(group: &Group, payload: &'static [u8]) {
    eventually("a proposal", async || {
        group.propose(Bytes::from_static(payload)).await.ok()
    })
    .await;
}

/// Restarts a node that may have lost its disk.
async fn restart(cluster: &mut Cluster, id: u64) {
    cluster.stop_node(id).await;
    cluster.start_node_if_known(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_without_its_log_takes_nothing_then_follows_then_votes() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    let a = cluster.leader().await;
    let (b, x) = (1 + a % 3, 1 + (a + 1) % 3);
    propose(&cluster.group(a), b"acknowledged by X").await;
    eventually("X to have it", async || {
        (cluster.seen(x).len() == 1).then_some(())
    })
    .await;
    cluster.stop_node(x).await;
    cluster.wipe(x);
    cluster.start_node_if_known(x).await;
    assert_eq!(cluster.group(x).part(), Part::Nothing);
    // A further restart does not make it known either.
    restart(&mut cluster, x).await;
    assert_eq!(cluster.group(x).part(), Part::Nothing);

    // With A gone there is no leader, though B has every entry: X cannot know that.
    cluster.stop_node(a).await;
    let asked = cluster.cuts.votes_asked(b, x);
    eventually("B to be refused again and again", async || {
        assert!(!cluster.group(b).status().is_leader, "X has voted");
        (cluster.cuts.votes_asked(b, x) >= asked + 4).then_some(())
    })
    .await;
    cluster.start_node(a).await;
    let leader = cluster.leader().await;
    propose(&cluster.group(leader), b"without X").await;
    assert_eq!(cluster.seen(x).len(), 0);

    // It follows no leader that may have been deposed with its help.
    let term = cluster.group(leader).promised_term();
    let node = cluster.group(x);
    cluster.group(leader).expect_empty(NodeId(x)).await.unwrap();
    node.follow_from(Term(term.0 + 1)).await.unwrap();
    propose(&cluster.group(leader), b"still without X").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(cluster.seen(x).len(), 0);
    assert_eq!(node.promised_term(), Term(0));

    drop(node);
    restart(&mut cluster, x).await;
    assert_eq!(cluster.group(x).part(), Part::Follows(Term(term.0 + 1)));
    cluster.group(x).follow_from(term).await.unwrap();
    eventually("X to catch up", async || {
        (cluster.seen(x).len() == 3).then_some(())
    })
    .await;
    assert_eq!(cluster.group(leader).promised_term(), term, "leads on");
    restart(&mut cluster, x).await;
    assert_eq!(cluster.group(x).part(), Part::Follows(term));

    cluster.group(x).take_part().await.unwrap();
    restart(&mut cluster, x).await;
    assert_eq!(cluster.group(x).part(), Part::Full);
    cluster.stop_node(leader).await;
    let next = cluster.leader().await;
    propose(&cluster.group(next), b"with the vote of X").await;
}
