//! A few Raft nodes in one process, connected by an RPC client that a test can cut.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test fails by panicking; not every test uses all"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::method;
use coterie_raft::{AddressBook, Entry, Fault, Group, RaftConfig, RaftNode, StateMachine};
use coterie_rpc::{Client, Handler, Request, Responder, Token};
use coterie_types::{GroupId, NodeId};

pub const GROUP: GroupId = GroupId(7);

/// A list of every applied entry; durable at `flush` only, like a memtable.
#[derive(Default)]
pub struct Journal {
    pub seen: Arc<Mutex<Vec<Bytes>>>,
    applied: Option<Bytes>,
    disk: Arc<Mutex<(Vec<Bytes>, Option<Bytes>)>>,
}

impl Journal {
    /// The journal as a restart finds it: the flushed entries.
    pub fn open(disk: &Arc<Mutex<(Vec<Bytes>, Option<Bytes>)>>) -> Self {
        let (seen, applied) = disk.lock().unwrap().clone();
        Self {
            seen: Arc::new(Mutex::new(seen)),
            applied,
            disk: Arc::clone(disk),
        }
    }
}

impl StateMachine for Journal {
    fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Bytes>, Fault> {
        let mut seen = self.seen.lock().unwrap();
        self.applied = entries.last().map(|entry| entry.applied.clone());
        let answer = |entry: Entry| match entry.payload {
            Some(payload) => {
                seen.push(payload);
                Bytes::from(seen.len().to_string())
            }
            None => Bytes::new(),
        };
        Ok(entries.into_iter().map(answer).collect())
    }

    fn applied(&self) -> Option<Bytes> {
        self.applied.clone()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        *self.disk.lock().unwrap() = (self.seen.lock().unwrap().clone(), self.applied.clone());
        Ok(())
    }

    fn durable(&self) -> Result<Option<Bytes>, Fault> {
        Ok(self.disk.lock().unwrap().1.clone())
    }

    fn checkpoint(&mut self, dir: &Path) -> Result<(), Fault> {
        std::fs::create_dir(dir.join("data"))?;
        for (number, payload) in self.seen.lock().unwrap().iter().enumerate() {
            std::fs::write(dir.join(format!("data/{number:06}")), payload)?;
        }
        std::fs::write(
            dir.join("applied"),
            self.applied.clone().unwrap_or_default(),
        )?;
        Ok(())
    }

    fn install(&mut self, dir: &Path) -> Result<(), Fault> {
        let mut names: Vec<_> = std::fs::read_dir(dir.join("data"))?
            .map(|e| e.unwrap().path())
            .collect();
        names.sort();
        let payloads = names
            .iter()
            .map(|name| Bytes::from(std::fs::read(name).unwrap()));
        *self.seen.lock().unwrap() = payloads.collect();
        self.applied = Some(Bytes::from(std::fs::read(dir.join("applied"))?));
        self.flush()?;
        Ok(())
    }
}

/// Broken links: requests from the first node of a pair to the second do not arrive.
#[derive(Default)]
pub struct Cuts {
    links: Mutex<Vec<(u64, u64)>>,
    /// Requests from the first node to the second arrive and are never answered.
    hung: Mutex<Vec<(u64, u64)>>,
    /// The same for a single method, and the requests that were held back.
    hung_methods: Mutex<Vec<(u64, u64, u16)>>,
    undelivered: Mutex<Vec<(u64, Request, Responder)>>,
    unanswered: Mutex<Vec<Responder>>,
    /// Requests for a vote or a pre-vote that did arrive, by (sender, receiver).
    asked: Mutex<BTreeMap<(u64, u64), u64>>,
    /// Delay of every request.
    delay: Mutex<Duration>,
    /// Appends that did arrive, heartbeats among them, by (sender, receiver).
    appended: Mutex<BTreeMap<(u64, u64), u64>>,
}

impl Cuts {
    /// Cuts the link in both directions.
    pub fn cut(&self, a: u64, b: u64) {
        self.cut_requests(a, b);
        self.cut_requests(b, a);
    }

    /// Requests from `from` to `to` are lost.
    pub fn cut_requests(&self, from: u64, to: u64) {
        self.links.lock().unwrap().push((from, to));
    }

    /// Requests from `from` to `to` arrive, and are not answered.
    pub fn hang(&self, from: u64, to: u64) {
        self.hung.lock().unwrap().push((from, to));
    }

