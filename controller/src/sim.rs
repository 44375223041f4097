//! A cluster of values for the tests: meta's real catalog, and servers that carry each request out
//! at once. The controller "dies" after a given number of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use coterie_meta::catalog::MetaState;
use coterie_meta_client::{Liveness, MetaError};
use coterie_protocol::catalog::{Catalog, JobDescriptor, Lease, Wish};
use coterie_protocol::meta::{Command, ControllerOp, Heartbeat, NodeLiveness, Outcome};
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest, Unfit};
use coterie_types::{GroupId, JobId, LogIndex, NodeId, Revision, TableId, Term, UnixMillis};
use tokio::task::JoinSet;

use crate::executor::{Executor, Stop};
use crate::job::{Step, begin};
use crate::planner::{Plan, Settings, plan};
use crate::ports::{Meta, Servers};
use crate::view::View;

mod group;
mod server;

pub(crate) use group::SimGroup;

pub(crate) struct SimState {
    pub(crate) meta: MetaState,
    pub(crate) groups: BTreeMap<GroupId, SimGroup>,
    /// Nodes that answer and send heartbeats.
    pub(crate) alive: BTreeSet<NodeId>,
    pub(crate) stopping: BTreeSet<NodeId>,
    /// The reports of their replicas.
    pub(crate) unfit: BTreeMap<NodeId, Unfit>,
    pub(crate) now: UnixMillis,
    /// Calls after which nothing from the controller arrives.
    pub(crate) calls_left: usize,
    /// The highest fencing number that a server has seen.
    pub(crate) fence_seen: u64,
    /// Sources do not tell destinations of a hand-off.
    pub(crate) sources_are_silent: bool,
    /// The owners of each key are not checked after each call.
    pub(crate) is_unwatched: bool,
    /// Nodes whose records differ from the others'.
    pub(crate) damaged: BTreeSet<NodeId>,
    /// Nodes that create no replica.
    pub(crate) barren: BTreeSet<NodeId>,
    /// Nodes whose replicas do not catch up, and their last entry.
    pub(crate) behind: BTreeMap<NodeId, u64>,
    /// No server finds the middle of a range in time.
    pub(crate) is_middle_late: bool,
    /// Replicas that have stopped.
    pub(crate) faults: BTreeSet<(NodeId, GroupId)>,
}

/// See the module's head.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<SimState>>);

impl Sim {
    /// A born cluster without nodes.
    pub(crate) fn new() -> Self {
        let mut meta = MetaState::default();
        meta.apply(Command::Birth { cluster_id: 7 });
        Self(Arc::new(Mutex::new(SimState {
            meta,
            groups: BTreeMap::new(),
            alive: BTreeSet::new(),
            stopping: BTreeSet::new(),
            unfit: BTreeMap::new(),
            now: UnixMillis(1_000_000),
            calls_left: usize::MAX,
            fence_seen: 0,
            sources_are_silent: false,
            is_unwatched: false,
            damaged: BTreeSet::new(),
            barren: BTreeSet::new(),
            behind: BTreeMap::new(),
            is_middle_late: false,
            faults: BTreeSet::new(),
        })))
    }

