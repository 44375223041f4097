//! Errors of a member that starts or runs.

use std::io;

use coterie_config::TokenError;
use coterie_files::FileError;
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
    /// Its files cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
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
    /// For `map_err`: names the address.
    pub(crate) fn listen(addr: &str) -> impl FnOnce(io::Error) -> Self {
        let addr = addr.to_owned();
        move |source| Self::Listen { addr, source }
    }
}
