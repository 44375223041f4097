//! Reports of groups that have lost their majority.

use coterie_meta_client::Liveness;
use coterie_protocol::meta::{Heartbeat, NodeLiveness};
use coterie_types::{GroupId, LogIndex, NodeId, Term};
use std::time::Duration;

use super::assess::losses;
use crate::check::look::Look;
use crate::check::tests::{status, well};

fn silent(look: &mut Look, nodes: &[u64]) {
    for node in nodes {
        let said = Err("it does not answer".to_owned());
        look.said.insert(NodeId(*node), said);
    }
}

/// Without a majority no replica leads.
fn leaderless(look: &mut Look) {
    for said in look.said.values_mut().flatten() {
        for replica in said {
            (replica.serving, replica.leader) = (false, None);
        }
    }
}

fn heard(node: u64, last_index: u64, age_ms: u64) -> Liveness {
    let mut replica = status(1, false, vec![]);
    replica.last_index = LogIndex(last_index);
    let heartbeat = Heartbeat {
        node_id: NodeId(node),
        addr: String::new(),
        disk_used_bytes: 0,
        disk_free_bytes: 0,
        replicas: vec![replica],
        stopping: false,
        log_write_micros: 0,
        apply_micros: 0,
        answer_micros: vec![],
    };
    Liveness {
        nodes: vec![NodeLiveness { heartbeat, age_ms }],
        leader_for: Duration::from_secs(60),
    }
}

#[test]
fn a_group_with_a_leader_or_a_majority_needs_nothing() {
    let mut look = well();
    let liveness = heard(2, 9, 100);
    assert_eq!(losses(&look, &liveness), []);
    leaderless(&mut look);
    assert_eq!(losses(&look, &liveness), [], "it may elect one");
    silent(&mut look, &[2]);
    assert_eq!(losses(&look, &liveness), [], "two of three");
}

#[test]
fn what_would_be_lost_is_told() {
    let mut look = well();
    leaderless(&mut look);
    silent(&mut look, &[1, 2]);
    let found = losses(&look, &heard(2, 12, 42_000));
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].group_id, found[0].best),
        (GroupId(1), Some(NodeId(3)))
    );
    let text = found[0].to_string();
    for part in [
        "group 1: 1 of 3 voters answer, nobody leads; 1 range(s) are not served",
        "node 1: does not answer, and was not heard",
        "node 2: does not answer; 42 s ago it was last heard, with log to entry 12 of term 1",
        "node 3: log to entry 9 of term 1, applied to 9, would be kept",
        "lost: 3 entries at least, which node(s) 1, 2 had",
        "node(s) 1, 2 would be removed for good",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let text = losses(&look, &heard(2, 9, 42_000))[0].to_string();
    assert!(
        text.contains("may be lost: what was acknowledged"),
        "{text}"
    );
}

#[test]
fn the_log_of_the_latest_term_reaches_furthest() {
    let mut look = well();
    for group in look.catalog.groups.values_mut() {
        for node in [4, 5] {
            let replica = coterie_types::Replica {
                node_id: NodeId(node),
                role: coterie_types::Role::Voter,
            };
            group.replicas.push(replica);
        }
    }
    leaderless(&mut look);
    silent(&mut look, &[1, 4, 5]);
    let Some(Ok(said)) = look.said.get_mut(&NodeId(2)) else {
        panic!("node 2 answers");
    };
    said[0].last_index = LogIndex(100);
    let best = |look: &Look| losses(look, &heard(1, 9, 100))[0].best;
    assert_eq!(best(&look), Some(NodeId(2)));
    let Some(Ok(said)) = look.said.get_mut(&NodeId(3)) else {
        panic!("node 3 answers");
    };
    said[0].last_term = Term(2);
    assert_eq!(best(&look), Some(NodeId(3)), "though its log is shorter");
    let Some(Ok(said)) = look.said.get_mut(&NodeId(3)) else {
        panic!("node 3 answers");
    };
    said[0].fault = Some("its disk".to_owned());
    assert_eq!(best(&look), Some(NodeId(2)));
}

#[test]
fn with_no_replica_left_there_is_nothing_to_go_on_from() {
    let mut look = well();
    silent(&mut look, &[1, 2, 3]);
    let found = losses(&look, &heard(1, 9, 100));
    assert_eq!(found[0].best, None);
    assert!(found[0].to_string().contains("no replica is left"));
}