    /// Holds back requests of this method from `from` to `to`.
    pub fn hang_method(&self, from: u64, to: u64, method: u16) {
        self.hung_methods.lock().unwrap().push((from, to, method));
    }

    /// Delivers, late, the requests that [`Cuts::hang_method`] held back.
    pub fn deliver_hung(&self, cluster: &Cluster) {
        self.hung_methods.lock().unwrap().clear();
        for (to, request, responder) in self.undelivered.lock().unwrap().drain(..) {
            cluster.nodes[&to].0.handle(request, responder);
        }
    }

    pub fn heal(&self) {
        self.links.lock().unwrap().clear();
        self.hung.lock().unwrap().clear();
        self.unanswered.lock().unwrap().clear();
    }

    /// From now on every request takes this long to arrive.
    pub fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// How many appends and heartbeats of `from` have arrived at `to`.
    pub fn appended(&self, from: u64, to: u64) -> u64 {
        let appended = self.appended.lock().unwrap();
        appended.get(&(from, to)).copied().unwrap_or(0)
    }

    /// How often `from` has asked `to` for its vote.
    pub fn votes_asked(&self, from: u64, to: u64) -> u64 {
        let asked = self.asked.lock().unwrap();
        asked.get(&(from, to)).copied().unwrap_or(0)
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.links.lock().unwrap().contains(&(from, to))
    }
}

/// Every link has its own address, so that it can be cut at the receiver.
struct Book(u64, Arc<Mutex<Vec<(u64, u64)>>>);

impl AddressBook for Book {
    fn address(&self, node: NodeId) -> Option<String> {
        Some(format!("link-{}-{}", self.0, node))
    }

    fn is_removed(&self, node: NodeId) -> bool {
        self.1.lock().unwrap().contains(&(self.0, node.0))
    }
}

#[derive(Clone)]
struct Link {
    from: u64,
    to: u64,
    cuts: Arc<Cuts>,
    node: Arc<RaftNode>,
}

impl Handler for Link {
    fn handle(&self, request: Request, responder: Responder) {
        if self.cuts.is_cut(self.from, self.to) {
            return responder.fail("cut");
        }
        let hangs = self
            .cuts
            .hung
            .lock()
            .unwrap()
            .contains(&(self.from, self.to));
        if hangs {
            return self.cuts.unanswered.lock().unwrap().push(responder);
        }
        let of_method = (self.from, self.to, request.method);
        if self.cuts.hung_methods.lock().unwrap().contains(&of_method) {
            let mut undelivered = self.cuts.undelivered.lock().unwrap();
            return undelivered.push((self.to, request, responder));
        }
        if [method::RAFT_VOTE, method::RAFT_PRE_VOTE].contains(&request.method) {
            let mut asked = self.cuts.asked.lock().unwrap();
            *asked.entry((self.from, self.to)).or_default() += 1;
        }
        let delay = *self.cuts.delay.lock().unwrap();
        if delay.is_zero() {
            return self.arrived(request, responder);
        }
        let link = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            link.arrived(request, responder);
        });
    }
}

impl Link {
    fn arrived(&self, request: Request, responder: Responder) {
        if request.method == method::RAFT_APPEND {
            let mut appended = self.cuts.appended.lock().unwrap();
            *appended.entry((self.from, self.to)).or_default() += 1;
        }
        self.node.handle(request, responder);
    }
}

/// A node, its replica, and the entries that the replica has applied.
pub type Running = (Arc<RaftNode>, Group, Arc<Mutex<Vec<Bytes>>>);

type Disk = Arc<Mutex<(Vec<Bytes>, Option<Bytes>)>>;

pub struct Cluster {
    pub dir: tempfile::TempDir,
    pub rpc: Client,
    pub cuts: Arc<Cuts>,
    pub config: RaftConfig,
    pub nodes: BTreeMap<u64, Running>,
    pub disks: BTreeMap<u64, Disk>,
    /// Pairs: according to the address book of the first node, the second was removed.
    pub removed: Arc<Mutex<Vec<(u64, u64)>>>,
    peers: u64,
}

impl Cluster {
    pub async fn start(peers: u64, config: RaftConfig) -> Self {
        let mut cluster = Self {
            dir: tempfile::tempdir().unwrap(),
            rpc: Client::new(Token::new("test")),
            cuts: Arc::default(),
            config,
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            removed: Arc::default(),
            peers,
        };
        for id in 1..=peers {
            cluster.start_node(id).await;
        }
        let voters = (1..=peers).map(NodeId).collect();
        cluster.group(1).initialize(voters).await.unwrap();
        cluster
    }

