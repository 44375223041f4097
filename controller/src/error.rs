//! The errors of a controller's start.

use std::io;

use coterie_rpc::CredentialsError;
use coterie_telemetry::ListenError;

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A flag is wrong.
    #[error("{0}")]
    Config(String),
    /// No cluster token, or no certificate that can be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The HTTP address cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system gives no random numbers.
    #[error("draw the controller's number")]
    Chance(#[source] io::Error),
}
