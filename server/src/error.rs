//! Errors of a server that starts or runs.

use std::io;

use coterie_files::FileError;
use coterie_raft::RaftError;
use coterie_rpc::CredentialsError;
use coterie_storage::StorageError;
use coterie_telemetry::ListenError;
use coterie_types::NodeId;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting or a request that cannot work.
    #[error("{0}")]
    Config(String),
    /// No cluster token, or no certificate that can be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Its files cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    use std::path::Path;

    use super::*;

    #[test]
    fn a_cause_that_is_a_full_disk_is_found() {
        let caused_by = |kind: io::ErrorKind| {
            RunError::from(FileError::io("write", Path::new("file"))(kind.into()))
        };
        assert!(is_no_room(&caused_by(io::ErrorKind::StorageFull)));
        assert!(!is_no_room(&caused_by(io::ErrorKind::NotFound)));
    }
}
