//! The planner's input: the catalog, and the nodes' last heartbeats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coterie_meta_client::Liveness;
use coterie_protocol::catalog::{Catalog, JobDescriptor, JobState};
use coterie_protocol::meta::Heartbeat;
use coterie_protocol::server::ReplicaStatus;
use coterie_types::{GroupId, NodeId, NodeState, UnixMillis};

use crate::job::{AddReplica, MakeGroups, ReplaceReplica, Step};

/// The last heartbeat of a node.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its age.
    pub age: Duration,
    /// The heartbeat.
    pub heartbeat: Heartbeat,
}

/// See the module's head.
#[derive(Debug, Clone)]
pub struct View {
    /// Meta's catalog.
    pub catalog: Arc<Catalog>,
    /// The nodes that meta's leader has heard since it leads.
    pub heard: BTreeMap<NodeId, Heard>,
    /// How long meta's leader has led. It knows of no heartbeat before that.
    pub listening_for: Duration,
    /// The controller's clock.
    pub now: UnixMillis,
    /// The places of each group's replicas in the heartbeats, since a cluster has thousands.
    places: BTreeMap<GroupId, Vec<(NodeId, usize)>>,
}

impl View {
    /// A view of the catalog with these heartbeats.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, liveness: Liveness, now: UnixMillis) -> Self {
        let heard = liveness.nodes.into_iter().map(|node| {
            let age = Duration::from_millis(node.age_ms);
            let heartbeat = node.heartbeat;
            (heartbeat.node_id, Heard { age, heartbeat })
        });
        let heard: BTreeMap<NodeId, Heard> = heard.collect();
        let mut places: BTreeMap<GroupId, Vec<(NodeId, usize)>> = BTreeMap::new();
        for (node_id, heard) in &heard {
            for (place, status) in heard.heartbeat.replicas.iter().enumerate() {
                let of_group = places.entry(status.group_id).or_default();
                of_group.push((*node_id, place));
            }
        }
        Self {
            catalog,
            heard,
            listening_for: liveness.leader_for,
            now,
            places,
        }
    }

    /// Whether the age of the node's heartbeat is below `timeout`.
    #[must_use]
    pub fn is_heard(&self, node_id: NodeId, timeout: Duration) -> bool {
        self.heard
            .get(&node_id)
            .is_some_and(|heard| heard.age < timeout)
    }

    /// Whether the node serves and its process is not stopping.
    #[must_use]
    pub fn is_usable(&self, node_id: NodeId, timeout: Duration) -> bool {
        let node = self.catalog.nodes.get(&node_id);
        node.is_some_and(|node| node.state == NodeState::Up)
            && self.is_heard(node_id, timeout)
            && !self.is_stopping(node_id)
    }

    /// Whether the node reports that its process is stopping.
    #[must_use]
    pub fn is_stopping(&self, node_id: NodeId) -> bool {
        let heard = self.heard.get(&node_id);
        heard.is_some_and(|heard| heard.heartbeat.stopping)
    }

    /// A node's report of its replica of a group.
    #[must_use]
    pub fn replica(&self, node_id: NodeId, group_id: GroupId) -> Option<&ReplicaStatus> {
        let mut places = self.places.get(&group_id)?.iter();
        let (_, place) = places.find(|(holder, _)| *holder == node_id)?;
        let status = self.heard.get(&node_id)?.heartbeat.replicas.get(*place)?;
        (status.group_id == group_id).then_some(status)
    }

    /// The group's leader by its own report within `timeout`. If several nodes claim to lead, the
    /// highest term counts.
    #[must_use]
    pub fn leader(&self, group_id: GroupId, timeout: Duration) -> Option<NodeId> {
        let group = self.catalog.groups.get(&group_id)?;
        group
            .voters()
            .filter(|node_id| self.is_heard(*node_id, timeout))
            .filter_map(|node_id| Some((node_id, self.replica(node_id, group_id)?)))
            .filter(|(_, status)| status.serving)
            .max_by_key(|(_, status)| status.term)
            .map(|(node_id, _)| node_id)
    }

    /// The running jobs, with their steps. A job whose step cannot be decoded is left to a newer
    /// version.
    pub fn running_jobs(&self) -> impl Iterator<Item = (&JobDescriptor, Step)> {
        self.catalog
            .jobs
            .values()
            .filter(|job| job.state == JobState::Running)
            .filter_map(|job| Some((job, Step::of(job).ok()?)))
    }

    /// Whether the job began less than `time` ago. A begin in the future counts likewise: the clock
    /// of an earlier controller may have been ahead.
    pub(crate) fn is_recent(&self, job: &JobDescriptor, time: Duration) -> bool {
        let apart = self.now.0.abs_diff(job.started_at.0);
        u128::from(apart) < time.as_millis()
    }

    /// The number of replicas on each node, by meta's map and by running jobs that add replicas.
    #[must_use]
    pub fn replica_counts(&self) -> BTreeMap<NodeId, usize> {
        let mut counts: BTreeMap<NodeId, usize> =
            self.catalog.nodes.keys().map(|id| (*id, 0)).collect();
        let mut count = |node_id: NodeId| *counts.entry(node_id).or_default() += 1;
        for group in self.catalog.groups.values() {
            group.replicas.iter().for_each(|r| count(r.node_id));
        }
        for (_, step) in self.running_jobs() {
            match step {
                Step::MakeGroups(MakeGroups { groups, .. }) => {
                    let fresh = groups
                        .iter()
                        .filter(|new| !self.catalog.groups.contains_key(&new.group_id));
                    fresh.flat_map(|new| &new.voters).for_each(|id| count(*id));
                }
                Step::ReplaceReplica(ReplaceReplica { to, .. })
                | Step::AddReplica(AddReplica { to, .. }) => count(to),
                _ => {}
            }
        }
        counts
    }
}
