//! A replica that lost the last record of its log, which it had acknowledged, recovers it and votes
//! for no candidate before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_raft::{Group, Part, RaftConfig};

/// How many refusals of a candidate the test waits for.
const REFUSALS: u64 = 4;

async fn propose(group: &Group, payload: &'static [u8]) {
    eventually("a proposal", async || {
        group.propose(Bytes::from_static(payload)).await.ok()
    })
    .await;
}

async fn wait_for_seen(cluster: &Cluster, id: u64, count: usize) {
    let what = format!("node {id} to have {count}");
    eventually(&what, async || {
        (cluster.seen(id).len() >= count).then_some(())
    })
    .await;
}

async fn wait_for_part(cluster: &Cluster, id: u64) {
    eventually("it to take part", async || {
        (cluster.group(id).part() == Part::Full).then_some(())
    })
    .await;
}

/// Flips a bit in the last byte of the log of a stopped node.
fn damage(cluster: &Cluster, id: u64) {
    let dir = cluster.dir.path().join(format!("{id}/log"));
    let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|ext| ext == "raftlog"));
    let newest = logs.max().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&newest, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gets_what_it_lost_from_its_leader() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    let a = cluster.leader().await;
    let b = 1 + a % 3;
    propose(&cluster.group(a), b"first").await;
    propose(&cluster.group(a), b"last").await;
    wait_for_seen(&cluster, b, 2).await;
    for restarts in 1..=2 {
        cluster.stop_node(b).await;
        damage(&cluster, b);
        cluster.start_node(b).await;
        assert_eq!(cluster.group(b).part(), Part::Nothing);
        wait_for_part(&cluster, b).await;
        wait_for_seen(&cluster, b, 1 + restarts).await;
        propose(&cluster.group(a), b"more").await;
        wait_for_seen(&cluster, b, 2 + restarts).await;
    }
}

/// A and B have X, and B loses it; C lags. While A is away, B must not help C to lead without X.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_lost_an_entry_helps_nobody_to_lead_without_it() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    let a = cluster.leader().await;
    let (b, c) = (1 + a % 3, 1 + (a + 1) % 3);
    propose(&cluster.group(a), b"everywhere").await;
    wait_for_seen(&cluster, c, 1).await;
    cluster.cuts.cut(c, a);
    cluster.cuts.cut(c, b);
    propose(&cluster.group(a), b"X").await;
    wait_for_seen(&cluster, b, 2).await;
    cluster.stop_node(b).await;
    cluster.stop_node(a).await;
    damage(&cluster, b);
    cluster.cuts.heal();
    cluster.start_node(b).await;
    // Another restart does not make it forget the loss.
    cluster.stop_node(b).await;
    cluster.start_node(b).await;
    let asked = cluster.cuts.votes_asked(c, b);
    eventually("C to be refused again and again", async || {
        assert!(!cluster.group(c).status().is_leader, "C leads without X");
        assert_eq!(cluster.group(b).part(), Part::Nothing);
        (cluster.cuts.votes_asked(c, b) >= asked + REFUSALS).then_some(())
    })
    .await;
    cluster.start_node(a).await;
    let leader = cluster.leader().await;
    propose(&cluster.group(leader), b"after").await;
    for id in 1..=3 {
        wait_for_seen(&cluster, id, 3).await;
        assert_eq!(cluster.seen(id)[1], "X", "at node {id}");
        wait_for_part(&cluster, id).await;
    }
}

/// As after a power failure: no voter knows the last entries it acknowledged. Since all of them
/// answer, they elect the voter with the most advanced log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_that_all_lost_the_end_of_their_logs_go_on_together() {
    let mut cluster = Cluster::start(3, RaftConfig::default()).await;
    let a = cluster.leader().await;
    let others = [1 + a % 3, 1 + (a + 1) % 3];
    for payload in [&b"1"[..], b"2", b"3"] {
        propose(&cluster.group(a), payload).await;
    }
    // The leader last: the entries it writes after the others have stopped do no harm.
    for id in others.into_iter().chain([a]) {
        wait_for_seen(&cluster, id, 3).await;
        cluster.stop_node(id).await;
        damage(&cluster, id);
    }
    for id in others {
        cluster.start_node(id).await;
    }
    eventually("two to find that the third is missing", async || {
        let nothing = |id: &u64| cluster.group(*id).part() == Part::Nothing;
        others.iter().all(nothing).then_some(())
    })
    .await;
    cluster.start_node(a).await;
    let leader = cluster.leader().await;
    propose(&cluster.group(leader), b"after").await;
    let seen = cluster.seen(leader);
    assert!(seen.starts_with(&[Bytes::from_static(b"1"), Bytes::from_static(b"2")]));
    for id in 1..=3 {
        wait_for_seen(&cluster, id, seen.len()).await;
        assert_eq!(cluster.seen(id)[..seen.len()], seen[..], "at node {id}");
    }
}
