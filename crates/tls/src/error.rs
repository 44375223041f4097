//! Why files cannot be used for TLS. Each error names the flag of its file.

use std::io;
use std::path::PathBuf;

use crate::file::File;

/// See the module's head.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A flag that is given needs another flag.
    #[error("{0}")]
    Flags(String),
    /// The file cannot be read.
    #[error("read {} ({flag})", path.display())]
    Read {
        /// The flag of the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The content of the file cannot be used.
    #[error("{} ({flag}): {reason}", path.display())]
    Content {
        /// The flag of the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
}

impl TlsError {
    /// The content of the file cannot be used.
    pub(crate) fn content(file: &File, reason: impl Into<String>) -> Self {
        Self::Content {
            flag: file.flag,
            path: file.path.clone(),
            reason: reason.into(),
        }
    }
}
