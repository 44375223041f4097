//! A cluster of values for the planner alone: nodes, groups and ranges with sizes and loads, and
//! jobs that end some ticks after their begin. The rules of plans are checked when a plan is
//! carried out. The same seed gives the same world.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each of its users needs another part of it")]

mod jobs;
pub(crate) mod plans;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_controller::job::Step;
use coterie_controller::planner::{Memory, Plan, Settings, plan_on};
use coterie_controller::view::View;
use coterie_meta_client::Liveness;
use coterie_protocol::catalog::{Catalog, Change, JobState, Row, RowKey, TableDescriptor};
use coterie_protocol::meta::{Heartbeat, NodeLiveness};
use coterie_protocol::server::{RangeLoad, ReplicaStatus, SplitPoint};
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, JobId, KeyRange, LogIndex, NodeDescriptor, NodeId, NodeState,
    RangeDescriptor, RangeId, Replica, Revision, Role, TableId, Term, UnixMillis,
};

/// The cost of a range.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Bytes.
    pub(crate) size: u64,
    /// Commands per second.
    pub(crate) ops: u64,
}

/// Changes a heartbeat, by the tick.
pub(crate) type Tweak = Box<dyn Fn(u64, &mut Heartbeat)>;

/// See the module's head.
pub(crate) struct World {
    /// Meta's catalog.
    pub(crate) catalog: Catalog,
    /// The planner's settings.
    pub(crate) settings: Settings,
    /// The planner's memory.
    pub(crate) memory: Memory,
    /// The cost of each range.
    pub(crate) costs: BTreeMap<RangeId, Cost>,
    /// The leader of each group.
    pub(crate) leaders: BTreeMap<GroupId, NodeId>,
    /// Silent nodes.
    pub(crate) silent: BTreeSet<NodeId>,
    /// The microseconds of a write of the log, for nodes where they are not ordinary.
    pub(crate) log_write_micros: BTreeMap<NodeId, u64>,
    /// Changes a node's heartbeats, by the tick.
    pub(crate) tweak: Option<Tweak>,
    /// How long ago meta's leader began to listen.
    pub(crate) listening_for: Duration,
    /// The latency of commands; 0 is unknown, and no job is judged by it.
    pub(crate) latency_micros: u64,
    /// Loads vary by this many thousandths from tick to tick.
    pub(crate) noise_permille: u64,
    /// The least and the most ticks until a job ends. Each tick is a second.
    pub(crate) job_ticks: (u64, u64),
    /// Seconds since the beginning.
    pub(crate) ticks: u64,
    /// Each begun move: the tick, and the range.
    pub(crate) moves: Vec<(u64, RangeId)>,
    next: u64,
    chance: u64,
    due: BTreeMap<JobId, u64>,
}

impl World {
    /// A cluster of nodes in three zones, groups of three replicas, and ranges dealt in key order,
    /// a block to each group.
    pub(crate) fn new(nodes: u64, groups: u64, ranges: u64, seed: u64) -> Self {
        let mut world = Self {
            catalog: Catalog::default(),
            settings: Settings {
                groups: usize::try_from(groups).unwrap(),
                ..Settings::default()
            },
            memory: Memory::default(),
            costs: BTreeMap::new(),
            leaders: BTreeMap::new(),
            silent: BTreeSet::new(),
            log_write_micros: BTreeMap::new(),
            tweak: None,
            listening_for: Duration::from_secs(3600),
            latency_micros: 0,
            noise_permille: 0,
            job_ticks: (2, 2),
            ticks: 0,
            moves: Vec::new(),
            next: 1_000_000,
            chance: seed | 1,
            due: BTreeMap::new(),
        };
        let mut rows = vec![Row::Table(TableDescriptor {
            table_id: TableId(0),
            name: "db0".into(),
            split_at: vec![],
        })];
        for node in 1..=nodes {
            rows.push(node_row(node, NodeState::Up));
        }
        for group in 1..=groups {
            let members: BTreeSet<NodeId> = (0..3)
                .map(|turn| NodeId((group + turn) % nodes + 1))
                .collect();
            world
                .leaders
                .insert(GroupId(group), NodeId((group % nodes) + 1));
            rows.push(group_row(GroupId(group), members));
        }
        for range in 0..ranges {
            let start = match range {
                0 => Bytes::new(),
                _ => key(range),
            };
            rows.push(Row::Range(RangeDescriptor {
                range_id: RangeId(range + 1),
                epoch: Epoch(1),
                bounds: KeyRange {
                    table: TableId(0),
                    start,
                    end: (range + 1 < ranges).then(|| key(range + 1)),
                },
                group_id: GroupId(range * groups / ranges + 1),
            }));
        }
        world.write(rows, vec![]);
        world
    }

