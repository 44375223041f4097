//! Groups in memory, their nodes and a meta service, all reached without a socket.
//!
//! A group applies frames with the real state machine (`coterie-group`), so numbers, ownership and
//! watches are those of a server. Tests choose leaders, the next faults, and the catalog, which may
//! differ from the groups' ownership.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use clap::Parser;
use coterie_group::{Body, Entry, GroupState, MemStore, Waiters};
use coterie_protocol::catalog::{Catalog, Row, RowKey, TableDescriptor, Wish};
use coterie_protocol::meta::NodeLiveness;
use coterie_protocol::proxies::ProxyReport;
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_protocol::{Frame, FrameReply, Refusal, Stage, WaitHead, decode, encode, method};
use coterie_proxy::{Config, Handle};
use coterie_rpc::{Handler, Request, Responder, Token};
use coterie_types::{
    Epoch, FrameSeq, GroupDescriptor, GroupId, KeyRange, LogIndex, NodeId, NodeState,
    RangeDescriptor, RangeId, Replica, Revision, Role, TableId, Term, UnixMillis, varint,
};
use tokio::sync::watch;

use super::homes::{NodeHome, node_row};
use super::meta::Meta;
use super::places::NodePlaces;
use super::waits::{self, News, NodeLinks, Owner};

pub(crate) const NODES: u64 = 3;

/// The fault that the next frame of a group meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Applied, and the answer is lost.
    LoseAnswer,
    /// Applied, and the node reports that it does not know.
    FateUnknown,
    /// Not applied: no leader is known.
    NoLeader,
    /// Not applied: a queue is full.
    Overloaded,
    /// Not applied: the session is gone.
    SessionExpired,
    /// Not applied, and never answered.
    Silence,
    /// Not applied: the disks are full.
    DiskFull,
    /// Not applied: the keys are moving here.
    Moving,
    /// Executed and answered only when the test calls `go_on`.
    Hold,
    /// Applied; the frame and its copies are answered only when the test calls `go_on`.
    HoldAnswer,
}

/// A range of table 0; with the end `""`, up to the end of the table.
pub(crate) fn range(id: u64, epoch: u64, start: &str, end: &str, group: u64) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(id),
        epoch: Epoch(epoch),
        bounds: KeyRange {
            table: TableId(0),
            start: Bytes::copy_from_slice(start.as_bytes()),
            end: (!end.is_empty()).then(|| Bytes::copy_from_slice(end.as_bytes())),
        },
        group_id: GroupId(group),
    }
}

/// A group on all nodes.
pub(crate) fn group_row(id: u64) -> Row {
    let replica = |node| Replica {
        node_id: NodeId(node),
        role: Role::Voter,
    };
    Row::Group(GroupDescriptor {
        group_id: GroupId(id),
        replicas: (1..=NODES).map(replica).collect(),
    })
}

pub(crate) struct Group {
    state: GroupState,
    pub(super) store: MemStore,
    pub(crate) leader: NodeId,
    pub(crate) term: u64,
    pub(crate) faults: VecDeque<Fault>,
    held: Vec<(Bytes, Responder)>,
    /// The frames of [`Fault::HoldAnswer`].
    held_answers: Vec<FrameSeq>,
    /// Every frame that came: its sequence number and its number of commands.
    pub(crate) seen: Vec<(FrameSeq, usize)>,
    /// Every frame that was executed: the first words of its commands.
    pub(crate) executed: Vec<Vec<String>>,
    /// The descriptors that it reports for keys that it does not own.
    pub(crate) knows: Vec<RangeDescriptor>,
    pub(super) waiters: Waiters<Owner>,
    /// Every frame that came and may wait.
    pub(super) came: Vec<(Stage, u64)>,
    /// The epoch of the links of its leader.
    pub(super) epoch: u64,
    /// Answers that go over links.
    news: News,
}

impl Group {
    pub(super) fn new(id: GroupId, ranges: Vec<RangeDescriptor>) -> Group {
        let mut group = Group {
            state: GroupState::new(id),
            store: MemStore::default(),
            leader: NodeId(1),
            term: 1,
            faults: VecDeque::new(),
            held: Vec::new(),
            held_answers: Vec::new(),
            seen: Vec::new(),
            executed: Vec::new(),
            knows: Vec::new(),
            waiters: waits::none(),
            came: Vec::new(),
            epoch: 1,
            news: News::new(),
        };
        group.apply(Body::Init(ranges));
        group
    }

