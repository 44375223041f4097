//! How a call can go wrong, by what the caller may conclude.

/// Why there is no answer. The variant says whether the call may have been executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Surely not executed: there is no connection, and the call was not sent.
    #[error("{addr} is unreachable: {reason}")]
    Unreachable {
        /// Whom it was for.
        addr: String,
        /// What the system said.
        reason: String,
    },
    /// The connection broke after the call was sent: it may have been executed.
    #[error("the connection was lost before the answer came")]
    Lost,
    /// No answer in time: it may have been executed.
    #[error("no answer in time")]
    TimedOut,
    /// Surely not executed: the peer does not take us (token, version), or the call is over a limit.
    #[error("refused: {0}")]
    Refused(String),
    /// The peer's handler could not answer; whether something was executed is the method's to say.
    #[error("the peer failed: {0}")]
    Failed(String),
}

impl CallError {
    /// Whether the call was surely not executed, so that it may go elsewhere.
    #[must_use]
    pub fn surely_not_executed(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused(_))
    }
}
