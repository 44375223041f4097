//! What callers of a group must tell apart: surely not done, perhaps done, this node is broken.

use std::path::PathBuf;

use coterie_types::{NodeId, Term};

/// This node alone failed (disk, memory): the replica stops before it diverges.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Why a proposal or a read barrier did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not the leader, or not able to act as one now; surely not proposed.
    #[error("not the leader of term {term} (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as this node knows.
        leader: Option<NodeId>,
        /// The term it is in.
        term: Term,
    },
    /// Proposed, and then leadership was lost: it may be committed, now or later.
    #[error("leadership lost while the proposal was under way: its fate is unknown")]
    Unknown,
    /// The group does not run here any more.
    #[error("group stopped: {0}")]
    Stopped(String),
}

/// Why something about a group or the node's log could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RaftError {
    /// The log engine's directory could not be opened or written.
    #[error("log engine: {0}")]
    Log(#[from] raft_engine::Error),
    /// A write of the log failed; nothing of this node is durable any more until it is restarted.
    #[error("the log in {} can no longer be written: {reason}", dir.display())]
    LogFailed {
        /// The log's directory.
        dir: PathBuf,
        /// What went wrong.
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
        /// Where what is damaged begins.
        at: usize,
        /// Where what follows it begins.
        whole_at: usize,
    },
    /// Files of snapshots.
    #[error("snapshot files: {0}")]
    Io(#[from] std::io::Error),
    /// openraft refused or stopped.
    #[error("{what}: {reason}")]
    Raft {
        /// What was being done.
        what: &'static str,
        /// openraft's words.
        reason: String,
    },
    /// A setting that openraft refuses.
    #[error("raft settings: {0}")]
    Config(String),
    /// No such group here.
    #[error("no such group")]
    NoSuchGroup,
    /// Asked of a replica that does not lead.
    #[error("not the leader (leader: {leader:?})")]
    NotLeader {
        /// The leader, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Not done within the time given.
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
