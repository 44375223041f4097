//! Why a controller does not run, or stops acting.

use std::io;

use coterie_config::TokenError;
use coterie_telemetry::ListenError;

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting that does not make sense.
    #[error("{0}")]
    Config(String),
    /// No cluster token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system gives no random numbers.
    #[error("draw the controller's number")]
    Chance(#[source] io::Error),
}