    pub(super) fn apply(&mut self, body: Body) -> Vec<Bytes> {
        let entry = Entry {
            clock: UnixMillis(1),
            seed: self.seen.len() as u64,
            value_bytes_max: 1 << 20,
            body,
        };
        let effects = self
            .state
            .apply(entry, &self.store)
            .expect("a map does not fail");
        self.store.persist(&effects);
        effects.replies
    }

    /// How many numbered frames came; these are the writes.
    pub(crate) fn sequences_seen(&self) -> usize {
        let numbered = self.seen.iter().filter(|(seq, _)| seq.0 > 0);
        numbered.count()
    }

    /// Executes a frame, unless a fault prevents it; `None` for no answer.
    fn execute(&mut self, bytes: Bytes) -> Option<Bytes> {
        let frame = Frame::decode(bytes.clone()).expect("the proxy's frames decode");
        self.seen.push((frame.seq, frame.commands.len()));
        let refuse = |refusal| Some(FrameReply::Refused(refusal).encode());
        let fault = self.faults.pop_front();
        match fault {
            Some(Fault::NoLeader) => {
                let (leader, term) = (None, Term(self.term));
                return refuse(Refusal::NotLeader { leader, term });
            }
            Some(Fault::Overloaded) => return refuse(Refusal::Overloaded),
            Some(Fault::DiskFull) => return refuse(Refusal::DiskFull),
            Some(Fault::Moving) => return refuse(Refusal::Moving),
            Some(Fault::SessionExpired) => return refuse(Refusal::SessionExpired),
            _ => {}
        }
        let (reply, news) = self.execute_among(bytes);
        self.news.extend(news);
        let reply = match FrameReply::decode(reply.clone()).expect("replies decode") {
            FrameReply::Refused(Refusal::Moved { ranges }) if ranges.is_empty() => {
                let ranges = self.knows.clone();
                return refuse(Refusal::Moved { ranges });
            }
            FrameReply::Refused(_) | FrameReply::Waits { .. } | FrameReply::Resolved(_) => reply,
            FrameReply::Done(_) => {
                let name = |words: &Vec<Bytes>| {
                    let words = words
                        .iter()
                        .take(3)
                        .map(|word| String::from_utf8_lossy(word));
                    words.collect::<Vec<_>>().join(" ")
                };
                self.executed
                    .push(frame.commands.iter().map(|c| name(&c.args)).collect());
                reply
            }
        };
        match fault {
            Some(Fault::LoseAnswer) => None,
            Some(Fault::FateUnknown) => refuse(Refusal::FateUnknown),
            _ => Some(reply),
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) rpc: coterie_rpc::Client,
    pub(crate) groups: Mutex<BTreeMap<GroupId, Group>>,
    pub(super) catalog: watch::Sender<Catalog>,
    /// Responders that never answer are kept, because dropping them would tell the caller.
    silent: Mutex<Vec<Responder>>,
    /// Until when meta answers no question, and how many questions it has refused.
    pub(crate) meta_away: Mutex<(Option<Instant>, usize)>,
    /// Whether followers of the catalog are told nothing for now.
    pub(crate) copies_wait: watch::Sender<bool>,
    /// The requests that servers received.
    pub(crate) admin: Mutex<Vec<ServerRequest>>,
    /// The wishes that the controller received.
    pub(crate) wishes: Mutex<Vec<Wish>>,
    /// The nodes' reports of themselves.
    pub(crate) heard: Mutex<Vec<NodeLiveness>>,
    /// The links of proxies, by node.
    pub(super) links: Mutex<BTreeMap<NodeId, NodeLinks>>,
    /// The proxies that reported themselves, by their ids.
    pub(super) proxies: Mutex<BTreeMap<String, ProxyReport>>,
    /// The places of scans that nodes keep.
    pub(super) places: Mutex<BTreeMap<u64, NodePlaces>>,
    /// The nodes as homes of channels.
    pub(super) homes: Mutex<BTreeMap<u64, NodeHome>>,
}

struct Node(NodeId, Arc<Cluster>);

pub(super) fn addr(node: u64) -> String {
    format!("10.0.0.{node}:7000")
}

const META: &str = "10.0.0.100:7000";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

impl Cluster {
    /// Groups that own these ranges, and a catalog that agrees.
    pub(crate) fn new(ranges: Vec<RangeDescriptor>) -> Arc<Cluster> {
        let mut catalog = Catalog::default();
        let mut upserts: Vec<Row> = (1..=NODES)
            .map(|node| node_row(node, NodeState::Up))
            .collect();
        upserts.extend((0..16).map(|number| {
            Row::Table(TableDescriptor {
                table_id: TableId(number),
                name: format!("db{number}"),
                split_at: vec![],
            })
        }));
        let mut owned = BTreeMap::<GroupId, Vec<RangeDescriptor>>::new();
        for range in &ranges {
            owned.entry(range.group_id).or_default().push(range.clone());
        }
        for group_id in owned.keys() {
            upserts.push(group_row(group_id.0));
        }
        upserts.extend(ranges.into_iter().map(Row::Range));
        catalog.apply(&coterie_protocol::catalog::Change {
            revision: Revision(1),
            deletes: vec![],
            upserts,
        });
        let groups = owned
            .into_iter()
            .map(|(id, ranges)| (id, Group::new(id, ranges)));
        let cluster = Arc::new(Cluster {
            rpc: coterie_rpc::Client::new(Token::new("secret")),
            groups: Mutex::new(groups.collect()),
            catalog: watch::Sender::new(catalog),
            silent: Mutex::default(),
            meta_away: Mutex::default(),
            copies_wait: watch::Sender::new(false),
            admin: Mutex::default(),
            wishes: Mutex::default(),
            heard: Mutex::default(),
            links: Mutex::default(),
            proxies: Mutex::default(),
            places: Mutex::new(NodePlaces::of_all()),
            homes: Mutex::new(NodeHome::of_all()),
        });
        for node in 1..=NODES {
            let handler = Node(NodeId(node), Arc::clone(&cluster));
            cluster.rpc.register_local(&addr(node), Arc::new(handler));
        }
        cluster
            .rpc
            .register_local(META, Arc::new(Meta(Arc::clone(&cluster))));
        cluster
    }

