//! Looks at faulty clusters, and at a cluster that is asked over calls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coterie_protocol::catalog::{Catalog, Change, Row, TableDescriptor};
use coterie_protocol::meta::MetaAnswer;
use coterie_protocol::server::{Digest, ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode};
use coterie_rpc::{Client, Handler, Request, Responder, Token};
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, KeyRange, LogIndex, NodeDescriptor, NodeId, NodeState,
    RangeDescriptor, RangeId, Replica, Revision, Role, TableId, Term,
};

use super::cluster::Cluster;
use super::digests::compare;
use super::look::Look;

pub(crate) fn range(
    id: u64,
    epoch: u64,
    start: &'static str,
    end: &'static str,
    group: u64,
) -> RangeDescriptor {
    let key = |key: &'static str| bytes::Bytes::from_static(key.as_bytes());
    RangeDescriptor {
        range_id: RangeId(id),
        epoch: Epoch(epoch),
        bounds: KeyRange {
            table: TableId(0),
            start: key(start),
            end: (!end.is_empty()).then(|| key(end)),
        },
        group_id: GroupId(group),
    }
}

fn replicas() -> Vec<Replica> {
    let replica = |node| Replica {
        node_id: NodeId(node),
        role: Role::Voter,
    };
    (1..=3).map(replica).collect()
}

pub(crate) fn status(group: u64, leads: bool, ranges: Vec<RangeDescriptor>) -> ReplicaStatus {
    ReplicaStatus {
        group_id: GroupId(group),
        term: Term(2),
        leader: leads.then_some(NodeId(1)),
        serving: leads,
        last_index: LogIndex(9),
        last_term: Term(1),
        applied_index: LogIndex(9),
        first_index: LogIndex(1),
        replicas: replicas(),
        ranges,
        ..ReplicaStatus::default()
    }
}

fn rows() -> [RangeDescriptor; 2] {
    [range(1, 1, "", "m", 1), range(2, 1, "m", "", 2)]
}

fn upsert(look: &mut Look, rows: Vec<Row>) {
    look.catalog.apply(&Change {
        revision: look.catalog.revision.next(),
        deletes: vec![],
        upserts: rows,
    });
}

/// Two groups on three nodes, and a table of two ranges. All is well.
pub(crate) fn well() -> Look {
    let mut look = Look::default();
    let mut upserts = vec![Row::Table(TableDescriptor {
        table_id: TableId(0),
        name: "db0".to_owned(),
        split_at: vec![],
    })];
    for node in 1..=3 {
        upserts.push(Row::Node(NodeDescriptor {
            node_id: NodeId(node),
            addr: String::new(),
            zone: String::new(),
            host: String::new(),
            capacity_bytes: 0,
            state: NodeState::Up,
        }));
        let replica = |(group, range)| status(group, node == 1, vec![range]);
        let said = (1..).zip(rows()).map(replica).collect();
        look.said.insert(NodeId(node), Ok(said));
    }
    for group in [1, 2] {
        upserts.push(Row::Group(GroupDescriptor {
            group_id: GroupId(group),
            replicas: replicas(),
        }));
    }
    upserts.extend(rows().map(Row::Range));
    upsert(&mut look, upserts);
    look
}

/// Changes every node's report of a group.
fn say(look: &mut Look, group: u64, change: impl Fn(&mut ReplicaStatus)) {
    let said = look.said.values_mut().flatten();
    let replicas = said.flatten();
    replicas
        .filter(|replica| replica.group_id == GroupId(group))
        .for_each(change);
}

