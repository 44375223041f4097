//! Numbers that identify things. Each has its own type, ordered and printable. Zero is never a
//! valid identity (it stands for "none yet" in tests and defaults), except table 0, which is Redis
//! database 0, and group 0, which is the metadata service's own Raft group.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

id!(/// A node: one `coterie server` process and its directory. Given by meta, never reused.
    NodeId(u64));
id!(/// A replication group. Group 0 is the metadata service itself. Never reused.
    GroupId(u64));
id!(/// A range of one table's keys. Never reused.
    RangeId(u64));
id!(/// A table: a keyspace of its own. Tables 0 to 15 are Redis' databases.
    TableId(u32));
id!(/// The version of a range descriptor: raised by each split, merge and move.
    Epoch(u64));
id!(/// A Raft term.
    Term(u64));
id!(/// A position in a group's log; the first entry has index 1 or 0 as the log library counts.
    LogIndex(u64));
id!(/// A controller job.
    JobId(u64));
id!(/// The number of a metadata commit.
    Revision(u64));
id!(/// A proxy process' session with the groups, chosen at random when the process starts.
    SessionId(u64));
id!(/// The number of a frame within its session and group, from 1.
    FrameSeq(u64));

/// The version of a record: the group that made its last change, and that group's change counter at
/// the change.
///
/// The counter rises by one with every record changed, so that two changes within a log entry
/// differ (decision record `2026-11-23-record-version`). The group is included because the counters
/// of two groups would otherwise repeat after a move, and mislead `WATCH`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Version {
    /// The group whose log made the change.
    pub group: GroupId,
    /// That group's change counter at the change, from 1.
    pub change: u64,
}