    /// The usual cluster: two groups, split at `m`.
    pub(crate) fn of_two() -> Arc<Cluster> {
        Cluster::new(vec![range(1, 1, "", "m", 1), range(2, 1, "m", "", 2)])
    }

    /// A proxy of this cluster, with these flags.
    pub(crate) async fn proxy(self: &Arc<Cluster>, flags: &str) -> Handle {
        let debug = if flags.contains("--enable-debug-command") {
            ""
        } else {
            "--enable-debug-command yes"
        };
        let line = format!(
            "proxy --listen 127.0.0.1:0 --meta {META} --cluster-token secret {flags} {debug}"
        );
        let config = Cli::parse_from(line.split_whitespace()).config;
        let telemetry = coterie_telemetry::Metrics::new();
        let health = coterie_telemetry::Health::new();
        coterie_proxy::start_with(config, self.rpc.clone(), &telemetry, &health)
            .await
            .expect("the proxy starts")
    }

    /// Reads or changes a group.
    pub(crate) fn group<R>(&self, id: u64, with: impl FnOnce(&mut Group) -> R) -> R {
        with(
            self.groups
                .lock()
                .unwrap()
                .get_mut(&GroupId(id))
                .expect("the group exists"),
        )
    }

    /// The next frames of a group meet these faults.
    pub(crate) fn faults(&self, id: u64, faults: &[Fault]) {
        self.group(id, |group| group.faults.extend(faults));
    }

    /// Answers the held frames.
    pub(crate) fn go_on(&self, id: u64) {
        let held = self.group(id, |group| {
            group.held_answers.clear();
            std::mem::take(&mut group.held)
        });
        for (frame, responder) in held {
            if let Some(reply) = self.group(id, |group| group.execute(frame)) {
                responder.send(reply);
            }
        }
    }

    /// Changes the catalog.
    pub(crate) fn publish(&self, rows: Vec<Row>) {
        self.change_rows(rows, Vec::new());
    }

    pub(crate) fn change_rows(&self, upserts: Vec<Row>, deletes: Vec<RowKey>) {
        self.catalog.send_modify(|catalog| {
            let revision = catalog.revision.next();
            catalog.apply(&coterie_protocol::catalog::Change {
                revision,
                deletes,
                upserts,
            });
        });
    }

    /// The settings of the cluster.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        self.catalog.borrow().settings.clone()
    }

