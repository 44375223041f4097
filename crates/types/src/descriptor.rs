//! The descriptors of nodes, groups and ranges: the rows of the cluster's map.

use serde::{Deserialize, Serialize};

use crate::{Epoch, GroupId, KeyRange, NodeId, RangeId};

/// The state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeState {
    /// Registered, no heartbeat yet.
    Joining,
    /// Serves, or is ready to.
    Up,
    /// Being drained; gets no new replicas.
    Draining,
    /// Considered gone by the controller; may come back.
    Down,
    /// Removed permanently; its id is never used again.
    Removed,
}

/// A `coterie server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescriptor {
    /// Its id, given by meta.
    pub node_id: NodeId,
    /// Its address for other processes: `IP:PORT`.
    pub addr: String,
    /// The failure domain it declares; empty when not given.
    pub zone: String,
    /// The machine that it names as its own; empty when unknown. Nodes of one host share its CPU.
    pub host: String,
    /// Bytes it may use; 0 when unknown.
    pub capacity_bytes: u64,
    /// Its state.
    pub state: NodeState,
}

/// The role of a replica in its group's quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Votes, and counts for commit.
    Voter,
    /// Receives the log only.
    Learner,
}

/// The copy of a group on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Replica {
    /// The node that holds it.
    pub node_id: NodeId,
    /// Its role in the quorum.
    pub role: Role,
}

/// A replication group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDescriptor {
    /// Its id, given by meta.
    pub group_id: GroupId,
    /// Its replicas, sorted by node.
    pub replicas: Vec<Replica>,
}

impl GroupDescriptor {
    /// The nodes of the voters, in order.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.replicas
            .iter()
            .filter(|r| r.role == Role::Voter)
            .map(|r| r.node_id)
    }
}

/// A range: its keys, its epoch, and its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeDescriptor {
    /// Its id.
    pub range_id: RangeId,
    /// Raised by each change of bounds or owner; of two descriptors the higher epoch is valid.
    pub epoch: Epoch,
    /// The keys.
    pub bounds: KeyRange,
    /// The group that owns them.
    pub group_id: GroupId,
}
