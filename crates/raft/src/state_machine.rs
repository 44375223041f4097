//! The state machine that a group replicates, as its owner implements it.
//!
//! Implemented by `server` (a replica) and `meta` (the catalog).

use std::path::Path;

use bytes::Bytes;
use coterie_types::{LogIndex, Term};

use crate::Fault;

/// A committed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that proposed it.
    pub term: Term,
    /// Its index in the log.
    pub index: LogIndex,
    /// The blob to keep with the state after this entry (see [`StateMachine`]).
    pub applied: Bytes,
    /// The proposed payload; `None` for an entry of Raft's own (a new leader's, or a membership).
    pub payload: Option<Bytes>,
}

/// The state that a group replicates. Called from a single thread at a time, in log order; may
/// block.
///
/// The `applied` blob of an entry is opaque: it names the last entry applied and the membership at
/// that entry. The state machine stores it atomically with the entry's effects, so that after a
/// restart the blob and the state belong to the same entry. The state may be older than the last
/// entry applied before a crash: the log is applied again from there.
pub trait StateMachine: Send + 'static {
    /// Applies committed entries in order; returns an answer per entry, empty for entries without
    /// payload. An error means that this node alone failed: the replica stops.
    fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Bytes>, Fault>;

    /// Whether `apply` of these entries is likely neither to wait nor to take long. It then runs on
    /// a thread of the runtime; if it has to wait after all, it must release the runtime
    /// (`block_in_place`).
    fn is_quick(&self, _entries: &[Entry]) -> bool {
        false
    }

    /// The blob of the present state; `None` for an empty state machine.
    fn applied(&self) -> Option<Bytes>;

    /// Makes the applied entries durable, or starts to.
    fn flush(&mut self) -> Result<(), Fault>;

    /// The blob of the durable state.
    fn durable(&self) -> Result<Option<Bytes>, Fault>;

    /// Writes the present state, its blob included, as files into an empty directory.
    fn checkpoint(&mut self, dir: &Path) -> Result<(), Fault>;

    /// Replaces the whole state by the files of `dir`, which `checkpoint` made on another node:
    /// durably and atomically. The files may be moved away.
    fn install(&mut self, dir: &Path) -> Result<(), Fault>;
}
