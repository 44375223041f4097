//! What is asked of the metadata service, and what it answers.
//!
//! Any member takes any request; one that is not the leader answers `NotLeader` with a hint.
//! Reads are linearizable. Commits are numbered by [`Revision`]; a watcher resumes from its own.

use coterie_types::{
    GroupDescriptor, GroupId, JobId, LogIndex, NodeId, NodeState, RangeDescriptor, Revision, Term,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Change, JobDescriptor, TableDescriptor, Wish};
use crate::server::ReplicaStatus;

/// A request to meta.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetaRequest {
    /// Change the catalog. Answered after commit and apply.
    Propose(Command),
    /// The whole catalog, linearizable. Answered by `Catalog`.
    Read,
    /// Changes after `after`, as soon as there are any, or none after `wait_ms`.
    /// Served by any member from what it has applied.
    Watch {
        /// The watcher's revision; 0 asks for a full copy.
        after: Revision,
        /// The longest wait, milliseconds.
        wait_ms: u64,
    },
    /// A node says how it is. Kept in the leader's memory only.
    Heartbeat(Heartbeat),
    /// The heartbeats the leader holds, and how long ago each came.
    Liveness,
    /// A member whose log is empty, or was lately, asks another one how it stands. Answered by any
    /// member, born or not; the leader sends the asker its log from the beginning from then on.
    Standing {
        /// Who asks.
        member: u64,
    },
}

/// What meta answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetaAnswer {
    /// A proposal was applied: its outcome.
    Applied(Outcome),
    /// The catalog, and the revision it is of.
    Catalog(Box<Catalog>),
    /// Changes in order, none missing; empty when the wait was over.
    Changes(Vec<Change>),
    /// The heartbeat was taken.
    HeartbeatTaken {
        /// The newest revision, so that the node knows whether its copy is old.
        revision: Revision,
        /// The node was removed: it must wipe itself and register anew.
        removed: bool,
    },
    /// The heartbeats held.
    Liveness {
        /// Each node heard from in this leader's time.
        nodes: Vec<NodeLiveness>,
        /// Milliseconds this member has been leader: judge nobody before a full liveness period.
        leader_for_ms: u64,
    },
    /// Ask this member instead, or anyone again shortly.
    NotLeader {
        /// The leader's meta member id, if known.
        leader: Option<u64>,
        /// Where the leader listens, if known: the asker's list may be in another order.
        addr: Option<String>,
    },
    /// The request was not understood.
    Malformed(String),
    /// The outcome of the proposal is unknown: read before trying again.
    Unknown,
    /// How the member stands.
    Standing(Standing),
}

/// What a member of meta says of itself to one that may have lost its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it knows of the cluster.
    pub birth: Birth,
    /// The highest term in which it promised anything; `None` of one that may have forgotten such
    /// promises, or does not take part yet.
    pub term: Option<Term>,
    /// The last entry of its log, if it leads in that term.
    pub leads: Option<LogIndex>,
}

/// What a member of meta knows of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Birth {
    /// Nothing: it waits for the first entry.
    Unborn,
    /// It waits for the first entry, which is to be the state of a backup.
    Restored,
    /// It is born.
    Born,
}

/// One node's heartbeat; the default period is 500 ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The node.
    pub node_id: NodeId,
    /// Where it listens now.
    pub addr: String,
    /// Bytes used on its disk by Coterie.
    pub disk_used_bytes: u64,
    /// Bytes free on its disk.
    pub disk_free_bytes: u64,
    /// Its replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// The process is being stopped and wants its leaders elsewhere.
    pub stopping: bool,
    /// Microseconds that a write of the log, with its fsync, took on average lately, without waiting
    /// for a CPU; 0 when nothing was written.
    pub log_write_micros: u64,
    /// Microseconds that applying an entry took on average lately, without waiting for a CPU; 0 when
    /// nothing was applied.
    pub apply_micros: u64,
    /// Microseconds that what was replicated to other nodes and their answers were on their way, on
    /// average lately: without what those nodes did in between.
    pub answer_micros: Vec<(NodeId, u64)>,
}

/// A heartbeat and its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLiveness {
    /// The last heartbeat.
    pub heartbeat: Heartbeat,
    /// Milliseconds since it came, by the leader's monotonic clock.
    pub age_ms: u64,
}