    /// Reports that the frames held by a group are being worked on; returns how many there are.
    pub(crate) fn work_on_held(&self, group: u64) -> usize {
        self.group(group, |group| {
            group.held.iter().for_each(|(_, held)| held.working());
            group.held.len()
        })
    }

    /// Whether nobody waits any more for a frame held by the group.
    pub(crate) fn held_are_abandoned(&self, group: u64) -> bool {
        self.group(group, |group| {
            group.held.iter().all(|(_, held)| held.is_abandoned())
        })
    }

    /// The boundaries at which a new table is split.
    pub(crate) fn boundaries(&self, table: &str) -> Vec<Bytes> {
        let catalog = self.catalog.borrow();
        let mut tables = catalog.tables.values();
        let named = tables.find(|named| named.name == table);
        named.expect("the table exists").split_at.clone()
    }
}

impl Handler for Node {
    fn handle(&self, request: Request, responder: Responder) {
        let Node(node, cluster) = self;
        if request.method == method::SERVER_ADMIN {
            return cluster.administer(*node, decode(&request.body).expect("decodes"), responder);
        }
        if request.method == method::SCAN_PLACE {
            return cluster.places(node.0, |places| places.answer(&request.body, responder));
        }
        if request.method == method::WAIT_NEWS {
            return cluster.asks(*node, &request.body, responder);
        }
        if request.method == method::NEWS {
            return cluster.asks_news(*node, &request.body, responder);
        }
        if request.method == method::PUBSUB {
            return cluster.asks_home(*node, &request.body, responder);
        }
        assert_eq!(request.method, method::EXECUTE);
        let mut body = request.body;
        let group_id = GroupId(varint::take(&mut body).expect("a group id"));
        let mut groups = cluster.groups.lock().unwrap();
        let Some(group) = groups.get_mut(&group_id) else {
            let refusal = Refusal::NoSuchGroup { group_id };
            return responder.send(FrameReply::Refused(refusal).encode());
        };
        if group.leader != *node {
            let (leader, term) = (Some(group.leader), Term(group.term));
            let refusal = Refusal::NotLeader { leader, term };
            return responder.send(FrameReply::Refused(refusal).encode());
        }
        let seq = Frame::decode(body.clone())
            .expect("the proxy's frames decode")
            .seq;
        if group.held_answers.contains(&seq) {
            return group.held.push((body, responder));
        }
        match group.faults.front() {
            Some(Fault::Silence) => {
                group.faults.pop_front();
                cluster.silent.lock().unwrap().push(responder);
            }
            Some(Fault::Hold) => {
                group.faults.pop_front();
                group.held.push((body, responder));
            }
            Some(Fault::HoldAnswer) => {
                group.faults.pop_front();
                group.execute(body.clone());
                group.held_answers.push(seq);
                group.held.push((body, responder));
            }
            fault => {
                let head = WaitHead::of(&body).filter(|_| fault.is_none());
                let news = match head {
                    Some(head) => group.wait(body, &head, responder),
                    None => {
                        match group.execute(body) {
                            Some(reply) => responder.send(reply),
                            None => responder.fail("the answer is lost"),
                        }
                        std::mem::take(&mut group.news)
                    }
                };
                drop(groups);
                cluster.tell(*node, news);
            }
        }
    }
}

impl Cluster {
    fn administer(&self, node: NodeId, request: ServerRequest, responder: Responder) {
        self.admin.lock().unwrap().push(request.clone());
        let mut groups = self.groups.lock().unwrap();
        let answer = match request {
            ServerRequest::Status => {
                let status = |group: &Group| ReplicaStatus {
                    group_id: group.state.group_id(),
                    term: Term(group.term),
                    leader: Some(group.leader),
                    serving: group.leader == node,
                    last_index: LogIndex(10),
                    last_term: Term(1),
                    applied_index: LogIndex(10),
                    ..ReplicaStatus::default()
                };
                ServerAnswer::Status(groups.values().map(status).collect())
            }
            ServerRequest::TransferLeader { group_id, to, .. } => match groups.get_mut(&group_id) {
                Some(group) if group.leader == node => {
                    group.leader = to;
                    group.term += 1;
                    ServerAnswer::Ok
                }
                Some(group) => ServerAnswer::NotLeader {
                    leader: Some(group.leader),
                },
                None => ServerAnswer::NoSuchGroup,
            },
            other => ServerAnswer::Failed(format!("not in this test: {other:?}")),
        };
        responder.send(encode(&answer));
    }
}
