//! Errors of a role's files and directories.

use std::io;
use std::path::{Path, PathBuf};

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A directory is in use, belongs to another role, cluster or member, or has a newer format.
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
}

impl FileError {
    /// For `map_err`: names the operation that failed, and its path.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// The file at `path` is damaged.
    #[must_use]
    pub fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    /// The directory cannot be used.
    #[must_use]
    pub fn directory(dir: &Path, reason: impl Into<String>) -> Self {
        Self::Directory {
            dir: dir.to_path_buf(),
            reason: reason.into(),
        }
    }
}