fn found(look: &Look) -> Vec<String> {
    look.findings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_cluster_that_is_well_has_no_findings() {
    assert_eq!(found(&well()), Vec::<String>::new());
    assert_eq!(well().catalog.revision, Revision(1));
    assert_eq!(
        found(&Look {
            catalog: Catalog::default(),
            ..Look::default()
        }),
        Vec::<String>::new()
    );
}

#[test]
fn a_map_with_gaps_and_overlaps_is_wrong() {
    let mut look = well();
    upsert(&mut look, vec![Row::Range(range(2, 1, "p", "", 2))]);
    let expected = "WRONG gap: no range of meta's map holds the keys of table 0[\"m\", \"p\")";
    assert!(
        found(&look).contains(&expected.to_owned()),
        "{:?}",
        found(&look)
    );
    upsert(&mut look, vec![Row::Range(range(2, 1, "a", "", 2))]);
    let expected = "WRONG overlap: ranges 1 and 2 of meta's map overlap";
    assert!(
        found(&look).contains(&expected.to_owned()),
        "{:?}",
        found(&look)
    );
}

#[test]
fn two_owners_are_wrong() {
    let mut look = well();
    say(&mut look, 1, |replica| {
        replica.ranges = vec![range(1, 1, "", "", 1)]
    });
    assert_eq!(
        found(&look),
        [
            "WRONG map: range 1: meta's map says epoch 1 of group 1, group 1 owns the keys of table \
             0[\"\", end) at epoch 1",
            "WRONG two-owners: group 1 owns range 1, and group 2 range 2, which overlaps it",
        ]
    );
}

#[test]
fn a_map_that_is_older_than_the_logs_is_wrong() {
    let mut look = well();
    say(&mut look, 2, |replica| {
        replica.ranges.clear();
        replica.frozen = vec![range(2, 2, "m", "", 1)];
    });
    say(&mut look, 1, |replica| {
        replica.importing = vec![RangeId(2)];
    });
    // Handed off, and not served yet.
    assert_eq!(
        found(&look),
        [
            "WRONG map: range 2: meta's map says epoch 1 of group 2, no group owns it, group 1 \
             imports it, group 2 has handed it off",
            "WRONG no-owner: no group serves the keys of table 0[\"m\", end)",
        ]
    );
    say(&mut look, 1, |replica| {
        replica.ranges.push(range(2, 2, "m", "", 1));
    });
    assert_eq!(
        found(&look),
        [
            "WRONG map: range 2: meta's map says epoch 1 of group 2, group 1 owns the keys of table \
             0[\"m\", end) at epoch 2, group 1 imports it, group 2 has handed it off",
        ]
    );
    // Once meta knows, a copy in progress is no fault.
    upsert(&mut look, vec![Row::Range(range(2, 2, "m", "", 1))]);
    assert_eq!(found(&look), Vec::<String>::new());
}

#[test]
fn what_groups_own_and_meta_has_not_is_wrong_unless_it_was_dropped() {
    let mut look = well();
    let other = RangeDescriptor {
        bounds: KeyRange::all(TableId(100)),
        ..range(9, 1, "", "", 1)
    };
    say(&mut look, 1, |replica| replica.ranges.push(other.clone()));
    assert_eq!(
        found(&look),
        [
            "WRONG map: group 1 owns range 9, the keys of table 100[\"\", end), which meta's map has not"
        ]
    );
    upsert(&mut look, vec![Row::Dropped(other)]);
    assert_eq!(found(&look), Vec::<String>::new());
}

#[test]
fn the_leader_speaks_for_its_group() {
    let mut look = well();
    // A follower has applied less than the leader.
    let behind = look.said.get_mut(&NodeId(3));
    if let Some(Ok(replicas)) = behind {
        replicas[0].ranges.clear();
        replicas[0].applied_index = LogIndex(3);
    }
    assert_eq!(found(&look), Vec::<String>::new());
    say(&mut look, 1, |replica| replica.serving = false);
    assert_eq!(
        found(&look),
        Vec::<String>::new(),
        "its lease may just not be in force"
    );
    say(&mut look, 1, |replica| replica.leader = None);
    assert_eq!(found(&look), ["WRONG no-leader: group 1 has no leader"]);
}

#[test]
fn members_faults_and_strays_are_seen() {
    let mut look = well();
    say(&mut look, 1, |replica| {
        replica.replicas[2].node_id = NodeId(4);
    });
    if let Some(Ok(replicas)) = look.said.get_mut(&NodeId(3)) {
        replicas[1].fault = Some("the disk is gone".to_owned());
        replicas.push(status(8, false, vec![]));
        replicas.remove(0);
    }
    assert_eq!(
        found(&look),
        [
            "WRONG fault: the replica of group 2 on node 3 stopped: the disk is gone",
            "WRONG members: group 1: meta's row says it is on nodes 1, 2, 3, its log says 1, 2, 4",
            "WRONG missing: node 3 has no replica of group 1, though it should",
            "WRONG stray: node 3 holds a replica of group 8, which meta does not know",
        ]
    );
}

#[test]
fn what_does_not_answer_is_unchecked_and_not_wrong() {
    let mut look = well();
    let silent = || Err("it does not answer".to_owned());
    look.said.insert(NodeId(3), silent());
    assert_eq!(
        found(&look),
        [
            "UNCHECKED silent: node 3, with a replica of group 1: it does not answer",
            "UNCHECKED silent: node 3, with a replica of group 2: it does not answer",
        ]
    );
    for node in 1..=3 {
        look.said.insert(NodeId(node), silent());
    }
    let found = found(&look);
    assert!(
        found.iter().all(|line| line.starts_with("UNCHECKED")),
        "{found:?}"
    );
    assert!(found.contains(&"UNCHECKED silent: group 1: none of its replicas answered".to_owned()));
}

/// Meta or a server, which answers by its function.
struct Answers<F>(F);

impl<F: Fn(Request) -> bytes::Bytes + Send + Sync + 'static> Handler for Answers<F> {
    fn handle(&self, request: Request, responder: Responder) {
        responder.send((self.0)(request));
    }
}

