//! Errors of a call, by the conclusion the caller may draw.

/// Why there is no answer. The variant tells whether the call may have been executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Certainly not executed: there is no connection, and the call was not sent.
    #[error("{addr} is unreachable: {reason}")]
    Unreachable {
        /// The address of the peer.
        addr: String,
        /// The system's error.
        reason: String,
    },
    /// The connection broke after the call was sent: it may have been executed.
    #[error("the connection was lost before the answer came")]
    Lost,
    /// No answer before the deadline: it may have been executed.
    #[error("no answer in time")]
    TimedOut,
    /// Certainly not executed: the peer refuses us (token, version), or the call exceeds a limit.
    #[error("refused: {0}")]
    Refused(String),
    /// The peer's handler returned an error; the method defines whether anything was executed.
    #[error("the peer failed: {0}")]
    Failed(String),
}

impl CallError {
    /// Whether the call was certainly not executed, so that it may be sent elsewhere.
    #[must_use]
    pub fn surely_not_executed(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused(_))
    }
}