    pub fn group(&self, id: u64) -> Group {
        self.nodes[&id].1.clone()
    }

    pub fn seen(&self, id: u64) -> Vec<Bytes> {
        self.nodes[&id].2.lock().unwrap().clone()
    }

    /// Starts a node from its directory and its state machine's disk.
    pub async fn start_node(&mut self, id: u64) {
        let (node, journal) = self.open_node(id).await;
        let seen = Arc::clone(&journal.seen);
        let group = node.start_group(GROUP, Box::new(journal)).await.unwrap();
        self.nodes.insert(id, (node, group, seen));
    }

    /// Like [`Cluster::start_node`], for a node that may have lost its disk.
    pub async fn start_node_if_known(&mut self, id: u64) {
        let (node, journal) = self.open_node(id).await;
        let seen = Arc::clone(&journal.seen);
        let group = node.start_group_if_known(GROUP, Box::new(journal)).await;
        self.nodes.insert(id, (node, group.unwrap(), seen));
    }

    /// Deletes everything a stopped node has on disk.
    pub fn wipe(&mut self, id: u64) {
        std::fs::remove_dir_all(self.dir.path().join(id.to_string())).unwrap();
        self.disks.remove(&id);
    }

    async fn open_node(&mut self, id: u64) -> (Arc<RaftNode>, Journal) {
        let dir = self.dir.path().join(id.to_string());
        let book = Arc::new(Book(id, Arc::clone(&self.removed)));
        let node = RaftNode::open(
            &dir,
            NodeId(id),
            self.config.clone(),
            self.rpc.clone(),
            book,
            vec![GROUP],
        )
        .await;
        let node = node.unwrap();
        let journal = Journal::open(self.disks.entry(id).or_default());
        for from in 1..=self.peers + 1 {
            let cuts = Arc::clone(&self.cuts);
            let link = Link {
                from,
                to: id,
                cuts,
                node: Arc::clone(&node),
            };
            self.rpc
                .register_local(&format!("link-{from}-{id}"), Arc::new(link));
        }
        (node, journal)
    }

    /// Stops a node; entries that its state machine had not flushed are lost.
    pub async fn stop_node(&mut self, id: u64) {
        let (node, _, _) = self.nodes.remove(&id).unwrap();
        for from in 1..=self.peers + 1 {
            self.rpc.unregister_local(&format!("link-{from}-{id}"));
        }
        node.shutdown().await;
    }

    /// Stops a node's replica and starts it again within the process.
    pub async fn restart_group(&mut self, id: u64) {
        let (node, _, _) = self.nodes.remove(&id).unwrap();
        node.stop_group(GROUP).await.unwrap();
        let journal = Journal::open(self.disks.entry(id).or_default());
        let seen = Arc::clone(&journal.seen);
        let group = node.start_group(GROUP, Box::new(journal)).await.unwrap();
        self.nodes.insert(id, (node, group, seen));
    }

    /// Destroys a node's replica and makes an empty replica in its place.
    pub async fn make_again(&mut self, id: u64) {
        let (node, _, _) = self.nodes.remove(&id).unwrap();
        node.destroy_group(GROUP).await.unwrap();
        self.disks.remove(&id);
        let journal = Journal::open(self.disks.entry(id).or_default());
        let seen = Arc::clone(&journal.seen);
        let group = node.start_group(GROUP, Box::new(journal)).await.unwrap();
        self.nodes.insert(id, (node, group, seen));
    }

    /// Makes a node's replica the only voter of the group.
    pub async fn recover_alone(&mut self, id: u64) {
        let (node, _, _) = self.nodes.remove(&id).unwrap();
        node.stop_group(GROUP).await.unwrap();
        node.recover_alone(GROUP).await.unwrap();
        let journal = Journal::open(self.disks.entry(id).or_default());
        let seen = Arc::clone(&journal.seen);
        let group = node.start_group(GROUP, Box::new(journal)).await.unwrap();
        self.nodes.insert(id, (node, group, seen));
    }

    /// The leader among the running nodes that are not cut off, once it has committed a proposal.
    pub async fn leader(&self) -> u64 {
        eventually("a leader that commits", async || {
            for (id, (_, group, _)) in &self.nodes {
                if group.status().is_leader && group.read_barrier().await.is_ok() {
                    return Some(*id);
                }
            }
            None
        })
        .await
    }
}

/// Polls `ask` until it returns an answer; the test fails after a minute.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
