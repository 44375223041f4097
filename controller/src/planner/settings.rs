//! The settings of the planner.

use std::time::Duration;

use bytes::Bytes;

/// The wanted size of the cluster, and the limits of the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Groups of a new cluster.
    pub groups: usize,
    /// Replicas of each group.
    pub replicas: usize,
    /// Nodes that must have joined before the groups of a new cluster are created.
    pub bootstrap_nodes: usize,
    /// Keys at which table 0 of a new cluster is split.
    pub split_at: Vec<Bytes>,
    /// Silence after which a node counts as down.
    pub liveness_timeout: Duration,
    /// Silence after which a node's replicas are replaced on other nodes.
    pub replace_after: Duration,
    /// Replicas that may move to other nodes at the same time, in the whole cluster.
    pub snapshots_max: usize,
    /// Bytes above which a range is split.
    pub split_size: u64,
    /// Commands per second above which a range is split.
    pub split_ops: u64,
    /// Bytes of commands and replies per second above which a range is split.
    pub split_bytes: u64,
    /// CPU time per second above which a range is split.
    pub split_cpu: Duration,
    /// How long neighbouring ranges must have been nearly idle before they are merged.
    pub merge_after: Duration,
    /// Ranges that may move at the same time, in the whole cluster.
    pub moves_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            groups: 3,
            replicas: 3,
            bootstrap_nodes: 3,
            split_at: Vec::new(),
            liveness_timeout: Duration::from_secs(3),
            replace_after: Duration::from_secs(60),
            snapshots_max: 2,
            split_size: 512 << 20,
            split_ops: 20_000,
            split_bytes: 64 << 20,
            split_cpu: Duration::from_millis(800),
            merge_after: Duration::from_secs(600),
            moves_max: 2,
        }
    }
}
