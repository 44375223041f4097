//! Errors of a member that starts or runs, and of backups that cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use coterie_config::TokenError;
use coterie_raft::RaftError;

/// Why a member does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that cannot work.
    #[error("{0}")]
    Config(String),
    /// No cluster token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The directory is in use, belongs to another cluster or member, or has a newer format.
    #[error("{}: {reason}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A file is damaged.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
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
    /// The Raft group does not start.
    #[error("start meta's group")]
    Raft(#[from] RaftError),
}

impl RunError {
    /// For `map_err`: names the operation that failed, and its path.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// For `map_err`: names the address.
    pub(crate) fn listen(addr: &str) -> impl FnOnce(io::Error) -> Self {
        let addr = addr.to_owned();
        move |source| Self::Listen { addr, source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    pub(crate) fn directory(dir: &Path, reason: impl Into<String>) -> Self {
        Self::Directory {
            dir: dir.to_path_buf(),
            reason: reason.into(),
        }
    }
}
