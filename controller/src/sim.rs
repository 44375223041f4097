//! A cluster of values for the tests: meta's real catalog, and servers that do what they are asked
//! at once. Every call may be the last: the controller "dies" after a given number of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use coterie_meta::catalog::State;
use coterie_meta_client::{Liveness, MetaError};
use coterie_protocol::catalog::{Catalog, Lease};
use coterie_protocol::meta::{Command, Heartbeat, NodeLiveness, Outcome};
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, LogIndex, NodeId, RangeDescriptor, Replica, Role, Term, UnixMillis};

use crate::executor::{Executor, Stop};
use crate::planner::{Plan, Settings, plan};
use crate::ports::{Meta, Servers};
use crate::view::View;

/// A group as its members know it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimGroup {
    pub(crate) replicas: BTreeSet<NodeId>,
    pub(crate) voters: Vec<NodeId>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) term: u64,
    pub(crate) ranges: Vec<RangeDescriptor>,
    /// How often it was started with something else than before: must stay 0.
    pub(crate) conflicts: usize,
}

pub(crate) struct Inner {
    pub(crate) meta: State,
    pub(crate) groups: BTreeMap<GroupId, SimGroup>,
    /// Nodes that answer and send heartbeats.
    pub(crate) alive: BTreeSet<NodeId>,
    pub(crate) stopping: BTreeSet<NodeId>,
    pub(crate) now: UnixMillis,
    /// Calls after which nothing the controller does arrives any more.
    pub(crate) calls_left: usize,
    /// The highest number that a server was shown.
    pub(crate) fence_seen: u64,
}

/// See the module's head.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<Inner>>);

