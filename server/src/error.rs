//! Errors of a server that starts or runs.

use std::io;
use std::path::{Path, PathBuf};

use coterie_config::TokenError;
use coterie_raft::RaftError;
use coterie_storage::StorageError;
use coterie_types::NodeId;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting or a request that cannot work.
    #[error("{0}")]
    Config(String),
    /// No cluster token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The directory is in use, belongs to another cluster, or has a newer format.
    #[error("{}: {reason}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// Files are damaged.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The damaged path.
        path: PathBuf,
        /// Description of the damage.
        reason: String,
    },
    /// A file or directory cannot be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The path it was for.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("listen on {addr}")]
    Listen {
        /// The address.
        addr: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A group does not start.
    #[error("start a group")]
    Raft(#[from] RaftError),
    /// A store cannot be opened.
    #[error("open a store")]
    Storage(#[from] StorageError),
    /// Meta refuses this node.
    #[error("meta refuses this node: {0}")]
    Refused(String),
    /// The node was removed from its cluster, by an operator or as lost, while it was away.
    #[error("node {0} was removed from its cluster")]
    Removed(NodeId),
    /// The node cannot go on: only a restart of the process may help.
    #[error("the node cannot go on")]
    Failed(#[source] RaftError),
    /// Asked to stop before it had started.
    #[error("stopped before meta answered")]
    Stopped,
}

impl RunError {
    /// For `map_err`: names the operation that failed, and its path.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }
}

/// Whether the disk, or the quota on it, had no room: the operation works again once there is some.
pub(crate) fn is_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let says_so = |error: &(dyn std::error::Error + 'static)| {
        let stored = error.downcast_ref::<StorageError>();
        let written = error.downcast_ref::<io::Error>().map(io::Error::kind);
        stored.is_some_and(|error| error.is_no_room)
            || matches!(
                written,
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            )
    };
    std::iter::successors(Some(error), |error| error.source()).any(says_so)
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_a_full_disk_is_found() {
        let caused_by = |kind: io::ErrorKind| RunError::Io {
            what: "write",
            path: PathBuf::from("file"),
            source: kind.into(),
        };
        assert!(is_no_room(&caused_by(io::ErrorKind::StorageFull)));
        assert!(!is_no_room(&caused_by(io::ErrorKind::NotFound)));
    }
}