    /// A cluster whose nodes are in these zones.
    pub(crate) fn with_nodes(zones: &[&str]) -> Self {
        let sim = Self::new();
        for zone in zones {
            sim.add_node(zone);
        }
        sim
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SimState> {
        self.0.lock().unwrap()
    }

    pub(crate) fn add_node(&self, zone: &str) -> NodeId {
        let mut inner = self.lock();
        let number = inner.meta.next.node;
        let outcome = inner.command(Command::RegisterNode {
            token: number.into(),
            addr: format!("node-{number}:1"),
            zone: zone.to_owned(),
            host: String::new(),
            capacity_bytes: 0,
        });
        let Outcome::Registered { node_id, .. } = outcome else {
            panic!("{outcome:?}");
        };
        inner.alive.insert(node_id);
        node_id
    }

    /// These nodes are gone, with the leaders of groups that have lost their majority.
    pub(crate) fn lose(&self, nodes: &[NodeId]) {
        let mut inner = self.lock();
        let SimState { alive, groups, .. } = &mut *inner;
        alive.retain(|id| !nodes.contains(id));
        for group in groups.values_mut() {
            let left = || group.voters.iter().filter(|id| alive.contains(id));
            if 2 * left().count() <= group.voters.len() {
                group.leader = None;
            } else if !group.leader.is_some_and(|leader| alive.contains(&leader)) {
                group.leader = left().next().copied();
                group.term += 1;
            }
        }
    }

    /// The node's disk was wiped: it is dead for good, and a new node has its address.
    pub(crate) fn wipe(&self, node_id: NodeId) -> NodeId {
        let mut inner = self.lock();
        inner.alive.remove(&node_id);
        let voters = |group: &SimGroup| group.voters.clone();
        let alive = inner.alive.clone();
        for group in inner.groups.values_mut() {
            group.replicas.remove(&node_id);
            if group.leader == Some(node_id) {
                group.leader = voters(group).into_iter().find(|id| alive.contains(id));
                group.term += 1;
            }
        }
        let node = inner.meta.catalog.nodes[&node_id].clone();
        let token = u128::from(inner.meta.next.node);
        let outcome = inner.command(Command::RegisterNode {
            token,
            addr: node.addr,
            zone: node.zone,
            host: node.host,
            capacity_bytes: 0,
        });
        let Outcome::Registered { node_id, .. } = outcome else {
            panic!("{outcome:?}");
        };
        inner.alive.insert(node_id);
        node_id
    }

    pub(crate) fn command(&self, command: Command) -> Outcome {
        self.lock().command(command)
    }

    /// A new controller. Returns the lease's next number.
    pub(crate) fn take_over(&self, holder: u64) -> u64 {
        let mut inner = self.lock();
        inner.now = inner.now.plus(100_000);
        inner.calls_left = usize::MAX;
        let now = inner.now;
        match inner.command(Command::AcquireLease {
            holder,
            ttl_ms: 1000,
            now,
        }) {
            Outcome::Leased { fence } => fence,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn view(&self) -> View {
        let inner = self.lock();
        let nodes = inner.alive.iter().map(|node_id| NodeLiveness {
            heartbeat: inner.heartbeat(*node_id),
            age_ms: 10,
        });
        let liveness = Liveness {
            nodes: nodes.collect(),
            leader_for: Duration::from_secs(60),
        };
        View::new(Arc::new(inner.meta.catalog.clone()), liveness, inner.now)
    }

    /// The executor of the controller that holds the lease with this number.
    pub(crate) fn executor(&self, fence: u64, settings: &Settings) -> Executor<Self, Self> {
        let (meta, servers) = (Arc::new(self.clone()), Arc::new(self.clone()));
        Executor::new(meta, servers, settings.clone(), fence)
    }

    /// An operator's wish.
    pub(crate) fn ask_for(&self, wish: Wish) -> JobId {
        let mut inner = self.lock();
        let now = inner.now;
        match inner.command(Command::Ask { wish, now }) {
            Outcome::Job(job_id) => job_id,
            other => panic!("{other:?}"),
        }
    }

    /// Begins a job as the planner would.
    pub(crate) fn begin_job(&self, step: &Step) -> JobId {
        let mut inner = self.lock();
        let (fence, now) = (inner.meta.catalog.lease.fence, inner.now);
        let job_id = JobId(inner.meta.next.job);
        let ids = ControllerOp::AllocateIds {
            groups: 0,
            ranges: 1,
            jobs: 1,
        };
        let job = ControllerOp::PutJob(begin(
            job_id,
            "test",
            step,
            vec!["for a test".to_owned()],
            now,
        ));
        let ops = vec![ids, job];
        let outcome = inner.command(Command::Controller { fence, ops });
        assert!(matches!(outcome, Outcome::Ids { .. }), "{outcome:?}");
        job_id
    }

    pub(crate) fn job(&self, job_id: JobId) -> JobDescriptor {
        self.lock().meta.catalog.jobs[&job_id].clone()
    }

    /// Plans and acts until there is nothing left to do. Returns the last plan.
    pub(crate) async fn settle(&self, fence: u64, settings: &Settings) -> Result<Plan, Stop> {
        let executor = self.executor(fence, settings);
        for _ in 0..200 {
            let planned = plan(&self.view(), settings);
            let idle = planned.actions.is_empty();
            for action in planned.actions.clone() {
                let now = self.lock().now;
                executor.apply(action, now).await?;
            }
            let view = self.view();
            let jobs: Vec<_> = view.running_jobs().map(|(job, _)| job.clone()).collect();
            if idle && jobs.is_empty() {
                return Ok(planned);
            }
            let mut driven = JoinSet::new();
            for job in jobs {
                let executor = executor.clone();
                driven.spawn(async move { executor.drive(job).await });
            }
            while let Some(ended) = driven.join_next().await {
                ended.unwrap()?;
            }
            let mut inner = self.lock();
            inner.now = inner.now.plus(60_000);
        }
        panic!("the plans do not come to an end");
    }

    /// The number of groups that each node leads.
    pub(crate) fn leaders(&self) -> BTreeMap<NodeId, usize> {
        let inner = self.lock();
        let mut counts: BTreeMap<NodeId, usize> = inner.alive.iter().map(|id| (*id, 0)).collect();
        for group in inner.groups.values() {
            if let Some(leader) = group.leader {
                *counts.entry(leader).or_default() += 1;
            }
        }
        counts
    }

    fn arrives(&self) -> bool {
        let mut inner = self.lock();
        let arrives = inner.calls_left > 0;
        inner.calls_left = inner.calls_left.saturating_sub(1);
        arrives
    }
}

impl SimState {
    fn command(&mut self, command: Command) -> Outcome {
        self.meta.apply(command).outcome
    }

    fn last_index(&self, node_id: NodeId, group: &SimGroup) -> LogIndex {
        let is_made = !group.members().is_empty();
        let last = if is_made { 5 } else { 0 };
        LogIndex(self.behind.get(&node_id).copied().unwrap_or(last))
    }

    fn heartbeat(&self, node_id: NodeId) -> Heartbeat {
        let held = self
            .groups
            .iter()
            .filter(|(_, group)| group.replicas.contains(&node_id));
        let replicas = held.map(|(group_id, group)| ReplicaStatus {
            group_id: *group_id,
            term: Term(group.term),
            leader: group.leader,
            serving: group.leader == Some(node_id),
            last_index: self.last_index(node_id, group),
            last_term: Term(1),
            applied_index: self.last_index(node_id, group),
            flushed_index: LogIndex(5),
            replicas: group.members(),
            ranges: group.ranges.clone(),
            fault: self
                .faults
                .contains(&(node_id, *group_id))
                .then(|| "a checksum".to_owned()),
            importing: group.importing(),
            frozen: group.frozen.iter().map(|f| f.range.clone()).collect(),
            unfit: self.unfit.get(&node_id).copied(),
            ..ReplicaStatus::default()
        });
        Heartbeat {
            node_id,
            addr: format!("node-{node_id}:1"),
            disk_used_bytes: 0,
            disk_free_bytes: 0,
            replicas: replicas.collect(),
            stopping: self.stopping.contains(&node_id),
            log_write_micros: 0,
            apply_micros: 0,
            answer_micros: vec![],
        }
    }
}

impl SimState {
    /// Each key of an existing table is served by one group, or by none during a hand-off that both
    /// groups know.
    fn check_owners(&self) {
        let catalog = &self.meta.catalog;
        let tables = catalog.tables.keys().copied();
        for table in tables.filter(|table| catalog.ranges_of(*table).next().is_some()) {
            for key in [b"".as_slice(), b"a", b"g", b"m", b"s", b"z"] {
                self.check_owner(table, key);
            }
        }
    }

    fn check_owner(&self, table: TableId, key: &[u8]) {
        let groups = self.groups.values();
        let serving = groups.filter(|group| group.owns(table, key)).count();
        let mut frozen = self.groups.values().flat_map(|group| &group.frozen);
        let is_on_its_way = frozen.any(|frozen| {
            let range = &frozen.range;
            let to = &self.groups[&range.group_id];
            range.bounds.contains(table, key) && to.imports.contains_key(&range.range_id)
        });
        let at = key.escape_ascii();
        assert!(
            serving == 1 || serving == 0 && is_on_its_way,
            "{serving} groups serve \"{at}\" of table {table}"
        );
        assert!(
            self.meta.catalog.locate(table, key).is_some(),
            "\"{at}\" of table {table}"
        );
    }
}

impl Meta for Sim {
    async fn propose(&self, command: Command) -> Result<Outcome, MetaError> {
        if self.arrives() {
            Ok(self.lock().command(command))
        } else {
            Err(MetaError::Unknown)
        }
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::new(self.lock().meta.catalog.clone())
    }

    async fn reached(&self, _revision: Revision) -> Result<(), MetaError> {
        Ok(())
    }

    async fn view(&self) -> Result<View, MetaError> {
        Ok(Self::view(self))
    }

    async fn lease(&self) -> Result<Lease, MetaError> {
        Ok(self.lock().meta.catalog.lease)
    }
}

impl Servers for Sim {
    async fn ask(
        &self,
        node_id: NodeId,
        request: ServerRequest,
        timeout: Duration,
    ) -> Result<ServerAnswer, String> {
        // A dead controller asks no server; here its last call to meta fails it.
        if !self.arrives() {
            return Err("the controller is dead".to_owned());
        }
        let is_late = matches!(request, ServerRequest::SplitPoint { .. });
        if is_late && self.lock().is_middle_late {
            tokio::time::sleep(timeout).await;
            return Err("timed out".to_owned());
        }
        let mut inner = self.lock();
        if !inner.alive.contains(&node_id) {
            return Err(format!("node {node_id} is unreachable"));
        }
        if inner.meta.catalog.nodes[&node_id].addr.is_empty() {
            return Err(format!("node {node_id} has no address"));
        }
        if let Some(fence) = request.fence() {
            if fence < inner.fence_seen {
                let seen = inner.fence_seen;
                return Ok(ServerAnswer::Fenced { seen });
            }
            inner.fence_seen = fence;
        }
        let answer = inner.serve(node_id, request);
        if !inner.is_unwatched {
            inner.check_owners();
        }
        Ok(answer)
    }
}