impl Sim {
    /// A cluster that was born, without nodes.
    pub(crate) fn new() -> Self {
        let mut meta = State::default();
        meta.apply(Command::Birth { cluster_id: 7 });
        Self(Arc::new(Mutex::new(Inner {
            meta,
            groups: BTreeMap::new(),
            alive: BTreeSet::new(),
            stopping: BTreeSet::new(),
            now: UnixMillis(1_000_000),
            calls_left: usize::MAX,
            fence_seen: 0,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn add_node(&self, zone: &str) -> NodeId {
        let mut inner = self.lock();
        let number = inner.meta.next.node;
        let outcome = inner.command(Command::RegisterNode {
            token: number.into(),
            addr: format!("node-{number}:1"),
            zone: zone.to_owned(),
            capacity_bytes: 0,
        });
        let Outcome::Registered { node_id, .. } = outcome else {
            panic!("{outcome:?}");
        };
        inner.alive.insert(node_id);
        node_id
    }

    /// The node's disk was wiped: it is dead for good, and another one has its address.
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

    /// A new controller: the lease's next number.
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

    /// Plans and acts until there is nothing left to do; the last plan.
    pub(crate) async fn settle(&self, fence: u64, settings: &Settings) -> Result<Plan, Stop> {
        let executor = Executor::new(Arc::new(self.clone()), Arc::new(self.clone()), fence);
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
            for job in jobs {
                executor.drive(job).await?;
            }
            let mut inner = self.lock();
            inner.now = inner.now.plus(60_000);
        }
        panic!("the plans do not come to an end");
    }

    /// How many groups each node leads.
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

impl Inner {
    fn command(&mut self, command: Command) -> Outcome {
        self.meta.apply(command).outcome
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
            last_index: LogIndex(5),
            applied_index: LogIndex(5),
            flushed_index: LogIndex(5),
            first_index: LogIndex(0),
            replicas: group
                .voters
                .iter()
                .map(|id| Replica {
                    node_id: *id,
                    role: Role::Voter,
                })
                .collect(),
            ranges: group.ranges.clone(),
            size_bytes: 0,
            reads_total: 0,
            writes_total: 0,
            fault: None,
            loads: vec![],
            importing: vec![],
            frozen: vec![],
            matched: vec![],
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
        }
    }

    fn serve(&mut self, node_id: NodeId, request: ServerRequest) -> ServerAnswer {
        match request {
            ServerRequest::CreateReplica { group_id, .. } => {
                let group = self.groups.entry(group_id).or_default();
                group.replicas.insert(node_id);
                ServerAnswer::Ok
            }
            ServerRequest::InitGroup {
                group_id,
                voters,
                ranges,
                ..
            } => {
                let alive = voters.iter().filter(|id| self.alive.contains(id)).count();
                let group = self.groups.entry(group_id).or_default();
                if !group.replicas.contains(&node_id) {
                    return ServerAnswer::NoSuchGroup;
                }
                if group.leader.is_some() {
                    let same = group.voters == voters && group.ranges == ranges;
                    group.conflicts += usize::from(!same);
                    return ServerAnswer::Ok;
                }
                if 2 * alive <= voters.len() {
                    return ServerAnswer::Failed("no quorum".to_owned());
                }
                group.voters = voters;
                group.ranges = ranges;
                group.leader = Some(node_id);
                group.term = 1;
                ServerAnswer::Ok
            }
            ServerRequest::TransferLeader { group_id, to, .. } => {
                let is_alive = self.alive.contains(&to);
                self.ask_leader(node_id, group_id, |group| {
                    if !is_alive {
                        return ServerAnswer::Failed("it does not take over".to_owned());
                    }
                    group.leader = Some(to);
                    group.term += 1;
                    ServerAnswer::Ok
                })
            }
            ServerRequest::ChangeReplicas {
                group_id, replicas, ..
            } => {
                let alive = self.alive.clone();
                let wanted = replicas.iter().map(|r| r.node_id).collect();
                self.ask_leader(node_id, group_id, |group| {
                    change_members(group, wanted, &alive)
                })
            }
            ServerRequest::AddRanges {
                group_id, ranges, ..
            } => self.ask_leader(node_id, group_id, |group| add_ranges(group, ranges)),
            ServerRequest::DropRanges {
                group_id, ranges, ..
            } => self.ask_leader(node_id, group_id, |group| {
                group
                    .ranges
                    .retain(|range| !ranges.contains(&range.range_id));
                ServerAnswer::Ok
            }),
            _ => ServerAnswer::Failed("not played".to_owned()),
        }
    }
}

impl Inner {
    fn ask_leader(
        &mut self,
        node_id: NodeId,
        group_id: GroupId,
        change: impl FnOnce(&mut SimGroup) -> ServerAnswer,
    ) -> ServerAnswer {
        match self.groups.get_mut(&group_id) {
            None => ServerAnswer::NoSuchGroup,
            Some(group) if group.leader != Some(node_id) => ServerAnswer::NotLeader {
                leader: group.leader,
            },
            Some(group) => change(group),
        }
    }
}

/// New members must hold a replica and be up, to catch up; both quorums must be there.
fn change_members(
    group: &mut SimGroup,
    wanted: Vec<NodeId>,
    alive: &BTreeSet<NodeId>,
) -> ServerAnswer {
    let ready = |id: &NodeId| {
        group.voters.contains(id) || group.replicas.contains(id) && alive.contains(id)
    };
    if !wanted.iter().all(ready) {
        return ServerAnswer::Failed("a new member does not catch up".to_owned());
    }
    let up = |ids: &[NodeId]| 2 * ids.iter().filter(|id| alive.contains(id)).count() > ids.len();
    if !up(&group.voters) || !up(&wanted) {
        return ServerAnswer::Failed("no quorum".to_owned());
    }
    group.voters = wanted;
    ServerAnswer::Ok
}

fn add_ranges(group: &mut SimGroup, ranges: Vec<RangeDescriptor>) -> ServerAnswer {
    let overlaps = |range: &RangeDescriptor| {
        let mut owned = group.ranges.iter();
        owned.any(|owned| owned != range && owned.bounds.overlaps(&range.bounds))
    };
    if ranges.iter().any(overlaps) {
        return ServerAnswer::Failed("a range overlaps".to_owned());
    }
    for range in ranges {
        if !group.ranges.contains(&range) {
            group.ranges.push(range);
        }
    }
    ServerAnswer::Ok
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

    async fn lease(&self) -> Result<Lease, MetaError> {
        Ok(self.lock().meta.catalog.lease)
    }
}

impl Servers for Sim {
    async fn ask(
        &self,
        node_id: NodeId,
        request: ServerRequest,
        _timeout: Duration,
    ) -> Result<ServerAnswer, String> {
        // A dead controller asks nobody; here its last call to meta fails it.
        if !self.arrives() {
            return Err("the controller is dead".to_owned());
        }
        let mut inner = self.lock();
        if !inner.alive.contains(&node_id) {
            return Err(format!("node {node_id} is unreachable"));
        }
        if inner.meta.catalog.nodes[&node_id].addr.is_empty() {
            return Err(format!("node {node_id} has no address"));
        }
        let fence = match &request {
            ServerRequest::CreateReplica { fence, .. }
            | ServerRequest::InitGroup { fence, .. }
            | ServerRequest::TransferLeader { fence, .. }
            | ServerRequest::ChangeReplicas { fence, .. }
            | ServerRequest::AddRanges { fence, .. }
            | ServerRequest::DropRanges { fence, .. }
            | ServerRequest::DestroyReplica { fence, .. } => *fence,
            _ => 0,
        };
        if fence < inner.fence_seen {
            let seen = inner.fence_seen;
            return Ok(ServerAnswer::Fenced { seen });
        }
        inner.fence_seen = fence;
        Ok(inner.serve(node_id, request))
    }
}
