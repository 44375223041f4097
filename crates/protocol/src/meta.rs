//! The requests to the metadata service, and its answers.
//!
//! Any member takes any request; a member that is not the leader answers `NotLeader` with a hint.
//! Reads are linearizable. Commits are numbered by [`Revision`]; a watcher resumes from its own
//! revision.

use coterie_types::{
    GroupDescriptor, GroupId, JobId, LogIndex, NodeId, NodeState, RangeDescriptor, Revision, Term,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Change, JobDescriptor, TableDescriptor, Wish};
use crate::objects::{Expected, ObjectChange};
use crate::proxies::ProxyReport;
use crate::server::ReplicaStatus;

/// A request to meta.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetaRequest {
    /// Change the catalog. Answered after commit and apply.
    Propose(Command),
    /// The whole catalog, linearizable. Answered by `Catalog`.
    Read,
    /// Changes after `after`, as soon as there are any, or none after `wait_ms`. Served by any
    /// member from its applied state.
    Watch {
        /// The watcher's revision; 0 asks for a full copy.
        after: Revision,
        /// The longest wait, milliseconds.
        wait_ms: u64,
    },
    /// A node reports its state. Kept in the leader's memory only.
    Heartbeat(Heartbeat),
    /// The heartbeats that the leader holds, with the age of each.
    Liveness,
    /// A member whose log is empty, or was lately, asks another member for its standing. Answered
    /// by any member, born or not; from then on the leader sends its log to the asking member from
    /// the beginning.
    Standing {
        /// The asking member.
        member: u64,
    },
    /// A proxy reports itself, and asks for the others. Kept in the leader's memory only.
    Proxy {
        /// The proxy.
        report: ProxyReport,
        /// It stops: it is to be forgotten at once.
        leaves: bool,
    },
}

/// An answer of meta.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetaAnswer {
    /// A proposal was applied: its outcome.
    Applied(Outcome),
    /// The catalog, at the revision it carries.
    Catalog(Box<Catalog>),
    /// Changes in order, none missing; empty after the longest wait.
    Changes(Vec<Change>),
    /// The heartbeat was accepted.
    HeartbeatTaken {
        /// The newest revision, so that the node knows whether its copy is old.
        revision: Revision,
        /// The node was removed: it must wipe itself and register again.
        removed: bool,
    },
    /// The heartbeats that the leader holds.
    Liveness {
        /// Each node heard from in this leader's time.
        nodes: Vec<NodeLiveness>,
        /// Milliseconds this member has been leader: no node may be judged before a full liveness
        /// period.
        leader_for_ms: u64,
    },
    /// Ask this member instead, or any member after a pause.
    NotLeader {
        /// The leader's meta member id, if known.
        leader: Option<u64>,
        /// The leader's address, if known: the caller's list may be in another order.
        addr: Option<String>,
    },
    /// The request could not be decoded.
    Malformed(String),
    /// The outcome of the proposal is unknown: read before retrying.
    Unknown,
    /// The standing of the member.
    Standing(Standing),
    /// The proxies.
    Proxies {
        /// All live proxies that the leader has heard from, sorted by their ids.
        reports: Vec<ProxyReport>,
        /// It has led long enough to have heard from every live proxy.
        is_complete: bool,
    },
}

/// The report of a meta member to a member that may have lost its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its knowledge of the cluster's birth.
    pub birth: Birth,
    /// The highest term in which it promised anything; `None` if it may have forgotten promises, or
    /// does not take part yet.
    pub term: Option<Term>,
    /// The last entry of its log, if it leads in that term.
    pub leads: Option<LogIndex>,
}

/// Whether a meta member knows its cluster to be born.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Birth {
    /// Not born: it waits for the first entry.
    Unborn,
    /// Not born: it waits for the first entry, which will be the state of a backup.
    Restored,
    /// Born.
    Born,
}

/// A node's heartbeat; the default period is 500 ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The node.
    pub node_id: NodeId,
    /// Its present address.
    pub addr: String,
    /// Bytes used on its disk by Coterie.
    pub disk_used_bytes: u64,
    /// Bytes free on its disk.
    pub disk_free_bytes: u64,
    /// Its replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// The process is being stopped and wants its leaders moved away.
    pub stopping: bool,
    /// Mean microseconds of a log write with its fsync over the last seconds, excluding waits for a
    /// CPU; 0 when nothing was written.
    pub log_write_micros: u64,
    /// Mean microseconds to apply an entry over the last seconds, excluding waits for a CPU; 0 when
    /// nothing was applied.
    pub apply_micros: u64,
    /// Mean network microseconds of appends to other nodes and their answers over the last seconds,
    /// excluding the time spent on those nodes.
    pub answer_micros: Vec<(NodeId, u64)>,
}

