//! What a group replicates, as its owner implements it.

use std::path::Path;

use bytes::Bytes;
use coterie_types::{LogIndex, Term};

use crate::Fault;

/// A committed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that proposed it.
    pub term: Term,
    /// Its place in the log.
    pub index: LogIndex,
    /// The blob to keep with the state as of this entry (see [`StateMachine`]).
    pub applied: Bytes,
    /// What was proposed; `None` for an entry of Raft's own (a new leader's, or of membership).
    pub payload: Option<Bytes>,
}

/// What a group replicates. Called from one thread at a time, in log order; may block.
///
/// The `applied` blob of an entry is opaque: it names the last entry applied and the membership as of it. The
/// state machine keeps it with its effects, atomically, so that after a restart the blob and the
/// state belong to the same entry. The state may be older than what was applied before a crash:
/// the log is applied again from there.
pub trait StateMachine: Send + 'static {
    /// Applies committed entries in order; one answer per entry, empty for those without payload.
    /// An error means that this node alone failed: the replica stops.
    fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Bytes>, Fault>;

    /// Whether `apply` of these is likely neither to wait nor to take long. It then runs on a thread of
    /// the runtime, and is to let the runtime go on without it (`block_in_place`) should it have to wait.
    fn is_quick(&self, _entries: &[Entry]) -> bool {
        false
    }

    /// The blob of the state as it is now; `None` for an empty state machine.
    fn applied(&self) -> Option<Bytes>;

    /// Makes what was applied durable, or starts to.
    fn flush(&mut self) -> Result<(), Fault>;

    /// The blob that is durable by now.
    fn durable(&self) -> Result<Option<Bytes>, Fault>;

    /// Writes the state as it is now, its blob included, as files into an empty directory.
    fn checkpoint(&mut self, dir: &Path) -> Result<(), Fault>;

    /// Replaces the whole state by the files of `dir`, which `checkpoint` made on another node:
    /// durably and atomically. The files may be moved away.
    fn install(&mut self, dir: &Path) -> Result<(), Fault>;
}
