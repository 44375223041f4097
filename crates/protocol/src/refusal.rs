//! Reasons why a group did not execute a frame. None of it was executed, unless the refusal says
//! the fate is unknown. A refusal carries the group's better knowledge, so that the proxy corrects
//! its map without asking meta (design §3).

use coterie_types::{GroupId, NodeId, RangeDescriptor, Term};
use serde::{Deserialize, Serialize};

/// A server's answer in place of replies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not the leader, or not able to serve as leader right now. Send the frame to `leader` if
    /// known, otherwise here again after a pause.
    NotLeader {
        /// The leader, as far as this replica knows.
        leader: Option<NodeId>,
        /// The term of this replica: of two hints, prefer the hint with the higher term.
        term: Term,
    },
    /// A key lies outside the ranges that the group owns; the ranges listed here have other owners.
    Moved {
        /// The ranges of the frame's keys that the group knows without owning them; empty if it
        /// knows none.
        ranges: Vec<RangeDescriptor>,
    },
    /// This node has no replica of the group.
    NoSuchGroup {
        /// The group asked for.
        group_id: GroupId,
    },
    /// A queue is full: retry after a pause. Nothing was executed.
    Overloaded,
    /// The keys are moving here, and cannot be served for a moment: retry here, under the same
    /// number. Nothing was executed or remembered.
    Moving,
    /// The node's disk is too full to take writes; reads and deletes are served.
    DiskFull,
    /// The session was silent so long that it was dropped: whether this frame was applied before is
    /// unknown. The proxy starts a new session.
    SessionExpired,
    /// The frame was proposed and its fate is unknown: retry with the same sequence.
    FateUnknown,
    /// The frame could not be decoded or exceeds a limit; a retry is useless.
    Malformed {
        /// The defect, for the log.
        reason: String,
    },
    /// A frame of reads whose first reply exceeds the room. Nothing was executed: retry with room
    /// for `bytes`.
    NeedsRoom {
        /// Bytes of the reply, or more than the room.
        bytes: u64,
    },
    /// A script has been running for long, and commands do not wait for its end. Nothing was
    /// executed.
    Busy {
        /// It is a function: FUNCTION KILL ends it, and not SCRIPT KILL.
        function: bool,
    },
}
