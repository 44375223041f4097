//! What a controller (or an operator's command, through a proxy) asks of one server.
//! Every request is idempotent: asked twice, the second changes nothing.

use coterie_types::{GroupId, LogIndex, NodeId, RangeDescriptor, RangeId, Replica, Term};
use serde::{Deserialize, Serialize};

/// A request of control to one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerRequest {
    /// Have a replica of the group, empty, waiting for its leader. Does nothing if there is one.
    CreateReplica {
        /// The group.
        group_id: GroupId,
        /// The controller's fencing number; a lower one than seen before is refused.
        fence: u64,
    },
    /// Start the group from this replica: these voters, these ranges. Once per group; a second
    /// call finds it started and changes nothing.
    InitGroup {
        /// The group.
        group_id: GroupId,
        /// Its first voters, this node among them.
        voters: Vec<NodeId>,
        /// The ranges it owns from its first entry on.
        ranges: Vec<RangeDescriptor>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Hand leadership to `to`; asked of the leader. Answered when it is done or given up.
    TransferLeader {
        /// The group.
        group_id: GroupId,
        /// The voter that should lead.
        to: NodeId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Make these the group's replicas, by joint change; asked of the leader.
    ChangeReplicas {
        /// The group.
        group_id: GroupId,
        /// The wanted replicas.
        replicas: Vec<Replica>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Remove this node's replica and its data; only when the group has forgotten it.
    DestroyReplica {
        /// The group.
        group_id: GroupId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// What the node knows of its replicas.
    Status,
    /// Give the group ranges that nobody owned before: all of them or none. Asked of the leader.
    AddRanges {
        /// The group.
        group_id: GroupId,
        /// The ranges; one it owns already, at this epoch, changes nothing.
        ranges: Vec<RangeDescriptor>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Take ranges from the group, and remove their records for good. Asked of the leader.
    DropRanges {
        /// The group.
        group_id: GroupId,
        /// The ranges; one it does not own changes nothing.
        ranges: Vec<RangeId>,
        /// The controller's fencing number.
        fence: u64,
    },
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerAnswer {
    /// Done, or already so.
    Ok,
    /// The node's replicas.
    Status(Vec<ReplicaStatus>),
    /// Not the leader of that group.
    NotLeader {
        /// The leader, if known.
        leader: Option<NodeId>,
    },
    /// No such replica here.
    NoSuchGroup,
    /// A newer controller has been here.
    Fenced {
        /// The number seen.
        seen: u64,
    },
    /// It could not be done, and why.
    Failed(String),
}

/// One replica as its node sees it; part of each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// The group.
    pub group_id: GroupId,
    /// The replica's term.
    pub term: Term,
    /// The leader, as far as it knows.
    pub leader: Option<NodeId>,
    /// Whether it can serve reads and writes as leader now.
    pub serving: bool,
    /// Last entry in its log.
    pub last_index: LogIndex,
    /// Last entry applied.
    pub applied_index: LogIndex,
    /// Last entry that is flushed in the store.
    pub flushed_index: LogIndex,
    /// First entry still in its log.
    pub first_index: LogIndex,
    /// The members, as of its newest configuration.
    pub replicas: Vec<Replica>,
    /// The ranges the group owns, as applied here.
    pub ranges: Vec<RangeDescriptor>,
    /// Bytes its store takes on disk.
    pub size_bytes: u64,
    /// Read operations served since the process started.
    pub reads_total: u64,
    /// Write operations applied as leader since the process started.
    pub writes_total: u64,
    /// Why it stopped, if it did: a fault of this node alone.
    pub fault: Option<String>,
}
