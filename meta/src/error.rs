//! Why a member does not start, or a backup cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use coterie_config::TokenError;
use coterie_raft::RaftError;

/// Why a member does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that does not make sense.
    #[error("{0}")]
    Config(String),
    /// No cluster token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The directory is in use, of another cluster or member, or of a newer version.
    #[error("{}: {reason}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// A file that is not what was written.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory cannot be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("listen on {addr}")]
    Listen {
        /// The address.
        addr: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Raft group does not start.
    #[error("start meta's group")]
    Raft(#[from] RaftError),
}

impl RunError {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// For `map_err`: where it was to listen.
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