/// A change of the catalog, as it stands in meta's log. Validated when applied: an outcome of
/// `Rejected` changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Give a node an id, or find the one it has: the same `token` always gets the same id.
    RegisterNode {
        /// Random, made once per data directory.
        token: u128,
        /// Where it listens.
        addr: String,
        /// Its failure domain.
        zone: String,
        /// The machine it runs on.
        host: String,
        /// Bytes it may fill.
        capacity_bytes: u64,
    },
    /// A node listens elsewhere now.
    SetNodeAddr {
        /// The node.
        node_id: NodeId,
        /// The new address.
        addr: String,
    },
    /// A node's state changed.
    SetNodeState {
        /// The node.
        node_id: NodeId,
        /// The new state.
        state: NodeState,
        /// The controller's fencing number; 0 is an operator, who may drain a node, resume one
        /// that is draining, and remove one that holds nothing.
        fence: u64,
    },
    /// Take or renew the controller's lease. `now` is meta's clock at the proposal.
    AcquireLease {
        /// Random, made once per controller process.
        holder: u64,
        /// For how long.
        ttl_ms: u64,
        /// Filled in by the proposing meta leader; a later one never goes back.
        now: UnixMillis,
    },
    /// Give the lease back early.
    ReleaseLease {
        /// Who holds it.
        holder: u64,
    },
    /// Add a table; refused if one of that name is there. Answered by `Table`.
    CreateTable {
        /// Its name: no number, no blanks.
        name: String,
        /// Where to cut it from the start; sorted, each once, none empty.
        split_at: Vec<bytes::Bytes>,
    },
    /// Forget a table. Its ranges are kept as dropped until their groups have removed the records.
    DropTable {
        /// Its name.
        name: String,
    },
    /// Set or, with `None`, unset a setting.
    PutSetting {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// The controller's doings: everything or nothing, fenced.
    Controller {
        /// The controller's fencing number: refused unless it is the lease's.
        fence: u64,
        /// What to change, in order.
        ops: Vec<ControllerOp>,
    },
    /// Begin a job that an operator wants. Answered by `Job`.
    Ask {
        /// What is wanted.
        wish: Wish,
        /// When, by the asker's clock: for people who read jobs.
        now: UnixMillis,
    },
    /// The first entry of a cluster: its id, and Redis' tables. Does nothing to one that was born.
    Birth {
        /// Random, not 0.
        cluster_id: u128,
    },
    /// The first entry of a cluster that is restored from a backup. Does nothing to one that was
    /// born.
    Restore {
        /// Meta's whole state, in meta's own encoding.
        state: bytes::Bytes,
    },
}

/// One change by the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerOp {
    /// Write a group's row. A `group_id` must be below the next id (see `AllocateIds`).
    PutGroup(GroupDescriptor),
    /// Forget a group that owns nothing.
    DeleteGroup(GroupId),
    /// Write a range's row; refused when older (by epoch) than the one there.
    PutRange(RangeDescriptor),
    /// Forget a range; the same proposal must leave its table tiled.
    DeleteRange(coterie_types::RangeId),
    /// Write a job's row.
    PutJob(JobDescriptor),
    /// Forget a finished job.
    DeleteJob(JobId),
    /// Set aside so many ids of each kind; the outcome is `Ids` with the first ones.
    AllocateIds {
        /// How many group ids.
        groups: u64,
        /// How many range ids.
        ranges: u64,
        /// How many job ids.
        jobs: u64,
    },
    /// Write down what is wanted and cannot be done now, and why, in the place of what was; a line
    /// each. Lines over a bound are left out.
    PutRefusals(Vec<String>),
    /// Forget a range of a dropped table: its group has removed it.
    ForgetDropped(coterie_types::RangeId),
    /// Remove a node for good although groups name it: an operator said that it is lost.
    LoseNode(NodeId),
}

/// What became of an applied command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It changed what it said, or nothing had to change.
    Done {
        /// The revision after it.
        revision: Revision,
    },
    /// The node's id, and the cluster's.
    Registered {
        /// The node's id.
        node_id: NodeId,
        /// The cluster's id, random at its birth.
        cluster_id: u128,
    },
    /// The lease is held by the asker, with this fencing number.
    Leased {
        /// Rises with each new holder.
        fence: u64,
    },
    /// Somebody else holds the lease.
    LeaseHeld {
        /// Until when, by meta's clock.
        until: UnixMillis,
    },
    /// The table.
    Table(TableDescriptor),
    /// The first ids set aside.
    Ids {
        /// First group id.
        group: u64,
        /// First range id.
        range: u64,
        /// First job id.
        job: u64,
    },
    /// The job that was begun.
    Job(JobId),
    /// Nothing was changed, and why.
    Rejected(Rejection),
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// Another controller holds the lease now.
    #[error("fenced: the lease's number is {current}")]
    Fenced {
        /// The lease's number.
        current: u64,
    },
    /// The row is not there.
    #[error("no such {0}")]
    NotFound(String),
    /// It would break a rule of the catalog, such as ranges that overlap.
    #[error("{0}")]
    Invalid(String),
    /// The node was removed; its id is not used again.
    #[error("node {0} was removed; its id is not used again")]
    Removed(NodeId),
}