/// A server of the well cluster. Node 2 leads, and node 3 has other records. Each replica has
/// counted when it is asked for the second time.
fn answer(
    look: &Look,
    node: NodeId,
    asked: &Mutex<BTreeSet<NodeId>>,
    request: ServerRequest,
) -> ServerAnswer {
    match request {
        ServerRequest::Status => ServerAnswer::Status(look.said[&node].clone().unwrap_or_default()),
        ServerRequest::TakeDigest { fence: 0, .. } if node == NodeId(2) => ServerAnswer::Ok,
        ServerRequest::TakeDigest { .. } => ServerAnswer::NotLeader {
            leader: Some(NodeId(2)),
        },
        ServerRequest::Digest { .. } => {
            let mut asked = asked.lock().unwrap();
            let again = !asked.insert(node);
            ServerAnswer::Digest(again.then_some(Digest {
                index: LogIndex(9),
                records: 5,
                bytes: 50,
                checksum: u64::from(node == NodeId(3)),
            }))
        }
        other => ServerAnswer::Failed(format!("{other:?}")),
    }
}

#[tokio::test]
async fn a_cluster_is_asked_and_replicas_that_differ_are_told() {
    let rpc = Client::new(Token::new("secret"));
    let mut look = well();
    let address = |node: u64| format!("10.0.0.{node}:7000");
    let nodes: Vec<NodeDescriptor> = look.catalog.nodes.values().cloned().collect();
    let rows = nodes.into_iter().map(|node| NodeDescriptor {
        addr: address(node.node_id.0),
        ..node
    });
    upsert(&mut look, rows.map(Row::Node).collect());
    let look = Arc::new(look);
    let meta = Arc::clone(&look);
    let meta = Answers(move |_| encode(&MetaAnswer::Catalog(Box::new(meta.catalog.clone()))));
    rpc.register_local("10.0.0.9:7000", Arc::new(meta));
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    for node in 1..=3 {
        let (look, asked) = (Arc::clone(&look), Arc::clone(&asked));
        let server = Answers(move |request: Request| {
            let answer = match decode(&request.body) {
                Ok(request) => answer(&look, NodeId(node), &asked, request),
                Err(error) => ServerAnswer::Failed(error.to_string()),
            };
            encode(&answer)
        });
        rpc.register_local(&address(node), Arc::new(server));
    }
    let cluster = Cluster::new(rpc, vec!["10.0.0.9:7000".to_owned()]);
    let seen = cluster.look().await.expect("meta answers");
    assert_eq!(found(&seen), Vec::<String>::new());
    assert_eq!(seen.replicas().count(), 6);
    let counted = cluster
        .digests(&seen, GroupId(1), 77, Duration::from_secs(60))
        .await;
    let findings = compare(GroupId(1), &counted);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].text.contains("node 3 has 5 records"),
        "{findings:?}"
    );
}
