//! Errors of a member that starts or runs.

use coterie_files::FileError;
use coterie_raft::RaftError;
use coterie_rpc::CredentialsError;
use coterie_telemetry::ListenError;

/// Why a member does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that cannot work.
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
    /// The Raft group does not start.
    #[error("start meta's group")]
    Raft(#[from] RaftError),
}
