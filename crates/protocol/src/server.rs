//! What a controller (or an operator's command, through a proxy) asks of one server.
//! Every request is idempotent: asked twice, the second changes nothing.

use bytes::Bytes;
use coterie_types::{
    Epoch, GroupId, LogIndex, NodeId, RangeDescriptor, RangeId, Replica, Term, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;

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
    /// Cut a range in two within its group, at the next epoch. Asked of the leader.
    SplitRange {
        /// The group.
        group_id: GroupId,
        /// The range as it is before; it keeps its id for the left part.
        range: RangeDescriptor,
        /// The first key of the right part.
        at: Bytes,
        /// The id of the right part.
        right_id: RangeId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Make one range of two neighbours of one group, at the higher epoch's next. Asked of the leader.
    MergeRanges {
        /// The group.
        group_id: GroupId,
        /// The left one as it is before; it keeps its id.
        left: RangeDescriptor,
        /// The right one as it is before.
        right: RangeDescriptor,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Have the destination of a move know the range, not serving it yet. Asked of its leader.
    BeginImport {
        /// The destination.
        group_id: GroupId,
        /// The range as it is to be: the next epoch, owned by the destination.
        range: RangeDescriptor,
        /// The group that owns it now.
        source: GroupId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Take [`ServerRequest::BeginImport`] back; refused once the import is active.
    CancelImport {
        /// The destination.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// The epoch it was to have.
        epoch: Epoch,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Have the source of a move give the range up: it refuses its keys from this entry on, and its
    /// copy is frozen. Its leader tells the destination at once. Answered by `HandedOff`.
    HandOff {
        /// The source.
        group_id: GroupId,
        /// The range as it is to be: the next epoch, owned by the destination.
        range: RangeDescriptor,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Have the destination serve the range: its source has handed it off, by its own log. Asked of
    /// its leader, by the source's leader or by the controller; therefore without a fencing number.
    Activate {
        /// The destination.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
        /// The source's clock at the hand-off: the destination's is at least that from now on.
        clock: UnixMillis,
    },
    /// How far an import is. Asked of the destination's leader; answered by `Import`.
    ImportState {
        /// The destination.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Remove the frozen copy of a range whose import is finished. Asked of the source's leader.
    DropFrozen {
        /// The source.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
        /// The epoch it was handed off at.
        epoch: Epoch,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Where a range would be cut into halves of about equal size. Asked of any replica; answered by
    /// `SplitPoint`.
    SplitPoint {
        /// The group.
        group_id: GroupId,
        /// The range.
        range_id: RangeId,
    },
    /// Take a learner into the group, and wait until it has nearly all of the log. Asked of the leader.
    AddLearner {
        /// The group.
        group_id: GroupId,
        /// The node, which has an empty replica.
        node_id: NodeId,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Have every replica take a digest of its records at the same log index. Asked of the leader.
    TakeDigest {
        /// The group.
        group_id: GroupId,
        /// Names the digest; random.
        nonce: u64,
        /// The controller's fencing number, or 0: it changes no data.
        fence: u64,
    },
    /// The digest of that name, as this node's replica took it; answered by `Digest`.
    Digest {
        /// The group.
        group_id: GroupId,
        /// Names the digest.
        nonce: u64,
    },
    /// Make this node's replica the only voter of a group whose majority is lost, with what it has.
    /// Refused while the group is led, and before this node knows that the lost ones were removed.
    RecoverAlone {
        /// The group.
        group_id: GroupId,
        /// The voters that never come back.
        lost: Vec<NodeId>,
        /// The controller's fencing number.
        fence: u64,
    },
    /// Who the node is, and what it knows of the cluster: for a meta that has lost everything.
    /// Answered by `Witness`.
    Witness,
}

/// What a server answers.
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
    /// No such replica here.
    NoSuchGroup,
    /// A newer controller has been here.
    Fenced {
        /// The number seen.
        seen: u64,
    },
    /// It could not be done, and why.
    Failed(String),
    /// The range is handed off.
    HandedOff {
        /// The source's clock at the hand-off.
        clock: UnixMillis,
        /// Whether the destination has said that it serves.
        activated: bool,
        /// Microseconds from the entry that gave the range up to the destination's word that it serves;
        /// `None` before that word, and of a leader that did not see both.
        pause_micros: Option<u64>,
    },
    /// How far an import is.
    Import(ImportState),
    /// The key that halves a range.
    SplitPoint {
        /// The first key of the right half; none when the range has fewer than two keys.
        at: Option<Bytes>,
        /// Bytes of the left half, about.
        left_bytes: u64,
        /// Bytes of the right half, about.
        right_bytes: u64,
    },
    /// What a replica's records come to; `None` while it is being counted, or when it was not
    /// asked for since the process started.
    Digest(Option<Digest>),
    /// Who the node is, and what it knows of the cluster.
    Witness(Box<Witness>),
}

/// What a node knows of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// Its id.
    pub node_id: NodeId,
    /// What meta knew it by.
    pub token: u128,
    /// Its cluster's id.
    pub cluster_id: u128,
    /// The newest catalog that it has.
    pub catalog: Catalog,
}

/// The records of a replica at one log index: equal on all replicas, or one of them is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The index of the entry that asked for it.
    pub index: LogIndex,
    /// How many records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The sum of the XXH3 hashes of all records, modulo 2^64: the order does not matter.
    pub checksum: u64,
}

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportState {
    /// The group does not know of it.
    Unknown,
    /// It was begun, and the range is not handed off as far as this group knows.
    Waiting,
    /// The range is served here, and copied.
    Copying {
        /// Records copied so far.
        records: u64,
        /// Bytes copied so far.
        bytes: u64,
        /// Bytes there are about to copy in all; 0 while that is not known.
        bytes_total: u64,
        /// Why the copy does not go on, if so.
        problem: Option<String>,
    },
    /// All of it is here, and was compared with the source.
    Finished {
        /// Bytes that were copied; 0 where that is not remembered.
        bytes: u64,
    },
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
    /// The term of that entry.
    pub last_term: Term,
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
    /// What each range costs; only where this replica serves as leader.
    pub loads: Vec<RangeLoad>,
    /// Ranges that are being imported, as applied here.
    pub importing: Vec<RangeId>,
    /// Ranges that were handed off and are still held as frozen copies, as applied here.
    pub frozen: Vec<RangeDescriptor>,
    /// On the leader: the last entry that each other member is known to have.
    pub matched: Vec<(NodeId, LogIndex)>,
    /// Why it should not lead, if so.
    pub unfit: Option<Unfit>,
}

/// Why a replica should not lead its group now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfit {
    /// Its process started a moment ago: it takes no part in elections for one lease.
    Restarted,
    /// It was made again, and has not caught up with what it promised before.
    MadeAgain,
    /// It may have lost its log, and only follows until it has caught up.
    OnlyFollows,
    /// Its process is being stopped.
    Stopping,
    /// Its node has little room on disk: it would refuse writes that others could take.
    NoRoom,
}

impl Unfit {
    /// The reason, to be said after the name of a node.
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

/// What a range costs its leader, over the last seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeLoad {
    /// The range.
    pub range_id: RangeId,
    /// Bytes on disk, about.
    pub size_bytes: u64,
    /// Commands that read, per second.
    pub reads_per_second: u64,
    /// Commands that write, per second.
    pub writes_per_second: u64,
    /// Bytes of commands and replies, per second.
    pub bytes_per_second: u64,
    /// Microseconds of CPU per second, about.
    pub cpu_micros_per_second: u64,
    /// Microseconds from a command's arrival at the leader to its answer, on average; 0 when none was
    /// answered.
    pub latency_micros: u64,
    /// Where to cut it so that the load is halved, if a sample of its keys says so.
    pub cut: Option<Cut>,
    /// The key that is used most, if it has at least a tenth of the load.
    pub hot_key: Option<HotKey>,
}

/// Where a range may be cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
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
