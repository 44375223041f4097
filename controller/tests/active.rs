//! Controllers against a real meta, and nodes that the test plays over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coterie_config::ClusterToken;
use coterie_controller::{Config, Handle, start};
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::{Catalog, JobState};
use coterie_protocol::meta::{Command, Heartbeat, Outcome};
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode};
use coterie_rpc::{Client, Handler, Request, Responder, Server, Token};
use coterie_types::{GroupId, LogIndex, NodeId, NodeState, TableId, Term};
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(30);

/// The leader of each group, and its term.
type Groups = Arc<Mutex<BTreeMap<GroupId, (NodeId, u64)>>>;

struct Node {
    node_id: NodeId,
    groups: Groups,
    held: Mutex<Vec<GroupId>>,
}

impl Handler for Node {
    fn handle(&self, request: Request, responder: Responder) {
        let mut groups = self.groups.lock().unwrap();
        let answer = match decode(&request.body).unwrap() {
            ServerRequest::CreateReplica { group_id, .. } => {
                let mut held = self.held.lock().unwrap();
                if !held.contains(&group_id) {
                    held.push(group_id);
                }
                ServerAnswer::Ok
            }
            ServerRequest::InitGroup { group_id, .. } => {
                groups.entry(group_id).or_insert((self.node_id, 1));
                ServerAnswer::Ok
            }
            ServerRequest::TransferLeader { group_id, to, .. } => match groups.get_mut(&group_id) {
                Some((leader, term)) if *leader == self.node_id => {
                    (*leader, *term) = (to, *term + 1);
                    ServerAnswer::Ok
                }
                other => ServerAnswer::NotLeader {
                    leader: other.map(|(leader, _)| *leader),
                },
            },
            ServerRequest::AddRanges { group_id, .. } => {
                let leader = groups.get(&group_id).map(|(leader, _)| *leader);
                if leader == Some(self.node_id) {
                    ServerAnswer::Ok
                } else {
                    ServerAnswer::NotLeader { leader }
                }
            }
            other => ServerAnswer::Failed(format!("not played: {other:?}")),
        };
        responder.send(encode(&answer));
    }
}

impl Node {
    fn heartbeat(&self, addr: &str) -> Heartbeat {
        let groups = self.groups.lock().unwrap();
        let held = self.held.lock().unwrap().clone();
        let replicas = held.iter().map(|group_id| {
            let leads = groups.get(group_id).copied();
            ReplicaStatus {
                group_id: *group_id,
                term: Term(leads.map_or(0, |(_, term)| term)),
                leader: leads.map(|(leader, _)| leader),
                serving: leads.is_some_and(|(leader, _)| leader == self.node_id),
                last_index: LogIndex(1),
                last_term: Term(1),
                applied_index: LogIndex(1),
                flushed_index: LogIndex(1),
                ..ReplicaStatus::default()
            }
        });
        Heartbeat {
            node_id: self.node_id,
            addr: addr.to_owned(),
            disk_used_bytes: 0,
            disk_free_bytes: 0,
            replicas: replicas.collect(),
            stopping: false,
            log_write_micros: 0,
            apply_micros: 0,
            answer_micros: vec![],
        }
    }
}

struct RunningNode {
    server: Server,
    beating: JoinHandle<()>,
}

async fn start_node(meta: &MetaClient, number: u128, groups: &Groups) -> RunningNode {
    // The node gets its id after its address: only then can it accept requests.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    drop(listener);
    let command = Command::RegisterNode {
        token: number,
        addr: addr.clone(),
        zone: String::new(),
        host: String::new(),
        capacity_bytes: 0,
    };
    let outcome = meta.propose(command, LONG).await.unwrap();
    let Outcome::Registered { node_id, .. } = outcome else {
        panic!("{outcome:?}");
    };
    let node = Arc::new(Node {
        node_id,
        groups: Arc::clone(groups),
        held: Mutex::default(),
    });
    let handler = Arc::clone(&node) as Arc<dyn Handler>;
    let server = Server::bind(&addr, Token::new("t"), handler).await.unwrap();
    let beating = tokio::spawn({
        let meta = meta.clone();
        async move {
            loop {
                let _ = meta.heartbeat(node.heartbeat(&addr)).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    RunningNode { server, beating }
}

async fn start_meta(dir: &Path) -> (coterie_meta::Handle, MetaClient, String) {
    let config =
        coterie_meta::Config::alone("127.0.0.1:0", dir.to_path_buf(), ClusterToken::given("t"));
    let member = coterie_meta::start(config).await.unwrap();
    let addr = member.addr.to_string();
    let client = MetaClient::new(Client::new(Token::new("t")), vec![addr.clone()]);
    (member, client, addr)
}

async fn start_controller(meta: &str) -> Handle {
    let mut config = Config::of(vec![meta.to_owned()], ClusterToken::given("t"));
    config.http = Some("127.0.0.1:0".to_owned());
    config.split_at = vec!["h".to_owned(), "p".to_owned()];
    config.lease = Duration::from_secs(1);
    config.liveness_timeout = Duration::from_secs(1);
    start(config).await.unwrap()
}

async fn until(meta: &MetaClient, what: &str, condition: impl Fn(&Catalog) -> bool) -> Catalog {
    let mut copy = meta.follow(None);
    let reached = tokio::time::timeout(LONG, copy.wait_for(|copy| condition(copy))).await;
    match reached {
        Ok(copy) => (**copy.unwrap()).clone(),
        Err(_) => panic!("not reached: {what}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_made_and_kept_though_controllers_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let (member, meta, meta_addr) = start_meta(dir.path()).await;
    let first = start_controller(&meta_addr).await;
    let second = start_controller(&meta_addr).await;
    assert!(first.http_addr().is_some());
    let groups = Groups::default();
    let mut nodes = Vec::new();
    for number in 1..=3 {
        nodes.push(start_node(&meta, number, &groups).await);
    }
    let served = |catalog: &Catalog| {
        catalog.ranges_of(TableId(0)).count() == 3
            && catalog.jobs.values().all(|job| job.state == JobState::Done)
    };
    let catalog = until(&meta, "the groups are made", served).await;
    assert_eq!(catalog.groups.len(), 3);
    assert_eq!(catalog.lease.fence, 1, "one controller did it");

    // Whichever controller was active, the other goes on.
    first.shutdown().await;
    let command = Command::CreateTable {
        name: "users".into(),
        split_at: vec![],
    };
    meta.propose(command, LONG).await.unwrap();
    let has_ranges = |catalog: &Catalog| catalog.ranges_of(TableId(16)).next().is_some();
    until(&meta, "the new table is served", has_ranges).await;

    let gone = nodes.pop().unwrap();
    gone.beating.abort();
    gone.server.shutdown().await;
    let down = |catalog: &Catalog| catalog.nodes[&NodeId(3)].state == NodeState::Down;
    until(&meta, "the silent node is down", |catalog| {
        catalog.nodes.contains_key(&NodeId(3)) && down(catalog)
    })
    .await;
    second.shutdown().await;
    assert_eq!(meta.read(LONG).await.unwrap().lease.holder, 0, "given back");
    member.shutdown().await;
}