    /// A number below `bound`.
    pub(crate) fn chance(&mut self, bound: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % bound.max(1)
    }

    /// Adds a node that is up.
    pub(crate) fn add_node(&mut self) -> NodeId {
        let number = self.catalog.nodes.len() as u64 + 1;
        self.write(vec![node_row(number, NodeState::Up)], vec![]);
        NodeId(number)
    }

    /// No node names its zone.
    pub(crate) fn forget_zones(&mut self) {
        for node in self.catalog.nodes.values_mut() {
            node.zone.clear();
        }
    }

    /// The hosts of the nodes, in order.
    pub(crate) fn set_hosts(&mut self, hosts: &[&str]) {
        for (node, host) in self.catalog.nodes.values_mut().zip(hosts) {
            (*host).clone_into(&mut node.host);
        }
    }

    /// The host of a node.
    pub(crate) fn host(&self, node_id: NodeId) -> &str {
        &self.catalog.nodes[&node_id].host
    }

    /// Nodes, or named hosts, that lead at least a tenth of the load.
    pub(crate) fn busy_hosts(&self) -> BTreeSet<String> {
        let total: u64 = self.costs.values().map(|cost| cost.ops).sum();
        let sums = self.sums(|cost| cost.ops).into_iter();
        let busy = sums.filter(|(_, ops)| ops * 10 >= total);
        busy.map(|(group_id, _)| {
            let node_id = self.leaders[&group_id];
            match self.host(node_id) {
                "" => node_id.to_string(),
                host => host.to_owned(),
            }
        })
        .collect()
    }

    /// Writes a node's state.
    pub(crate) fn set_state(&mut self, node_id: NodeId, state: NodeState) {
        let node = self.catalog.nodes[&node_id].clone();
        self.write(vec![Row::Node(NodeDescriptor { state, ..node })], vec![]);
    }

    /// Writes rows, as meta would.
    pub(crate) fn write(&mut self, upserts: Vec<Row>, deletes: Vec<RowKey>) {
        let change = Change {
            revision: Revision(self.catalog.revision.0 + 1),
            deletes,
            upserts,
        };
        self.catalog.apply(&change);
    }

    /// The planner's view.
    pub(crate) fn view(&self) -> View {
        let mut replicas: BTreeMap<NodeId, Vec<ReplicaStatus>> = BTreeMap::new();
        let mut owned: BTreeMap<GroupId, Vec<RangeDescriptor>> = BTreeMap::new();
        for range in self.catalog.ranges.values() {
            owned.entry(range.group_id).or_default().push(range.clone());
        }
        for group in self.catalog.groups.values() {
            let ranges = owned.remove(&group.group_id).unwrap_or_default();
            let size_bytes = ranges.iter().map(|r| self.costs[&r.range_id].size).sum();
            let leader = self.leaders.get(&group.group_id).copied();
            for replica in &group.replicas {
                let serving = leader == Some(replica.node_id);
                let loads = ranges.iter().filter(|_| serving).map(|r| self.load(r));
                let status = ReplicaStatus {
                    size_bytes,
                    serving,
                    loads: loads.collect(),
                    ranges: if serving { ranges.clone() } else { vec![] },
                    leader,
                    replicas: group.replicas.clone(),
                    ..status(group.group_id)
                };
                replicas.entry(replica.node_id).or_default().push(status);
            }
        }
        let nodes = self.catalog.nodes.values();
        let nodes = nodes.filter(|node| {
            node.state != NodeState::Removed && !self.silent.contains(&node.node_id)
        });
        let nodes = nodes.map(|node| NodeLiveness {
            heartbeat: Heartbeat {
                node_id: node.node_id,
                addr: node.addr.clone(),
                disk_used_bytes: 0,
                disk_free_bytes: 0,
                replicas: replicas.remove(&node.node_id).unwrap_or_default(),
                stopping: false,
                log_write_micros: self.log_write_micros.get(&node.node_id).map_or(900, |m| *m),
                apply_micros: 20,
                answer_micros: vec![],
            },
            age_ms: 10,
        });
        let mut nodes: Vec<NodeLiveness> = nodes.collect();
        if let Some(tweak) = &self.tweak {
            for node in &mut nodes {
                tweak(self.ticks, &mut node.heartbeat);
            }
        }
        let liveness = Liveness {
            nodes,
            leader_for: self.listening_for,
        };
        let now = UnixMillis(1_000_000_000 + self.ticks * 1000);
        View::new(Arc::new(self.catalog.clone()), liveness, now)
    }

