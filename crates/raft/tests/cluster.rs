//! Three nodes: proposals are applied everywhere, survive restarts, and reach a node that was away,
//! from the log or by snapshot.
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_raft::RaftConfig;
use coterie_types::{LogIndex, NodeId, Replica, Role};
use std::time::Duration;

fn payloads(range: std::ops::Range<u32>) -> Vec<Bytes> {
    range.map(|n| Bytes::from(format!("entry {n}"))).collect()
}

async fn propose_all(cluster: &Cluster, payloads: &[Bytes]) {
    for payload in payloads {
        eventually("a proposal to be applied", async || {
            let leader = cluster.leader().await;
            cluster.group(leader).propose(payload.clone()).await.ok()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proposed_is_applied_everywhere_and_survives_a_restart_of_all() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    propose_all(&cluster, &payloads(0..50)).await;
    for id in 1..=3 {
        eventually("every node to apply", async || {
            (cluster.seen(id).len() == 50).then_some(())
        })
        .await;
    }
    for id in 1..=3 {
        cluster.stop_node(id).await;
    }
    for id in [2, 1, 3] {
        cluster.start_node(id).await;
    }
    propose_all(&cluster, &payloads(50..60)).await;
    for id in 1..=3 {
        eventually("every node to apply", async || {
            (cluster.seen(id) == payloads(0..60)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_comes_back_as_a_new_one_by_snapshot_and_then_the_log() {
    let config = RaftConfig {
        // The log is purged as soon as it is flushed.
        log_retention: 0,
        log_replay_bytes_max: 0,
        flush_interval: Duration::from_millis(1),
        ..RaftConfig::default()
    };
    let mut cluster = Cluster::start(3, config).await;
    propose_all(&cluster, &payloads(0..40)).await;
    let leader = cluster.leader().await;
    let away = 1 + leader % 3;
    cluster.stop_node(away).await;
    propose_all(&cluster, &payloads(40..60)).await;
    let leader = cluster.leader().await;
    eventually("the log to be purged", async || {
        (cluster.group(leader).status().first_index > LogIndex(30)).then_some(())
    })
    .await;
    // A wiped node comes back under a new id: it has lost the entries that the old id had
    // acknowledged, so it must not vote as if it still had them.
    cluster.start_node(4).await;
    let voters: Vec<Replica> = (1..=4)
        .filter(|id| *id != away)
        .map(|id| Replica {
            node_id: NodeId(id),
            role: Role::Voter,
        })
        .collect();
    eventually("the wiped node to replace itself", async || {
        let leader = cluster.leader().await;
        cluster.group(leader).change_replicas(&voters).await.ok()
    })
    .await;
    // Asked again, as by a caller that lost the answer: nothing remains to be done.
    eventually("the same change again", async || {
        let leader = cluster.leader().await;
        let group = cluster.group(leader);
        group.change_replicas(&voters).await.ok()?;
        (group.status().replicas == voters).then_some(())
    })
    .await;
    propose_all(&cluster, &payloads(60..65)).await;
    eventually("the wiped node to have all", async || {
        (cluster.seen(4) == payloads(0..65)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_on_request_and_members_change() {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    propose_all(&cluster, &payloads(0..3)).await;
    let leader = cluster.leader().await;
    let to = 1 + leader % 3;
    eventually("the target to have the log", async || {
        cluster
            .group(leader)
            .transfer_leader(NodeId(to), false)
            .await
            .ok()
    })
    .await;
    eventually("the target to lead", async || {
        cluster.group(to).status().is_leader.then_some(())
    })
    .await;
    assert!(
        !cluster.group(leader).lease_read_ready(),
        "the old leader serves no lease read"
    );
    let voters: Vec<Replica> = (1..=3)
        .filter(|id| *id != leader)
        .map(|id| Replica {
            node_id: NodeId(id),
            role: Role::Voter,
        })
        .collect();
    eventually("the change of members", async || {
        cluster.group(to).change_replicas(&voters).await.ok()
    })
    .await;
    assert_eq!(cluster.group(to).status().replicas, voters);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_serves_no_lease_read_once_another_may_lead() {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    propose_all(&cluster, &payloads(0..3)).await;
    let old = cluster.leader().await;
    eventually("lease reads", async || {
        cluster.group(old).lease_read_ready().then_some(())
    })
    .await;
    for other in 1..=3 {
        cluster.cuts.cut(old, other);
    }
    eventually("another leader to commit", async || {
        for id in (1..=3).filter(|id| *id != old) {
            if cluster
                .group(id)
                .propose(Bytes::from_static(b"new"))
                .await
                .is_ok()
            {
                assert!(
                    !cluster.group(old).lease_read_ready(),
                    "two leaders serve reads"
                );
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_is_added_once_and_waited_for() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    propose_all(&cluster, &payloads(0..20)).await;
    let leader = cluster.leader().await;
    let learner = Replica {
        node_id: NodeId(4),
        role: Role::Learner,
    };
    // It is a member from the first call on, and has no entry while it is away.
    let group = cluster.group(leader);
    let waiting = group.add_learner(NodeId(4));
    let in_vain = tokio::time::timeout(Duration::from_millis(500), waiting).await;
    assert!(in_vain.is_err(), "nobody is there to learn");
    let (node, lag) = group.catching_up(&[learner]).unwrap();
    assert!(node == NodeId(4) && lag >= 20, "{node} lacks {lag}");
    cluster.start_node(4).await;
    for _ in 0..2 {
        eventually("the learner to have the log", async || {
            let leader = cluster.leader().await;
            cluster.group(leader).add_learner(NodeId(4)).await.ok()
        })
        .await;
    }
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    assert_eq!(group.catching_up(&[learner]), None);
    assert!(group.status().replicas.contains(&learner));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_log_is_seen_and_gets_well_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("delay");
    let config = RaftConfig {
        fault_log_delay_file: Some(file.clone()),
        ..RaftConfig::default()
    };
    let cluster = Cluster::start(1, config).await;
    let (node, group, _) = &cluster.nodes[&1];
    let write = async || {
        let payload = Bytes::from_static(b"payload");
        group.propose(payload).await.ok()?;
        Some(node.log_write_micros())
    };
    eventually("a write to be measured", async || {
        (write().await? > 0).then_some(())
    })
    .await;
    std::fs::write(&file, "60\n").unwrap();
    eventually("writes to be slow", async || {
        (write().await? > 50_000).then_some(())
    })
    .await;
    std::fs::remove_file(&file).unwrap();
    eventually("writes to be quick", async || {
        (write().await? < 30_000).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_late_count_and_the_leader_stays() {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let term = group.leader().1;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let arrived = |to: u64| cluster.cuts.appended(leader, to);
    // Twice the leader's pause between heartbeats, while nothing is written.
    cluster.cuts.delay(Duration::from_millis(300));
    let before: Vec<u64> = others.iter().map(|id| arrived(*id)).collect();
    eventually("heartbeats of several leases to arrive", async || {
        assert_eq!(group.leader(), (Some(NodeId(leader)), term));
        let mut all = others.iter().zip(&before);
        all.all(|(id, before)| arrived(*id) >= before + 15)
            .then_some(())
    })
    .await;
    eventually("answers to prolong the lease", async || {
        assert_eq!(group.leader(), (Some(NodeId(leader)), term));
        group.lease_read_ready().then_some(())
    })
    .await;
}
