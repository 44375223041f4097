//! Handing leadership over: an heir that may not or does not take over does not disturb the group.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Cluster, eventually};
use coterie_protocol::method;
use coterie_raft::{Group, RaftConfig, Room};
use coterie_types::NodeId;
use tokio::task::JoinHandle;

/// Proposes without a pause; returns the longest time of a proposal.
struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Duration>,
}

impl Load {
    fn start(group: Group) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                group.propose(Bytes::from_static(b"load")).await.unwrap();
                longest = longest.max(began.elapsed());
            }
            longest
        });
        Self { stop, task }
    }

    async fn finish(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Three nodes, the leader, another node; each has the log.
async fn cluster() -> (Cluster, u64, u64) {
    let cluster = Cluster::start(3, RaftConfig::default()).await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    group.propose(Bytes::from_static(b"first")).await.unwrap();
    for id in 1..=3 {
        eventually("the first entry everywhere", async || {
            (!cluster.seen(id).is_empty()).then_some(())
        })
        .await;
    }
    (cluster, leader, 1 + leader % 3)
}

/// The previous leader still leads, in the same term, by its lease.
async fn nothing_happened(cluster: &Cluster, leader: u64, term: coterie_types::Term) {
    let group = cluster.group(leader);
    assert!(group.status().is_leader, "it leads");
    assert_eq!(group.status().term, term);
    eventually("reads by the lease", async || {
        group.lease_read_ready().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_just_started_is_not_handed_to_and_nothing_stops() {
    let (mut cluster, leader, heir) = cluster().await;
    let term = cluster.group(leader).status().term;
    cluster.stop_node(heir).await;
    cluster.start_node(heir).await;
    eventually("the heir to follow", async || {
        (cluster.group(heir).leader().0 == Some(NodeId(leader))).then_some(())
    })
    .await;
    let load = Load::start(cluster.group(leader));
    let refused = cluster
        .group(leader)
        .transfer_leader(NodeId(heir), false)
        .await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("was started a moment ago"), "{reason}");
    nothing_happened(&cluster, leader, term).await;
    assert!(
        load.finish().await < Duration::from_millis(600),
        "proposals went on"
    );
    // Once its fence is over it may lead.
    eventually("the hand-over", async || {
        let group = cluster.group(leader);
        group.transfer_leader(NodeId(heir), false).await.ok()
    })
    .await;
    assert!(cluster.group(heir).status().is_leader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_made_again_is_not_handed_to() {
    let (mut cluster, leader, heir) = cluster().await;
    let term = cluster.group(leader).status().term;
    cluster.cuts.cut(leader, heir);
    cluster.make_again(heir).await;
    // The heir is asked, and has nothing: neither its fence nor its promises let it lead.
    cluster.cuts.heal();
    let group = cluster.group(leader);
    let refused = group.transfer_leader(NodeId(heir), false).await;
    assert!(refused.is_err(), "{refused:?}");
    nothing_happened(&cluster, leader, term).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_room_is_taken_only_for_want_of_a_better_one() {
    let (cluster, leader, heir) = cluster().await;
    let other = 6 - leader - heir;
    let group = cluster.group(leader);
    cluster.nodes[&heir].0.set_room(Room::Scarce);
    let refused = group.transfer_leader(NodeId(heir), false).await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("no room"), "{reason}");
    eventually("the leader to hear of it", async || {
        (group.leave(false).await.ok() == Some(NodeId(other))).then_some(())
    })
    .await;
    cluster.nodes[&leader].0.set_room(Room::None);
    let group = cluster.group(other);
    eventually("the leader to hear of both", async || {
        (!group.has_roomier_voter()).then_some(())
    })
    .await;
    assert!(group.leave(false).await.is_err(), "nobody has room");
    assert!(group.status().is_leader);
    eventually("to leave all the same", async || {
        group.leave(true).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_being_stopped_is_not_handed_to() {
    let (cluster, leader, heir) = cluster().await;
    let term = cluster.group(leader).status().term;
    cluster.nodes[&heir].0.set_stopping();
    let group = cluster.group(leader);
    let refused = group.transfer_leader(NodeId(heir), false).await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("is stopping"), "{reason}");
    nothing_happened(&cluster, leader, term).await;
}

/// The heir answers the question and receives nothing more: the hand-over is undone at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_over_that_is_not_answered_is_undone_within_a_heartbeat() {
    let (cluster, leader, heir) = cluster().await;
    let term = cluster.group(leader).status().term;
    cluster
        .cuts
        .hang_method(leader, heir, method::RAFT_TRANSFER);
    let load = Load::start(cluster.group(leader));
    let group = cluster.group(leader);
    let unanswered = group.transfer_leader(NodeId(heir), false).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    nothing_happened(&cluster, leader, term).await;
    let longest = load.finish().await;
    let bound = 3 * cluster.config.heartbeat_interval;
    assert!(longest < bound, "a proposal took {longest:?}");
    // A message that the heir reads late has no effect.
    cluster.cuts.deliver_hung(&cluster);
    tokio::time::sleep(2 * cluster.config.heartbeat_interval).await;
    nothing_happened(&cluster, leader, term).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_over_under_load_is_short_and_loses_nothing() {
    let (cluster, first, _) = cluster().await;
    let mut leader = first;
    for _ in 0..4 {
        let heir = 1 + leader % 3;
        let group = cluster.group(leader);
        let proposals: Vec<_> = (0..64)
            .map(|_| {
                let group = group.clone();
                tokio::spawn(async move { group.propose(Bytes::from_static(b"x")).await })
            })
            .collect();
        eventually("the hand-over", async || {
            group.transfer_leader(NodeId(heir), false).await.ok()
        })
        .await;
        assert!(cluster.group(heir).status().is_leader);
        assert!(
            !group.lease_read_ready(),
            "the old leader serves no lease read"
        );
        for proposal in proposals {
            // Each is answered: done, or certainly not proposed; any leader it names is the new
            // leader.
            match proposal.await.unwrap() {
                Ok(_) => {}
                Err(coterie_raft::ProposeError::NotLeader { leader, .. }) => {
                    assert!(
                        leader.is_none_or(|leader| leader == NodeId(heir)),
                        "{leader:?}"
                    );
                }
                Err(other) => panic!("{other}"),
            }
        }
        leader = heir;
    }
}

/// As when the process has been killed: the node is up, and the group is not open on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_gone_is_replaced_when_its_lease_is_over() {
    let config = RaftConfig {
        // By themselves the followers would wait for at least 7 seconds.
        election_timeout_min: Duration::from_millis(5_000),
        election_timeout_max: Duration::from_millis(5_001),
        ..RaftConfig::default()
    };
    let cluster = Cluster::start(3, config.clone()).await;
    let leader = cluster.leader().await;
    let last_heard = Instant::now();
    cluster.nodes[&leader]
        .0
        .stop_group(common::GROUP)
        .await
        .unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    eventually("another leader", async || {
        let mut leads = others
            .iter()
            .map(|id| cluster.group(*id).status().is_leader);
        leads.any(|leads| leads).then_some(())
    })
    .await;
    let took = last_heard.elapsed();
    assert!(
        took < config.election_timeout_max + config.election_timeout_min / 2,
        "{took:?}"
    );
}

/// The same for a leader that only does not answer: it may be slow, and the followers wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_does_not_answer_is_not_taken_for_gone() {
    let config = RaftConfig {
        election_timeout_min: Duration::from_millis(1_500),
        election_timeout_max: Duration::from_millis(1_501),
        ..RaftConfig::default()
    };
    let cluster = Cluster::start(3, config.clone()).await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let last_heard = Instant::now();
    for other in &others {
        cluster.cuts.hang(*other, leader);
        cluster.cuts.cut_requests(leader, *other);
    }
    eventually("somebody to ask for a vote", async || {
        let asked = |one: u64, other: u64| cluster.cuts.votes_asked(one, other);
        let all = asked(others[0], others[1]) + asked(others[1], others[0]);
        (all > 0).then_some(())
    })
    .await;
    // The lease, and then a timeout; the last message they heard may be one heartbeat old.
    let waited = last_heard.elapsed() + config.heartbeat_interval;
    assert!(
        waited >= config.election_timeout_max + config.election_timeout_min,
        "{waited:?}"
    );
}