    fn load(&self, range: &RangeDescriptor) -> RangeLoad {
        let Cost { size, ops } = self.costs[&range.range_id];
        let hash = (range.range_id.0 ^ self.ticks << 20).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let vary = hash % (2 * self.noise_permille + 1);
        let ops = ops * (1000 + vary - self.noise_permille.min(1000)) / 1000;
        RangeLoad {
            range_id: range.range_id,
            size_bytes: size,
            reads_per_second: ops / 2,
            writes_per_second: ops - ops / 2,
            bytes_per_second: ops * 100,
            cpu_micros_per_second: ops * 10,
            latency_micros: self.latency_micros,
            split_point: Some(SplitPoint {
                at: middle(range),
                left_permille: 500,
            }),
            hot_key: None,
        }
    }

    /// A second passes: due jobs end, then the planner plans, and the plan's jobs begin.
    pub(crate) fn tick(&mut self) -> Plan {
        self.ticks += 1;
        let due = self.due.iter().filter(|(_, tick)| **tick <= self.ticks);
        for job_id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.due.remove(&job_id);
            let mut job = self.catalog.jobs[&job_id].clone();
            self.finish(Step::of(&job).unwrap());
            job.state = JobState::Done;
            self.write(vec![Row::Job(job)], vec![]);
        }
        self.rise();
        let plan = plan_on(&self.view(), &self.settings, &mut self.memory);
        self.check(&plan);
        for action in plan.actions.clone() {
            self.carry_out(action);
        }
        plan
    }

    /// Seconds pass. Returns all that was planned.
    pub(crate) fn pass(&mut self, ticks: u64) -> Plan {
        let mut all = Plan::default();
        for _ in 0..ticks {
            let plan = self.tick();
            all.actions.extend(plan.actions);
            all.refusals = plan.refusals;
        }
        all
    }

    /// If a leader is gone or silent, another voter leads.
    fn rise(&mut self) {
        for group in self.catalog.groups.values() {
            let leads = self.leaders.get(&group.group_id);
            let is_fit = |id: &NodeId| !self.silent.contains(id);
            let fits = leads.is_some_and(|id| is_fit(id) && group.voters().any(|v| v == *id));
            if !fits {
                let next = group.voters().find(is_fit);
                match next {
                    Some(next) => drop(self.leaders.insert(group.group_id, next)),
                    None => drop(self.leaders.remove(&group.group_id)),
                }
            }
        }
    }

    /// For each group, the sum of `of` over its ranges.
    pub(crate) fn sums(&self, of: impl Fn(&Cost) -> u64) -> BTreeMap<GroupId, u64> {
        let groups = self.catalog.groups.keys();
        let mut sums: BTreeMap<GroupId, u64> = groups.map(|id| (*id, 0)).collect();
        for range in self.catalog.ranges.values() {
            *sums.get_mut(&range.group_id).unwrap() += of(&self.costs[&range.range_id]);
        }
        sums
    }

    /// The largest difference of a group from an even share, as a part of that share.
    pub(crate) fn spread(&self, of: impl Fn(&Cost) -> u64) -> f64 {
        let sums = self.sums(of);
        let mean = sums.values().sum::<u64>() as f64 / sums.len() as f64;
        let apart = sums.values().map(|sum| (*sum as f64 / mean - 1.0).abs());
        apart.fold(0.0, f64::max)
    }

    /// A range with two moves that began after tick `since` and less than `within` ticks apart.
    pub(crate) fn moved_twice(&self, since: u64, within: u64) -> Option<RangeId> {
        let mut last = BTreeMap::new();
        let moved = self.moves.iter().filter(|(tick, _)| *tick > since);
        let mut again = moved.filter(|(tick, range_id)| {
            let before = last.insert(*range_id, *tick);
            before.is_some_and(|before| tick - before < within)
        });
        again.next().map(|(_, range_id)| *range_id)
    }

    /// Turns balancing off.
    pub(crate) fn stop_balance(&mut self) {
        let row = Row::Setting("balance".into(), "off".into());
        self.write(vec![row], vec![]);
    }

    /// The number of groups that each node leads.
    pub(crate) fn led(&self) -> BTreeMap<NodeId, usize> {
        let nodes = self.catalog.nodes.keys();
        let mut led: BTreeMap<NodeId, usize> = nodes.map(|id| (*id, 0)).collect();
        for leader in self.leaders.values() {
            *led.get_mut(leader).unwrap() += 1;
        }
        led
    }

    /// Bytes in the replicas of each node.
    pub(crate) fn held_bytes(&self) -> BTreeMap<NodeId, u64> {
        let sums = self.sums(|cost| cost.size);
        let nodes = self.catalog.nodes.keys();
        let mut held: BTreeMap<NodeId, u64> = nodes.map(|id| (*id, 0)).collect();
        for group in self.catalog.groups.values() {
            for replica in &group.replicas {
                *held.get_mut(&replica.node_id).unwrap() += sums[&group.group_id];
            }
        }
        held
    }

    /// The number of replicas on each node, by the rows of groups.
    pub(crate) fn held(&self) -> BTreeMap<NodeId, usize> {
        let nodes = self.catalog.nodes.keys();
        let mut held: BTreeMap<NodeId, usize> = nodes.map(|id| (*id, 0)).collect();
        for replica in self.catalog.groups.values().flat_map(|g| &g.replicas) {
            *held.get_mut(&replica.node_id).unwrap() += 1;
        }
        held
    }
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("{number:08}"))
}