/// A heartbeat and its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLiveness {
    /// The last heartbeat.
    pub heartbeat: Heartbeat,
    /// Milliseconds since its arrival, by the leader's monotonic clock.
    pub age_ms: u64,
}

/// A change of the catalog, as in meta's log. Validated when applied: with the outcome `Rejected`
/// nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Give a node an id, or return its id: the same `token` always gets the same id.
    RegisterNode {
        /// Random, created once per data directory.
        token: u128,
        /// Its address.
        addr: String,
        /// Its failure domain.
        zone: String,
        /// The machine it runs on.
        host: String,
        /// Bytes it may use.
        capacity_bytes: u64,
    },
    /// A node has a new address.
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
        /// The controller's fencing number. 0 stands for an operator, who may drain a node, resume
        /// a draining node, and remove a node that holds nothing.
        fence: u64,
    },
    /// Take or renew the controller's lease. `now` is meta's clock at the proposal.
    AcquireLease {
        /// Random, created once per controller process.
        holder: u64,
        /// Its duration.
        ttl_ms: u64,
        /// Filled in by the proposing meta leader; a later clock never goes back.
        now: UnixMillis,
    },
    /// Release the lease early.
    ReleaseLease {
        /// The holder.
        holder: u64,
    },
    /// Add a table; refused if a table of that name exists. Answered by `Table`.
    CreateTable {
        /// Its name: no number, no blanks.
        name: String,
        /// Keys at which to split it from the start; sorted, each once, none empty.
        split_at: Vec<bytes::Bytes>,
    },
    /// Remove a table. Its ranges are kept as dropped until their groups have removed the records.
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
    /// The controller's changes: all or none, fenced.
    Controller {
        /// The controller's fencing number: refused unless it is the lease's.
        fence: u64,
        /// The changes, in order.
        ops: Vec<ControllerOp>,
    },
    /// Begin a job for an operator. Answered by `Job`.
    Ask {
        /// The operator's wish.
        wish: Wish,
        /// The time, by the caller's clock: for people who read jobs.
        now: UnixMillis,
    },
    /// The first entry of a cluster: its id, and Redis' tables. Has no effect on a cluster that was
    /// born.
    Birth {
        /// Random, not 0.
        cluster_id: u128,
    },
    /// The first entry of a cluster that is restored from a backup. Has no effect on a cluster that
    /// was born.
    Restore {
        /// Meta's whole state, in meta's own encoding.
        state: bytes::Bytes,
    },
    /// Change objects: all or none, and none unless every condition holds.
    PutObjects {
        /// The conditions.
        expected: Vec<Expected>,
        /// The changes, in order.
        changes: Vec<ObjectChange>,
    },
}

/// A change by the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerOp {
    /// Write a group's row. A `group_id` must be below the next id (see `AllocateIds`).
    PutGroup(GroupDescriptor),
    /// Remove a group that owns nothing.
    DeleteGroup(GroupId),
    /// Write a range's row; refused if the present row has a higher epoch.
    PutRange(RangeDescriptor),
    /// Remove a range; the same proposal must leave its table tiled.
    DeleteRange(coterie_types::RangeId),
    /// Write a job's row.
    PutJob(JobDescriptor),
    /// Remove a finished job.
    DeleteJob(JobId),
    /// Allocate ids of each kind; the outcome is `Ids` with the first of each.
    AllocateIds {
        /// Number of group ids.
        groups: u64,
        /// Number of range ids.
        ranges: u64,
        /// Number of job ids.
        jobs: u64,
    },
    /// Record the actions that the controller wants and cannot take now, with the reason, in place
    /// of the previous lines; a line each. Lines over a bound are left out.
    PutRefusals(Vec<String>),
    /// Remove a range of a dropped table: its group has removed the records.
    ForgetDropped(coterie_types::RangeId),
    /// Remove a node permanently although groups name it: an operator declared it lost.
    LoseNode(NodeId),
}

/// The outcome of an applied command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The change was made, or nothing had to change.
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
    /// The caller holds the lease, with this fencing number.
    Leased {
        /// Rises with each new holder.
        fence: u64,
    },
    /// Another holder has the lease.
    LeaseHeld {
        /// Its end, by meta's clock.
        until: UnixMillis,
    },
    /// The table.
    Table(TableDescriptor),
    /// The first of the allocated ids.
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
    /// Nothing was changed, with the reason.
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
    /// The row does not exist.
    #[error("no such {0}")]
    NotFound(String),
    /// It would break a rule of the catalog, such as ranges that overlap.
    #[error("{0}")]
    Invalid(String),
    /// The node was removed; its id is not used again.
    #[error("node {0} was removed; its id is not used again")]
    Removed(NodeId),
    /// An object has another value than the command expected.
    #[error("another client has changed it meanwhile")]
    Changed,
}
