//! What is known of a node, a group and a range: the rows of the cluster's map.

use serde::{Deserialize, Serialize};

use crate::{Epoch, GroupId, KeyRange, NodeId, RangeId};

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeState {
    /// Registered, not yet heard from by heartbeat.
    Joining,
    /// Serves, or is ready to.
    Up,
    /// Being emptied; gets nothing new.
    Draining,
    /// Judged gone by the controller; may come back.
    Down,
    /// Gone for good; its id is never used again.
    Removed,
}

/// One `coterie server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescriptor {
    /// Its id, given by meta.
    pub node_id: NodeId,
    /// Where other processes reach it: `IP:PORT`.
    pub addr: String,
    /// The failure domain it says it is in; empty when not given.
    pub zone: String,
    /// The machine it says it runs on; empty when not known. Nodes of one host share its CPU.
    pub host: String,
    /// Bytes it may fill; 0 when unknown.
    pub capacity_bytes: u64,
    /// Where it is in its life.
    pub state: NodeState,
}

/// What a replica is to its group's quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Votes, and counts for commit.
    Voter,
    /// Receives the log only.
    Learner,
}

/// One group's copy on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Replica {
    /// The node that holds it.
    pub node_id: NodeId,
    /// What it is to the quorum.
    pub role: Role,
}

/// One replication group.
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

/// One range: which keys, how often its bounds or owner changed, and who owns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeDescriptor {
    /// Its id.
    pub range_id: RangeId,
    /// Raised by each change of bounds or owner; the higher epoch is the truth.
    pub epoch: Epoch,
    /// The keys.
    pub bounds: KeyRange,
    /// The group that owns them.
    pub group_id: GroupId,
}