/// A key within a range, between its first and its end.
fn middle(range: &RangeDescriptor) -> Bytes {
    let mut middle = range.bounds.start.to_vec();
    loop {
        middle.push(b'5');
        if range.bounds.end.as_ref().is_none_or(|end| middle < *end) {
            return Bytes::from(middle);
        }
        let last = middle.len() - 1;
        middle[last] = 0;
    }
}

fn node_row(number: u64, state: NodeState) -> Row {
    Row::Node(NodeDescriptor {
        node_id: NodeId(number),
        addr: format!("node-{number}:1"),
        zone: ["a", "b", "c"][usize::try_from(number % 3).unwrap()].to_owned(),
        host: String::new(),
        capacity_bytes: 0,
        state,
    })
}

fn group_row(group_id: GroupId, members: BTreeSet<NodeId>) -> Row {
    let replicas = members.into_iter().map(|node_id| Replica {
        node_id,
        role: Role::Voter,
    });
    Row::Group(GroupDescriptor {
        group_id,
        replicas: replicas.collect(),
    })
}

/// The report of a replica without any special state.
pub(crate) fn status(group_id: GroupId) -> ReplicaStatus {
    ReplicaStatus {
        group_id,
        term: Term(1),
        last_index: LogIndex(5),
        last_term: Term(1),
        applied_index: LogIndex(5),
        flushed_index: LogIndex(5),
        ..ReplicaStatus::default()
    }
}
