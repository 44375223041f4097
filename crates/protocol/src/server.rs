//! Requests of a controller (or of an operator's command, through a proxy) to a server. Every
//! request is idempotent: a second call changes nothing.

use bytes::Bytes;
use coterie_types::{
    Epoch, GroupId, LogIndex, NodeId, RangeDescriptor, RangeId, Replica, Term, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::scripts::{KilledScripts, RunningScript};

/// A control request to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerRequest {
    /// Create an empty replica of the group that waits for its leader. Does nothing if there is a
    /// replica.
    CreateReplica {
        /// The group.
        group_id: GroupId,
        /// The controller's fencing number; a number lower than the highest seen is refused.
        fence: u64,
    },
    /// Start the group from this replica, with these voters and ranges. Once per group; a second
    /// call changes nothing.
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
    /// Hand leadership to `to`; called on the leader. Answered when the hand-over is done or given
    /// up.
    TransferLeader {
        /// The group.
        group_id: GroupId,
        /// The voter that should lead.
        to: NodeId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Make these the group's replicas, by joint change; called on the leader.
    ChangeReplicas {
        /// The group.
        group_id: GroupId,
        /// The wanted replicas.
        replicas: Vec<Replica>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Remove this node's replica and its data; only when the group has removed it from its
    /// members.
    DestroyReplica {
        /// The group.
        group_id: GroupId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// The status of the node's replicas.
    Status,
    /// Give the group ranges that had no owner before: all or none. Called on the leader.
    AddRanges {
        /// The group.
        group_id: GroupId,
        /// The ranges; a range that it owns already, at this epoch, is no change.
        ranges: Vec<RangeDescriptor>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Take ranges from the group, and delete their records permanently. Called on the leader.
    DropRanges {
        /// The group.
        group_id: GroupId,
        /// The ranges; a range that it does not own is no change.
        ranges: Vec<RangeId>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Split a range within its group, at the next epoch. Called on the leader.
    SplitRange {
        /// The group.
        group_id: GroupId,
        /// The range before the split; the left part keeps its id.
        range: RangeDescriptor,
        /// The first key of the right part.
        at: Bytes,
        /// The id of the right part.
        right_id: RangeId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Merge two neighbours of a group, at the epoch after the higher of theirs. Called on the
    /// leader.
    MergeRanges {
        /// The group.
        group_id: GroupId,
        /// The left range before the merge; it keeps its id.
        left: RangeDescriptor,
        /// The right range before the merge.
        right: RangeDescriptor,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Announce a range to the destination of a move; it does not serve it yet. Called on its
    /// leader.
    BeginImport {
        /// The destination.
        group_id: GroupId,
        /// The range after the move: the next epoch, owned by the destination.
        range: RangeDescriptor,
        /// The group that owns it now.
        source: GroupId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Withdraw [`ServerRequest::BeginImport`]; refused once the import is active.
    CancelImport {
        /// The destination.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// The announced epoch.
        epoch: Epoch,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Make the source of a move hand the range off: it refuses the range's keys from this entry
    /// on, and its copy is frozen. Its leader tells the destination at once. Answered by
    /// `HandedOff`.
    HandOff {
        /// The source.
        group_id: GroupId,
        /// The range after the move: the next epoch, owned by the destination.
        range: RangeDescriptor,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Make the destination serve the range: the source's log says that it has handed it off.
    /// Called on the destination's leader, by the source's leader or by the controller; therefore
    /// without a fencing number.
    Activate {
        /// The destination.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
        /// The source's clock at the hand-off: the destination's clock is at least that from now
        /// on.
        clock: UnixMillis,
    },
    /// The progress of an import. Called on the destination's leader; answered by `Import`.
    ImportState {
        /// The destination.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Remove the frozen copy of a range whose import is finished. Called on the source's leader.
    DropFrozen {
        /// The source.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// The epoch at which it was handed off.
        epoch: Epoch,
        /// The controller's fencing number.
        fence: u64,
    },
    /// The key that would split a range into halves of about equal size. Called on any replica;
    /// answered by `SplitPoint`.
    SplitPoint {
        /// The group.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
    },
    /// Add a learner to the group, and wait until it has nearly all of the log. Called on the
    /// leader.
    AddLearner {
        /// The group.
        group_id: GroupId,
        /// The node, which has an empty replica.
        node_id: NodeId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Make every replica take a digest of its records at the same log index. Called on the leader.
    TakeDigest {
        /// The group.
        group_id: GroupId,
        /// Names the digest; random.
        nonce: u64,
        /// The controller's fencing number, or 0: it changes no data.
        fence: u64,
    },
    /// The digest of that name, as taken by this node's replica; answered by `Digest`.
    Digest {
        /// The group.
        group_id: GroupId,
        /// Names the digest.
        nonce: u64,
    },
    /// Make this node's replica, with its present state, the only voter of a group whose majority
    /// is lost. Refused while the group has a leader, and until this node knows that the lost
    /// voters were removed.
    RecoverAlone {
        /// The group.
        group_id: GroupId,
        /// The voters that will never come back.
        lost: Vec<NodeId>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// The node's identity, and its knowledge of the cluster: for a meta that has lost everything.
    /// Answered by `Witness`.
    Witness,
    /// End the scripts, or the functions, that run for long. Answered by `KilledScripts`.
    KillScripts {
        /// Functions, and not scripts.
        functions: bool,
    },
    /// The scripts and functions that run for long. Answered by `BusyScripts`.
    BusyScripts,
}

impl ServerRequest {
    /// The fencing number of a request; `None` for requests that need no fence, and for a digest
    /// that no controller asked for.
    #[must_use]
    pub fn fence(&self) -> Option<u64> {
        match self {
            Self::CreateReplica { fence, .. }
            | Self::InitGroup { fence, .. }
            | Self::TransferLeader { fence, .. }
            | Self::ChangeReplicas { fence, .. }
            | Self::DestroyReplica { fence, .. }
            | Self::AddRanges { fence, .. }
            | Self::DropRanges { fence, .. }
            | Self::SplitRange { fence, .. }
            | Self::MergeRanges { fence, .. }
            | Self::BeginImport { fence, .. }
            | Self::CancelImport { fence, .. }
            | Self::HandOff { fence, .. }
            | Self::DropFrozen { fence, .. }
            | Self::AddLearner { fence, .. }
            | Self::RecoverAlone { fence, .. } => Some(*fence),
            Self::TakeDigest { fence, .. } => (*fence > 0).then_some(*fence),
            Self::Status
            | Self::KillScripts { .. }
            | Self::BusyScripts
            | Self::Witness
            | Self::Activate { .. }
            | Self::ImportState { .. }
            | Self::SplitPoint { .. }
            | Self::Digest { .. } => None,
        }
    }
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// There is no replica of the group here.
    NoSuchGroup,
    /// A newer controller has called this server.
    Fenced {
        /// Its fencing number.
        seen: u64,
    },
    /// The operation failed, with the reason.
    Failed(String),
    /// The range is handed off.
    HandedOff {
        /// The source's clock at the hand-off.
        clock: UnixMillis,
        /// Whether the destination has confirmed that it serves the range.
        activated: bool,
        /// Microseconds from the entry that handed the range off to the destination's word that it
        /// serves; `None` before that word, and of a leader that did not see both.
        pause_micros: Option<u64>,
    },
    /// The progress of an import.
    Import(ImportState),
    /// The key that halves a range.
    SplitPoint {
        /// The first key of the right half; `None` when the range has fewer than two keys.
        at: Option<Bytes>,
        /// Approximate bytes of the left half; without a split key, of the whole range.
        left_bytes: u64,
        /// Approximate bytes of the right half.
        right_bytes: u64,
    },
    /// The digest of a replica's records; `None` while it is being computed, or if it was not
    /// requested since the process started.
    Digest(Option<Digest>),
    /// The node's identity, and its knowledge of the cluster.
    Witness(Box<Witness>),
    /// The scripts that were told to end.
    KilledScripts(KilledScripts),
    /// The scripts and functions that run for long.
    BusyScripts(Vec<RunningScript>),
}

/// A node's knowledge of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// Its id.
    pub node_id: NodeId,
    /// The token of its registration at meta.
    pub token: u128,
    /// Its cluster's id.
    pub cluster_id: u128,
    /// Its newest catalog.
    pub catalog: Catalog,
}

/// The records of a replica at a log index: equal on all replicas, otherwise a replica is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The index of the entry that requested it.
    pub index: LogIndex,
    /// Number of records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The sum of the XXH3 hashes of all records, modulo 2^64: the order does not matter.
    pub checksum: u64,
}

/// The progress of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportState {
    /// The group has no such import.
    Unknown,
    /// It was begun, and this group does not know the range to be handed off.
    Waiting,
    /// The range is served here while it is copied.
    Copying {
        /// Records copied so far.
        records: u64,
        /// Bytes copied so far.
        bytes: u64,
        /// Approximate bytes to copy in all; 0 while unknown.
        bytes_total: u64,
        /// Why the copy is stalled, if it is.
        problem: Option<String>,
    },
    /// All records are here, and were compared with the source.
    Finished {
        /// Bytes copied; 0 if no longer known.
        bytes: u64,
    },
}

/// The status of a replica, as reported by its node; part of each heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The term of that entry.
    pub last_term: Term,
    /// Last entry applied.
    pub applied_index: LogIndex,
    /// Last entry that is flushed in the store.
    pub flushed_index: LogIndex,
    /// First entry still in its log.
    pub first_index: LogIndex,
    /// The members in its newest configuration.
    pub replicas: Vec<Replica>,
    /// The ranges the group owns, in the state applied here.
    pub ranges: Vec<RangeDescriptor>,
    /// Bytes its store takes on disk.
    pub size_bytes: u64,
    /// Read operations served since the process started.
    pub reads_total: u64,
    /// Write operations applied as leader since the process started.
    pub writes_total: u64,
    /// Why it stopped, if it did: a fault of this node alone.
    pub fault: Option<String>,
    /// The load of each range; only where this replica serves as leader.
    pub loads: Vec<RangeLoad>,
    /// Ranges that are being imported, in the state applied here.
    pub importing: Vec<RangeId>,
    /// Ranges that were handed off and are still held as frozen copies, in the state applied here.
    pub frozen: Vec<RangeDescriptor>,
    /// On the leader: the last entry that each other member is known to have.
    pub matched: Vec<(NodeId, LogIndex)>,
    /// Why it should not lead, if so.
    pub unfit: Option<Unfit>,
}

/// Why a replica should not lead its group now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfit {
    /// Its process started a moment ago: it takes no part in elections for a lease.
    Restarted,
    /// It was made again, and has not caught up with its earlier promises.
    MadeAgain,
    /// It may have lost its log, and only follows until it has caught up.
    OnlyFollows,
    /// Its process is being stopped.
    Stopping,
    /// Its node has little room on disk: it would refuse writes that others could take.
    NoRoom,
}

impl Unfit {
    /// The reason, worded to follow the name of a node.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Restarted => "was started a moment ago",
            Self::MadeAgain => "has not caught up since its replica was made again",
            Self::OnlyFollows => "only follows until it has caught up",
            Self::Stopping => "is stopping",
            Self::NoRoom => "has no room on its disk",
        }
    }
}

/// The load of a range on its leader, over the last seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeLoad {
    /// The range.
    pub range_id: RangeId,
    /// Approximate bytes on disk.
    pub size_bytes: u64,
    /// Reading commands per second.
    pub reads_per_second: u64,
    /// Writing commands per second.
    pub writes_per_second: u64,
    /// Bytes of commands and replies, per second.
    pub bytes_per_second: u64,
    /// Approximate microseconds of CPU per second.
    pub cpu_micros_per_second: u64,
    /// Microseconds from a command's arrival at the leader to its answer, on average; 0 when none
    /// was answered.
    pub latency_micros: u64,
    /// The key at which to split it so that the load is halved, if a sample of its keys shows it.
    pub split_point: Option<SplitPoint>,
    /// The most used key, if it has at least a tenth of the load.
    pub hot_key: Option<HotKey>,
}

/// A key at which a range may be split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPoint {
    /// The first key of the right part.
    pub at: Bytes,
    /// Thousandths of the load on the left part.
    pub left_permille: u16,
}

/// A key and its share of its range's load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotKey {
    /// The key.
    pub key: Bytes,
    /// Thousandths of the range's load.
    pub permille: u16,
}
