//! Why a group did not execute a frame. None of it was executed, unless the refusal says the fate
//! is unknown. A refusal carries what the group knows better, so that the proxy mends its map
//! without asking meta (design §3).

use coterie_types::{GroupId, NodeId, RangeDescriptor, Term};
use serde::{Deserialize, Serialize};

/// What a server answers instead of replies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not the leader, or not able to serve as one right now. Send it to `leader` if there is one,
    /// else here again shortly.
    NotLeader {
        /// The leader, as far as this replica knows.
        leader: Option<NodeId>,
        /// The term this replica is in: a hint of a higher term is the better one.
        term: Term,
    },
    /// A key lies outside what the group owns; these ranges of its keys have other owners.
    Moved {
        /// What the group knows of the ranges it does not own; empty when it knows nothing.
        ranges: Vec<RangeDescriptor>,
    },
    /// This node has no replica of the group.
    NoSuchGroup {
        /// The group asked for.
        group_id: GroupId,
    },
    /// A queue is full: again after a pause. Nothing was executed.
    Overloaded,
    /// The keys are moving here, and cannot be served for a moment: here again, under the same
    /// number. Nothing was executed, and nothing is remembered of it.
    Moving,
    /// The node's disk is too full to take writes; reads and deletes are served.
    DiskFull,
    /// The session was silent so long that it was dropped: whether this frame was applied before
    /// is unknown. The proxy starts a new session.
    SessionExpired,
    /// The frame was proposed and its fate is unknown: send it again with the same sequence.
    FateUnknown,
    /// The frame could not be decoded or is over a limit; sending it again is of no use.
    Malformed {
        /// What was wrong, for the log.
        reason: String,
    },
    /// A frame of reads whose first reply is longer than there is room for. Nothing was executed:
    /// again with room for so many bytes.
    NeedsRoom {
        /// Bytes of the reply, or more than it may have.
        bytes: u64,
    },
}
