//! Errors of a group, by the caller's choice: certainly not done, possibly done, this node is
//! broken.

use std::path::PathBuf;

use coterie_types::{NodeId, Term};

/// This node alone failed (disk, memory): the replica stops before it diverges.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Why a proposal or a read barrier did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not the leader, or not able to act as leader now; certainly not proposed.
    #[error("not the leader of term {term} (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as this node knows.
        leader: Option<NodeId>,
        /// The replica's term.
        term: Term,
    },
    /// Proposed, then leadership was lost: it may be committed, now or later.
    #[error("leadership lost while the proposal was under way: its fate is unknown")]
    Unknown,
    /// The group no longer runs here.
    #[error("group stopped: {0}")]
    Stopped(String),
}

/// Why an operation on a group or on the node's log failed.
#[derive(Debug, thiserror::Error)]
pub enum RaftError {
    /// The log engine's directory could not be opened or written.
    #[error("log engine: {0}")]
    Log(#[from] raft_engine::Error),
    /// A write of the log failed; this node can make nothing durable until it is restarted.
    #[error("the log in {} can no longer be written: {reason}", dir.display())]
    LogFailed {
        /// The log's directory.
        dir: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Acknowledged entries are lost: the node must not vote or acknowledge as if it had them.
    #[error(
        "log damaged: {} has no whole record at byte {at} but one at byte {whole_at}: bits have \
         changed on this disk, and what it acknowledged is lost",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Offset of the damaged record.
        at: usize,
        /// Offset of the whole record that follows the damage.
        whole_at: usize,
    },
    /// Reading or writing files of a snapshot failed.
    #[error("snapshot files: {0}")]
    Io(#[from] std::io::Error),
    /// openraft refused the operation or has stopped.
    #[error("{what}: {reason}")]
    Raft {
        /// The operation.
        what: &'static str,
        /// openraft's error text.
        reason: String,
    },
    /// A setting that openraft refuses.
    #[error("raft settings: {0}")]
    Config(String),
    /// No such group on this node.
    #[error("no such group")]
    NoSuchGroup,
    /// This replica does not lead, and the operation needs the leader.
    #[error("not the leader (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Not done before the deadline.
    #[error("{0} not done in time")]
    TimedOut(&'static str),
}

impl RaftError {
    pub(crate) fn raft(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Raft {
            what,
            reason: reason.to_string(),
        }
    }
}
